// SPDX-License-Identifier: MIT
// kafkajs_client: kafkajs as producer, admin and member of groups, as session.py says. Its consumer
// needs groups.
'use strict'
const { AssignerProtocol, Kafka, CompressionTypes, logLevel } = require('kafkajs')
const { version } = require('kafkajs/package.json')
const session = require('./session.js')

const kafka = new Kafka({
  clientId: 'matrix', brokers: process.argv[2].split(','), logLevel: logLevel.NOTHING,
  retry: { initialRetryTime: 50, maxRetryTime: 400, retries: 60 }
})
const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP }
const acksOf = { all: -1, 1: 1, 0: 0 }

async function withAdmin(work) {
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}

// kafkajs takes headers as an object; equal names become one list.
function headersOf(record) {
  const headers = {}
  for (const [name, value] of record.headers || []) {
    (headers[name] = headers[name] || []).push(session.unhex(value))
  }
  return headers
}

function messageOf(record, partition) {
  const message = { key: session.unhex(record.key), value: session.unhex(record.value), headers: headersOf(record) }
  if (record.timestamp !== null && record.timestamp !== undefined) message.timestamp = String(record.timestamp)
  if (partition !== null) message.partition = partition
  return message
}

const client = {
  async hello() {
    return {
      name: 'kafkajs', version, hash: 'murmur2', codecs: Object.keys(codecs),
      lacks: {
        consume: "kafkajs' consumer needs groups", header_order: 'kafkajs keeps headers in an object',
        null_header: 'kafkajs sends no null headers',
        static: 'kafkajs has no static members', consumer_model: 'kafkajs has the classic model only',
        stays: 'kafkajs joins again when it lost its connection',
        forget: 'kafkajs deletes no offsets', placed_each: 'kafkajs tells the first offset of a partition only'
      }
    }
  },

  async metadata() {
    return withAdmin(async admin => {
      const cluster = await admin.describeCluster()
      const { topics } = await admin.fetchTopicMetadata()
      return {
        brokers: cluster.brokers.map(b => [b.nodeId, `${b.host}:${b.port}`]),
        controller: cluster.controller, cluster: cluster.clusterId,
        topics: Object.fromEntries(topics.map(t => [t.name, t.partitions.length]))
      }
    })
  },

  async create(ask) {
    const configEntries = Object.entries(ask.config || {}).map(([name, value]) => ({ name, value }))
    const topic = { topic: ask.topic, numPartitions: ask.partitions, replicationFactor: 1, configEntries }
    const made = await withAdmin(admin => admin.createTopics({ topics: [topic] }))
    return { outcome: made ? 'created' : 'exists' }
  },

  async grow(ask) {
    await withAdmin(admin => admin.createPartitions({ topicPartitions: [{ topic: ask.topic, count: ask.partitions }] }))
    return { outcome: 'grown' }
  },

  async produce(ask) {
    const producer = kafka.producer({ allowAutoTopicCreation: true })
    await producer.connect()
    const sent = session.nowUs()
    const told = await producer.send({
      topic: ask.topic, acks: acksOf[ask.acks || 'all'], compression: codecs[ask.codec || 'none'],
      messages: ask.records.map(r => messageOf(r, ask.partition))
    })
    const acked = session.nowUs()
    await producer.disconnect()
    const placed = (told || []).map(t => [t.partition, t.baseOffset === undefined ? null : Number(t.baseOffset)])
    return { placed, sent_us: sent, acked_us: acked }
  },

  async run(ask) {
    const producer = kafka.producer({ idempotent: Boolean(ask.idempotent), maxInFlightRequests: 1 })
    await producer.connect()
    const placed = []
    for (let i = 0; i < ask.count; i++) {
      const [told] = await producer.send({ topic: ask.topic, acks: -1, messages: [{ value: `run ${i}`, partition: 0 }] })
      placed.push(Number(told.baseOffset))
      if (i === 0) session.say({ event: 'acked' })
      await session.pause(ask.pace_us / 1000)
    }
    await producer.disconnect()
    return { placed }
  },

  async join(ask, orders) {
    const consumer = kafka.consumer({
      groupId: ask.group, sessionTimeout: ask.session_ms, heartbeatInterval: ask.heartbeat_ms,
      maxWaitTimeInMs: 100, retry: { initialRetryTime: 50, maxRetryTime: 400, retries: 100 }
    })
    const desk = new session.Desk()
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) =>
      desk.owns('assigned', payload.memberAssignment[ask.topic] || [], { member: payload.memberId }))
    consumer.on(consumer.events.REBALANCING, () => desk.owns('revoked', []))
    await consumer.connect()
    await consumer.subscribe({ topics: [ask.topic], fromBeginning: true })
    await consumer.run({
      autoCommit: Boolean(ask.auto_ms), autoCommitInterval: ask.auto_ms || null,
      eachBatch: async ({ batch, resolveOffset, commitOffsetsIfNecessary, heartbeat }) => {
        desk.got(batch.messages.map(m => [batch.partition, Number(m.offset)]))
        for (const m of batch.messages) resolveOffset(m.offset)
        await commitOffsetsIfNecessary()
        await heartbeat()
      }
    })
    await desk.attend(orders, (offsets, metadata) => consumer.commitOffsets(offsets.map(
      ([partition, offset]) => ({ topic: ask.topic, partition, offset: String(offset), metadata: metadata || null }))))
    await consumer.disconnect()
    return {}
  },

  async groups() {
    const told = await withAdmin(admin => admin.listGroups())
    return { groups: Object.fromEntries(told.groups.map(g => [g.groupId, ''])) }
  },

  async group(ask) {
    const { groups: [told] } = await withAdmin(admin => admin.describeGroups([ask.group]))
    return {
      state: told.state,
      members: told.members.map(m => ({
        id: m.memberId, client: m.clientId, instance: null,
        partitions: AssignerProtocol.MemberAssignment.decode(m.memberAssignment).assignment[ask.topic] || []
      }))
    }
  },

  async offsets(ask) {
    const [told] = await withAdmin(admin => admin.fetchOffsets({ groupId: ask.group, topics: [ask.topic] }))
    return { offsets: Object.fromEntries(told.partitions.map(p => [p.partition, [Number(p.offset), p.metadata]])) }
  },

  async set_offsets(ask) {
    const partitions = Object.entries(ask.offsets).map(([p, offset]) => ({ partition: Number(p), offset: String(offset) }))
    await withAdmin(admin => admin.setOffsets({ groupId: ask.group, topic: ask.topic, partitions }))
    return {}
  },

  async delete_group(ask) {
    try {
      await withAdmin(admin => admin.deleteGroups([ask.group]))
      return {}
    } catch (e) {
      return { error: `${e.message}: ${(e.groups || []).map(g => g.error).join()}` }
    }
  }
}

session.serve(client)

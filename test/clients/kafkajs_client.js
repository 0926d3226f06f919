// SPDX-License-Identifier: MIT
// kafkajs_client: kafkajs as producer and admin, as session.py says. Its consumer needs groups.
'use strict'
const { Kafka, CompressionTypes, logLevel } = require('kafkajs')
const { version } = require('kafkajs/package.json')
const session = require('./session.js')

const kafka = new Kafka({
  clientId: 'matrix', brokers: [process.argv[2]], logLevel: logLevel.NOTHING,
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
        placed_each: 'kafkajs tells the first offset of a partition only'
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
  }
}

session.serve(client)

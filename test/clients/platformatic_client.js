// SPDX-License-Identifier: MIT
// platformatic_client: @platformatic/kafka, which speaks flexible versions only, as session.py says.
// Its streams need groups, and only a member of a group has one; its fetch() does not.
'use strict'
const { Admin, Consumer, Producer } = require('@platformatic/kafka')
const path = require('path')
const zlib = require('zlib')
const session = require('./session.js')

const options = { clientId: 'matrix', bootstrapBrokers: process.argv[2].split(','), retries: 400, retryDelay: 50, timeout: 5000 }
const acksOf = { all: -1, 1: 1, 0: 0 }
const hasZstd = typeof zlib.zstdCompressSync === 'function'
const { version } = require(path.join(path.dirname(require.resolve('@platformatic/kafka')), '..', 'package.json'))
const LOG_APPEND_TIME = 8

// PREPARING_REBALANCE or stable as PreparingRebalance, Stable: the protocol's own words.
const words = state => state.toLowerCase().split('_').map(w => w[0].toUpperCase() + w.slice(1)).join('')

async function using(client, work) {
  try {
    return await work(client)
  } finally {
    await client.close()
  }
}

const admin = work => using(new Admin({ ...options, retries: 5 }), work)
const consumer = work => using(new Consumer({ ...options, groupId: 'none', retries: 5 }), work)
const bytes = data => (data === null ? undefined : data)

function messageOf(topic, record, partition) {
  // Each name a Buffer of its own: equal names stay apart.
  const headers = new Map((record.headers || []).map(([name, value]) => [Buffer.from(name), session.unhex(value)]))
  const message = { topic, key: bytes(session.unhex(record.key)), value: bytes(session.unhex(record.value)), headers }
  if (partition !== null) message.partition = partition
  if (record.timestamp !== null) message.timestamp = BigInt(record.timestamp)
  return message
}

// One fetch at an offset: the records from there on.
async function fetchOnce(client, ask, topicId, offset) {
  const partitionMaxBytes = ask.partition_bytes || 1 << 20
  const answer = await client.fetch({
    node: 1, maxWaitTime: 500, minBytes: 1, maxBytes: 50 << 20,
    topics: [{
      topicId,
      partitions: [{ partition: ask.partition, currentLeaderEpoch: -1, fetchOffset: offset, lastFetchedEpoch: -1, partitionMaxBytes }]
    }]
  })
  const records = []
  for (const topic of answer.responses) {
    for (const partition of topic.partitions) {
      for (const batch of partition.records || []) {
        for (const r of batch.records) {
          const at = batch.firstOffset + BigInt(r.offsetDelta)
          const time = batch.attributes & LOG_APPEND_TIME ? batch.maxTimestamp : batch.firstTimestamp + r.timestampDelta
          if (at < offset) continue
          records.push({
            offset: Number(at), timestamp: Number(time), key: session.hexed(r.key), value: session.hexed(r.value),
            headers: r.headers.map(([name, value]) => [name.toString(), session.hexed(value)])
          })
        }
      }
    }
  }
  return records
}

async function offsetOf(client, ask, from) {
  if (typeof from === 'number') return BigInt(from)
  const timestamp = from === 'end' ? -1n : from === 'beginning' ? -2n : BigInt(from.time)
  const told = await client.listOffsets({ topics: [ask.topic], partitions: { [ask.topic]: [ask.partition] }, timestamp })
  return told.get(ask.topic)[ask.partition]
}

// Gives each record to got until there were enough.
async function take(client, ask, from, ready, got) {
  const end = Date.now() + session.LIMIT_MS
  const metadata = await client.metadata({ topics: [ask.topic] })
  let offset = await offsetOf(client, ask, from)
  let seen = 0
  ready()
  while (seen < ask.count && Date.now() < end) {
    for (const r of await fetchOnce(client, ask, metadata.topics.get(ask.topic).id, offset)) {
      offset = BigInt(r.offset) + 1n
      if (seen++ < ask.count) got(r)
    }
  }
  if (seen < ask.count) throw new Error(`${seen} of ${ask.count} records came`)
}

const client = {
  async hello() {
    const lacks = hasZstd ? {} : { read_zstd: 'this Node.js has no zstd' }
    lacks.timestamp = '@platformatic/kafka writes a wrong time for a record older than the first of its batch'
    lacks.read_snappy = '@platformatic/kafka reads no snappy in frames, as Java writes it'
    lacks.failover = '@platformatic/kafka asks for no new metadata when a broker it dials is gone'
    lacks.metadata_in = '@platformatic/kafka commits no metadata'
    lacks.placed_each = '@platformatic/kafka tells the first offset of a partition only'
    return { name: '@platformatic/kafka', version, hash: 'murmur2 unsigned', lacks, codecs: ['none', 'gzip', 'snappy', 'lz4', ...(hasZstd ? ['zstd'] : [])] }
  },

  async metadata() {
    return admin(async client => {
      const names = await client.listTopics()
      const m = await client.metadata({ topics: names })
      return {
        brokers: [...m.brokers].map(([id, b]) => [id, `${b.host}:${b.port}`]),
        controller: m.controllerId, cluster: m.id,
        topics: Object.fromEntries([...m.topics].map(([name, t]) => [name, t.partitionsCount]))
      }
    })
  },

  async create(ask) {
    const configs = Object.entries(ask.config || {}).map(([name, value]) => ({ name, value }))
    return admin(async client => {
      try {
        await client.createTopics({ topics: [ask.topic], partitions: ask.partitions, replicas: 1, configs })
        return { outcome: 'created' }
      } catch (e) {
        if (!e.findBy || !e.findBy('apiId', 'TOPIC_ALREADY_EXISTS')) throw e
        return { outcome: 'exists' }
      }
    })
  },

  async grow(ask) {
    return admin(async client => {
      await client.createPartitions({ topics: [{ name: ask.topic, count: ask.partitions }] })
      return { outcome: 'grown' }
    })
  },

  async produce(ask) {
    return using(new Producer({ ...options, retries: 5, autocreateTopics: true }), async producer => {
      const sent = session.nowUs()
      const told = await producer.send({
        messages: ask.records.map(r => messageOf(ask.topic, r, ask.partition)),
        acks: acksOf[ask.acks || 'all'], compression: ask.codec || 'none'
      })
      const acked = session.nowUs()
      const placed = (told.offsets || []).map(o => [o.partition, Number(o.offset)])
      return { placed, sent_us: sent, acked_us: acked }
    })
  },

  async run(ask) {
    return using(new Producer({ ...options, idempotent: Boolean(ask.idempotent), acks: -1 }), async producer => {
      const placed = []
      for (let i = 0; i < ask.count; i++) {
        const told = await producer.send({ messages: [{ topic: ask.topic, partition: 0, value: Buffer.from(`run ${i}`) }] })
        placed.push(Number(told.offsets[0].offset))
        if (i === 0) session.say({ event: 'acked' })
        await session.pause(ask.pace_us / 1000)
      }
      return { placed }
    })
  },

  async consume(ask) {
    return consumer(async client => {
      const records = []
      await take(client, ask, ask.from, () => {}, r => records.push(r))
      return { records }
    })
  },

  async follow(ask) {
    return consumer(async client => {
      await take(client, ask, 'end', () => session.say({ event: 'ready' }),
        record => session.say({ event: 'got', at_us: session.nowUs(), record }))
      return {}
    })
  }
}

Object.assign(client, {
  async join(ask, orders) {
    const member = new Consumer({
      ...options, groupId: ask.group, sessionTimeout: ask.session_ms, heartbeatInterval: ask.heartbeat_ms,
      ...(ask.instance ? { groupInstanceId: ask.instance } : {})
    })
    const desk = new session.Desk()
    const who = () => ({ generation: member.generationId, member: member.memberId })
    member.on('consumer:group:join', ({ assignments }) =>
      desk.owns('assigned', (assignments || []).flatMap(a => a.topic === ask.topic ? a.partitions : []), who()))
    member.on('consumer:group:rebalance', () => desk.owns('revoked', [], who()))
    const stream = await member.consume({
      topics: [ask.topic], mode: 'committed', fallbackMode: 'earliest', autocommit: ask.auto_ms || false, maxWaitTime: 100
    })
    stream.on('data', m => desk.got([[m.partition, Number(m.offset)]]))
    stream.on('error', e => console.error(e))
    await desk.attend(orders, offsets => member.commit({
      offsets: offsets.map(([partition, offset]) => ({ topic: ask.topic, partition, offset: BigInt(offset), leaderEpoch: -1 }))
    }))
    await member.close(true)
    return {}
  },

  async groups() {
    const told = await admin(client => client.listGroups())
    return { groups: Object.fromEntries([...told.values()].map(g => [g.id, words(g.state)])) }
  },

  async group(ask) {
    const told = (await admin(client => client.describeGroups({ groups: [ask.group] }))).get(ask.group)
    return {
      state: words(told.state),
      members: [...told.members.values()].map(m => ({
        id: m.id, client: m.clientId, instance: m.groupInstanceId,
        partitions: m.assignments?.get(ask.topic)?.partitions || []
      }))
    }
  },

  async offsets(ask) {
    const [told] = await admin(client => client.listConsumerGroupOffsets({ groups: [ask.group] }))
    const topic = told.topics.find(t => t.name === ask.topic)
    const rows = (topic?.partitions || []).map(p => [p.partitionIndex, [Number(p.committedOffset), p.metadata || '']])
    return { offsets: Object.fromEntries(rows) }
  },

  async set_offsets(ask) {
    const partitionOffsets = Object.entries(ask.offsets).map(([p, offset]) => ({ partition: Number(p), offset: BigInt(offset) }))
    await admin(client => client.alterConsumerGroupOffsets({ groupId: ask.group, topics: [{ name: ask.topic, partitionOffsets }] }))
    return {}
  },

  async forget(ask) {
    const partitionIndexes = Object.keys(ask.offsets).map(Number)
    await admin(client => client.deleteConsumerGroupOffsets({ groupId: ask.group, topics: [{ name: ask.topic, partitionIndexes }] }))
    return {}
  },

  async delete_group(ask) {
    await admin(client => client.deleteGroups({ groups: [ask.group] }))
    return {}
  }
})

session.serve(client)

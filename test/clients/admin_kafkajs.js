// SPDX-License-Identifier: MIT
// admin_kafkajs: what admin_checks.py asks, by kafkajs; see admin_python.py.
'use strict'
const { Kafka, ConfigResourceTypes, AclResourceTypes, ResourcePatternTypes, AclOperationTypes,
  AclPermissionTypes, logLevel } = require('kafkajs')

const [address, topic] = process.argv.slice(2)
const admin = new Kafka({ clientId: 'admin', brokers: [address], logLevel: logLevel.NOTHING }).admin()

const attempt = async work => {
  try {
    return await work()
  } catch (e) {
    return (e.errors || e.partitions || []).map(x => x.code || (x.error || {}).code)[0] || e.code || e.message
  }
}

async function main() {
  const out = {}
  await admin.connect()
  const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
  const alter = (name, value) => admin.alterConfigs({
    validateOnly: false, resources: [{ ...resource, configEntries: [{ name, value }] }]
  })
  const value = async name => (await admin.describeConfigs({ includeSynonyms: true, resources: [resource] }))
    .resources[0].configEntries.find(e => e.configName === name).configValue
  await alter('retention.bytes', '77')
  await alter('retention.ms', '7200000') // the whole set: retention.bytes goes
  out.set = await value('retention.ms')
  out.whole = await value('retention.bytes')
  out.bad = await attempt(() => alter('retention.ms', 'soon'))
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '4' }] })
  out.deleted = Number((await admin.fetchTopicOffsets(topic))[0].low)
  out.acls = await attempt(() => admin.describeAcls({
    resourceType: AclResourceTypes.ANY, resourcePatternType: ResourcePatternTypes.ANY,
    operation: AclOperationTypes.ANY, permissionType: AclPermissionTypes.ANY
  }))
  out.moves = (await admin.listPartitionReassignments({})).topics.length
  out.move = await attempt(() => admin.alterPartitionReassignments({
    topics: [{ topic, partitionAssignment: [{ partition: 0, replicas: [7] }] }]
  }))
  await admin.disconnect()
  console.log(JSON.stringify(out))
}

main().catch(e => { console.error(e); process.exit(1) })

/* SPDX-License-Identifier: MIT
 *
 * config_table: the rows of config.h, and finding them by name.
 *
 * A new setting is a new row here and, when the engine reads it, an enumerator and a name in
 * config.c or config_topic.c. Nothing else knows the list.
 */
#include "engine/broker/config_priv.h"

#include <stdio.h>

#include "engine/base/assert.h"

/* Kafka keys that promise what is not there: accepting them would be a lie. A name that ends in a
 * star denies everything that begins so. */
static const struct {
    const char *name;
    const char *why;
} config_denials[] = {
    {"authorizer.class.name", "there is no authorization yet"},
    {"controller.*", "there is no controller quorum"},
    {"inter.broker.listener.name", "there is one native port for clients and replicas"},
    {"log.message.format.version", "there is one record format, version 2"},
    {"process.roles", "every node is a broker"},
    {"sasl.*", "there is no authentication yet"},
    {"security.inter.broker.protocol", "there is no TLS yet"},
    {"ssl.*", "there is no TLS yet"},
    {"super.users", "there is no authorization yet"},
    {"zookeeper.*", "kauri works without ZooKeeper"},
};
#define CONFIG_DENIAL_COUNT (sizeof config_denials / sizeof config_denials[0])

/* Columns: name, broker name, preset, choices, help, type, min, max, topic, dynamic, inert. */
/* clang-format off */
static const struct config_row config_table[] = {
    {"cleanup.policy", "log.cleanup.policy", "delete", "delete,compact",
     "what happens to old records: delete drops whole segments, compact keeps the latest record of "
     "each key; both may be named",
     CONFIG_LIST, 0, 0, true, true, false},
    {"compression.gzip.level", "compression.gzip.level", "-1", NULL,
     "accepted without effect, batches are stored as they come", CONFIG_INT, -1, 9,
     true, true, true},
    {"compression.lz4.level", "compression.lz4.level", "9", NULL,
     "accepted without effect, batches are stored as they come", CONFIG_INT, 1, 17, true,
     true, true},
    {"compression.type", "compression.type", "producer",
     "producer,uncompressed,gzip,snappy,lz4,zstd",
     "how compaction writes batches that it changes; others are stored as they come", CONFIG_ENUM,
     0, 0, true, true, false},
    {"compression.zstd.level", "compression.zstd.level", "3", NULL,
     "accepted without effect, batches are stored as they come", CONFIG_INT, -131072,
     22, true, true, true},
    {"delete.retention.ms", "log.cleaner.delete.retention.ms", "86400000", NULL,
     "how long compaction lets consumers see that a key was deleted", CONFIG_DURATION, 0,
     CONFIG_I64_MAX, true, true, false},
    {"durability", "durability", "sync", "sync,os",
     "when a record counts as written: sync when it is on disk, os when it is in the page cache",
     CONFIG_ENUM, 0, 0, true, true, false},
    {"file.delete.delay.ms", "log.segment.delete.delay.ms", "0", NULL,
     "how long the file of a segment that left the log stays, renamed to .deleted; Kafka's default "
     "is 60000, here no reader needs it; a deleted topic's files go at once",
     CONFIG_DURATION, 0, CONFIG_I64_MAX, true, true, false},
    {"flush.messages", NULL, "9223372036854775807", NULL,
     "accepted without effect, durability decides when to sync", CONFIG_INT, 1, CONFIG_I64_MAX,
     true, true, true},
    {"flush.ms", NULL, "9223372036854775807", NULL,
     "with durability=os: sync at the latest after this time, or after log.flush.interval.ms if "
     "that is shorter",
     CONFIG_DURATION, 0, CONFIG_I64_MAX, true, true, false},
    {"follower.replication.throttled.replicas", NULL, NULL, NULL,
     "accepted without effect, replication is not throttled", CONFIG_LIST, 0, 0, true, true,
     true},
    {"index.interval.bytes", "log.index.interval.bytes", "4096", NULL,
     "bytes of log between two index entries", CONFIG_SIZE, 0, 2147483647.0, true, true, false},
    {"leader.replication.throttled.replicas", NULL, NULL, NULL,
     "accepted without effect, replication is not throttled", CONFIG_LIST, 0, 0, true, true,
     true},
    {"local.retention.bytes", NULL, "-2", NULL,
     "accepted without effect, there is no remote storage", CONFIG_SIZE, -2, CONFIG_I64_MAX, true,
     true, true},
    {"local.retention.ms", NULL, "-2", NULL, "accepted without effect, there is no remote storage",
     CONFIG_DURATION, -2, CONFIG_I64_MAX, true, true, true},
    {"max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms", "9223372036854775807", NULL,
     "a record waits no longer than this for compaction, whatever min.cleanable.dirty.ratio says",
     CONFIG_DURATION, 1, CONFIG_I64_MAX, true, true, false},
    {"max.message.bytes", "message.max.bytes", "1048588", NULL,
     "largest batch accepted, after compression", CONFIG_SIZE, 0, 2147483647.0, true, true, false},
    {"message.downconversion.enable", NULL, "true", NULL,
     "accepted without effect, old formats are not served", CONFIG_BOOL, 0, 1, true, true, true},
    {"message.format.version", NULL, NULL, NULL, "accepted without effect, there is one format",
     CONFIG_STRING, 0, 0, true, true, true},
    {"message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms", "9223372036854775807",
     NULL, "how far ahead of the broker's clock a record's time may be", CONFIG_DURATION, 0,
     CONFIG_I64_MAX, true, true, false},
    {"message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms",
     "9223372036854775807", NULL, "how far behind the broker's clock a record's time may be",
     CONFIG_DURATION, 0, CONFIG_I64_MAX, true, true, false},
    {"message.timestamp.difference.max.ms", NULL, "9223372036854775807", NULL,
     "accepted without effect, see message.timestamp.before.max.ms and "
     "message.timestamp.after.max.ms",
     CONFIG_DURATION, 0, CONFIG_I64_MAX, true, true, true},
    {"message.timestamp.type", "log.message.timestamp.type", "CreateTime",
     "CreateTime,LogAppendTime", "whose time a record carries: the producer's or the broker's",
     CONFIG_ENUM, 0, 0, true, true, false},
    {"min.cleanable.dirty.ratio", "log.cleaner.min.cleanable.ratio", "0.5", NULL,
     "share of the log that must be new since the last compaction before it is compacted again",
     CONFIG_DOUBLE, 0, 1, true, true, false},
    {"min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms", "0", NULL,
     "how long every record stays before compaction may touch it", CONFIG_DURATION, 0,
     CONFIG_I64_MAX, true, true, false},
    {"min.insync.replicas", "min.insync.replicas", "1", NULL,
     "replicas that must have a record before acks=all is answered", CONFIG_INT, 1, 2147483647.0,
     true, true, false},
    {"preallocate", "log.preallocate", "false", NULL,
     "accepted without effect, segments always grow in preallocated chunks", CONFIG_BOOL, 0, 1,
     true, true, true},
    {"remote.log.copy.disable", NULL, "false", NULL,
     "accepted without effect, there is no remote storage", CONFIG_BOOL, 0, 1, true, true, true},
    {"remote.log.delete.on.disable", NULL, "false", NULL,
     "accepted without effect, there is no remote storage", CONFIG_BOOL, 0, 1, true, true, true},
    {"remote.storage.enable", NULL, "false", NULL, "must stay false, there is no remote storage",
     CONFIG_BOOL, 0, 1, true, true, true},
    {"retention.bytes", "log.retention.bytes", "-1", NULL,
     "bytes kept for each partition; -1 keeps all; a segment ends at an eighth of it, at least at "
     "1 MiB, and goes as soon as the others are enough",
     CONFIG_SIZE, -1, CONFIG_I64_MAX, true, true, false},
    {"retention.ms", "log.retention.ms", "604800000", NULL,
     "how long records are kept; -1 keeps them forever; a segment ends after a 32nd of it (a "
     "quarter when below 64 KiB) and goes when its newest record is too old; one from the future "
     "is as old as its append",
     CONFIG_DURATION, -1, CONFIG_I64_MAX, true, true, false},
    {"segment.bytes", "log.segment.bytes", "1073741824", NULL,
     "size at which a new segment file begins", CONFIG_SIZE, 14, 2147483647.0, true, true, false},
    {"segment.index.bytes", "log.index.size.max.bytes", "10485760", NULL,
     "accepted without effect, an index grows as its segment needs", CONFIG_SIZE, 4, 2147483647.0,
     true, true, true},
    {"segment.jitter.ms", "log.roll.jitter.ms", "0", NULL,
     "accepted without effect, segments roll at segment.ms exactly", CONFIG_DURATION, 0,
     CONFIG_I64_MAX, true, true, true},
    {"segment.ms", "log.roll.ms", "604800000", NULL, "age at which a new segment file begins",
     CONFIG_DURATION, 1, CONFIG_I64_MAX, true, true, false},
    {"unclean.leader.election.enable", "unclean.leader.election.enable", "false", NULL,
     "accepted without effect, a replica that lacks acknowledged records is never chosen",
     CONFIG_BOOL, 0, 1, true, true, true},
    {"advertised.listeners", NULL, NULL, NULL,
     "what Kafka's clients are told to connect to, NAME://HOST:PORT; empty: what they dialled",
     CONFIG_STRING, 0, 0, false, false, false},
    {"allow.insecure", NULL, "false", NULL,
     "listen beyond loopback although there is no TLS and no authentication", CONFIG_BOOL, 0, 1,
     false, false, false},
    {"auto.create.topics.enable", NULL, "true", NULL,
     "a topic is created when it is first written to", CONFIG_BOOL, 0, 1, false, true, false},
    {"background.threads", NULL, "10", NULL, "accepted without effect, see worker.threads",
     CONFIG_INT, 1, 2147483647.0, false, false, true},
    {"broker.id", NULL, NULL, NULL, "older name of node.id", CONFIG_INT, -1, 2147483647.0, false,
     false, false},
    {"broker.rack", NULL, NULL, NULL,
     "where this broker stands: consumers with this word as client.rack may be sent here, see "
     "replica.selector.class",
     CONFIG_STRING, 0, 0, false, false, false},
    {"cluster.start.wait.ms", NULL, "2000", NULL,
     "a leader that starts asks the other brokers for so long whether another was promoted",
     CONFIG_DURATION, 0, 600000, false, false, false},
    {"compression.gzip.level", NULL, "-1", NULL,
     "accepted without effect, batches are stored as they come", CONFIG_INT, -1, 9,
     false, true, true},
    {"compression.lz4.level", NULL, "9", NULL,
     "accepted without effect, batches are stored as they come", CONFIG_INT, 1, 17,
     false, true, true},
    {"compression.type", NULL, "producer", "producer,uncompressed,gzip,snappy,lz4,zstd",
     "compression.type of every topic that does not set it", CONFIG_ENUM, 0, 0, false, true,
     false},
    {"compression.zstd.level", NULL, "3", NULL,
     "accepted without effect, batches are stored as they come", CONFIG_INT, -131072,
     22, false, true, true},
    {"default.replication.factor", NULL, "1", NULL,
     "replicas of a topic that is created without a number", CONFIG_INT, 1, 32767, false, true,
     false},
    {"delete.topic.enable", NULL, "true", NULL, "topics may be deleted", CONFIG_BOOL, 0, 1, false,
     true, false},
    {"disk.reserve.bytes", NULL, "-1", NULL,
     "free space below which produce is refused; -1: 2 GiB or 5 % of the disk, whichever is less",
     CONFIG_SIZE, -1, CONFIG_I64_MAX, false, true, false},
    {"durability", NULL, "sync", "sync,os",
     "when a record counts as written: sync when it is on disk, os when it is in the page cache",
     CONFIG_ENUM, 0, 0, false, true, false},
    {"follower.replication.throttled.rate", NULL, "9223372036854775807", NULL,
     "accepted without effect, replication is not throttled", CONFIG_INT, 0, CONFIG_I64_MAX, false,
     true, true},
    {"group.consumer.heartbeat.interval.ms", NULL, "5000", NULL,
     "how often a member of a group of the consumer protocol reports",
     CONFIG_DURATION, 100, 2147483647.0, false, true, false},
    {"group.consumer.max.size", NULL, "10000", NULL,
     "members of one group of the consumer protocol",
     CONFIG_INT, 1, 2147483647.0, false, true, false},
    {"group.consumer.session.timeout.ms", NULL, "45000", NULL,
     "silence after which such a member is out of its group",
     CONFIG_DURATION, 300, 2147483647.0, false, true, false},
    {"group.initial.rebalance.delay.ms", NULL, "3000", NULL,
     "how long a group that was empty waits for more members before its first assignment",
     CONFIG_DURATION, 0, 2147483647.0, false, true, false},
    {"group.max.session.timeout.ms", NULL, "1800000", NULL,
     "longest session timeout that a member may ask for",
     CONFIG_DURATION, 1, 2147483647.0, false, true, false},
    {"group.max.size", NULL, "10000", NULL,
     "members of one group",
     CONFIG_INT, 1, 2147483647.0, false, true, false},
    {"group.min.session.timeout.ms", NULL, "6000", NULL,
     "shortest session timeout that a member may ask for",
     CONFIG_DURATION, 1, 2147483647.0, false, true, false},
    {"group.stuck.ms", NULL, "30000", NULL,
     "how long a partition with unread records has not moved when /metrics calls it stuck",
     CONFIG_DURATION, 3, 2147483647.0, false, false, false},
    {"groups.max", NULL, "100000", NULL,
     "groups this broker takes in all",
     CONFIG_INT, 1, CONFIG_I64_MAX, false, true, false},
    {"http.listen", NULL, "127.0.0.1:7094", NULL,
     "where /metrics, /healthz, /readyz and /state are served: HOST:PORT or off", CONFIG_STRING, 0,
     0, false, false, false},
    {"inter.broker.protocol.version", NULL, "3.9-IV0", NULL,
     "accepted without effect, tools read from it which release of Kafka to compare with",
     CONFIG_STRING, 0, 0, false, false, true},
    {"leader.replication.throttled.rate", NULL, "9223372036854775807", NULL,
     "accepted without effect, replication is not throttled", CONFIG_INT, 0, CONFIG_I64_MAX, false,
     true, true},
    {"listener.security.protocol.map", NULL, NULL, NULL,
     "NAME:PROTOCOL, comma separated, for listeners with names of their own; only PLAINTEXT is "
     "there",
     CONFIG_STRING, 0, 0, false, false, false},
    {"listeners", NULL, NULL, NULL,
     "where to listen, comma separated, such as PLAINTEXT://127.0.0.1:9092, "
     "NANO://ipc:///run/kauri/kauri.sock; empty: that port and the default ipc socket",
     CONFIG_STRING, 0, 0, false, false, false},
    {"log.cleaner.backoff.ms", NULL, "15000", NULL,
     "how long to wait when no partition needs compaction", CONFIG_DURATION, 0, CONFIG_I64_MAX,
     false, true, false},
    {"log.cleaner.dedupe.buffer.size", NULL, "134217728", NULL,
     "memory for keys while a partition is compacted, 24 bytes each; more keys take more passes",
     CONFIG_SIZE, 1048576, CONFIG_I64_MAX, false, true, false},
    {"log.cleaner.delete.retention.ms", NULL, "86400000", NULL,
     "delete.retention.ms of every topic that does not set it", CONFIG_DURATION, 0,
     CONFIG_I64_MAX, false, true, false},
    {"log.cleaner.enable", NULL, "true", NULL, "topics with cleanup.policy=compact are compacted",
     CONFIG_BOOL, 0, 1, false, false, false},
    {"log.cleaner.io.buffer.load.factor", NULL, "0.9", NULL,
     "accepted without effect, the memory for keys grows as it fills", CONFIG_DOUBLE, 0, 1, false,
     true, true},
    {"log.cleaner.io.buffer.size", NULL, "524288", NULL,
     "accepted without effect, compaction reads through mappings", CONFIG_SIZE, 0, 2147483647.0,
     false, true, true},
    {"log.cleaner.io.max.bytes.per.second", NULL, "1.7976931348623157e+308", NULL,
     "bytes that compaction reads and writes a second at most", CONFIG_DOUBLE, 1,
     1.7976931348623157e+308, false, true, false},
    {"log.cleaner.max.compaction.lag.ms", NULL, "9223372036854775807", NULL,
     "max.compaction.lag.ms of every topic that does not set it", CONFIG_DURATION, 1,
     CONFIG_I64_MAX, false, true, false},
    {"log.cleaner.min.cleanable.ratio", NULL, "0.5", NULL,
     "min.cleanable.dirty.ratio of every topic that does not set it", CONFIG_DOUBLE, 0, 1, false,
     true, false},
    {"log.cleaner.min.compaction.lag.ms", NULL, "0", NULL,
     "min.compaction.lag.ms of every topic that does not set it", CONFIG_DURATION, 0,
     CONFIG_I64_MAX, false, true, false},
    {"log.cleaner.threads", NULL, "1", NULL,
     "accepted without effect, one partition is compacted at a time", CONFIG_INT, 0, 2147483647.0,
     false, true, true},
    {"log.cleanup.policy", NULL, "delete", "delete,compact",
     "cleanup.policy of every topic that does not set it", CONFIG_LIST, 0, 0, false, true, false},
    {"log.dir", NULL, NULL, NULL, "older name of log.dirs", CONFIG_STRING, 0, 0, false, false,
     false},
    {"log.dirs", NULL, NULL, NULL, "the data folder", CONFIG_STRING, 0, 0, false, false, false},
    {"log.flush.interval.ms", NULL, "1000", NULL,
     "with durability=os: written records are synced at least this often", CONFIG_DURATION, 1,
     CONFIG_I64_MAX, false, true, false},
    {"log.index.interval.bytes", NULL, "4096", NULL,
     "index.interval.bytes of every topic that does not set it", CONFIG_SIZE, 0, 2147483647.0,
     false, true, false},
    {"log.index.size.max.bytes", NULL, "10485760", NULL,
     "accepted without effect, like segment.index.bytes", CONFIG_SIZE, 4, 2147483647.0, false, true,
     true},
    {"log.message.timestamp.after.max.ms", NULL, "9223372036854775807", NULL,
     "message.timestamp.after.max.ms of every topic that does not set it", CONFIG_DURATION, 0,
     CONFIG_I64_MAX, false, true, false},
    {"log.message.timestamp.before.max.ms", NULL, "9223372036854775807", NULL,
     "message.timestamp.before.max.ms of every topic that does not set it", CONFIG_DURATION, 0,
     CONFIG_I64_MAX, false, true, false},
    {"log.message.timestamp.type", NULL, "CreateTime", "CreateTime,LogAppendTime",
     "message.timestamp.type of every topic that does not set it", CONFIG_ENUM, 0, 0, false, true,
     false},
    {"log.preallocate", NULL, "false", NULL, "accepted without effect, like preallocate",
     CONFIG_BOOL, 0, 1, false, true, true},
    {"log.retention.bytes", NULL, "-1", NULL, "retention.bytes of every topic that does not set it",
     CONFIG_SIZE, -1, CONFIG_I64_MAX, false, true, false},
    {"log.retention.check.interval.ms", NULL, "300000", NULL,
     "how often partitions that are not open are opened to look for old records, and how long the "
     "clock must stay after a jump of an hour before any go; else they go in time",
     CONFIG_DURATION, 1, CONFIG_I64_MAX, false, true, false},
    {"log.retention.hours", NULL, "168", NULL,
     "log.retention.ms in hours, when neither that nor log.retention.minutes is set",
     CONFIG_DURATION, -1, 2147483647.0, false, false, false},
    {"log.retention.minutes", NULL, NULL, NULL, "log.retention.ms in minutes, when that is not set",
     CONFIG_DURATION, -1, 2147483647.0, false, false, false},
    {"log.retention.ms", NULL, NULL, NULL, "retention.ms of every topic that does not set it",
     CONFIG_DURATION, -1, CONFIG_I64_MAX, false, true, false},
    {"log.roll.hours", NULL, "168", NULL, "log.roll.ms in hours, when that is not set",
     CONFIG_DURATION, 1, 2147483647.0, false, false, false},
    {"log.roll.jitter.hours", NULL, "0", NULL, "accepted without effect, like segment.jitter.ms",
     CONFIG_DURATION, 0, 2147483647.0, false, false, true},
    {"log.roll.jitter.ms", NULL, NULL, NULL, "accepted without effect, like segment.jitter.ms",
     CONFIG_DURATION, 0, CONFIG_I64_MAX, false, true, true},
    {"log.roll.ms", NULL, NULL, NULL, "segment.ms of every topic that does not set it",
     CONFIG_DURATION, 1, CONFIG_I64_MAX, false, true, false},
    {"log.segment.bytes", NULL, "1073741824", NULL,
     "segment.bytes of every topic that does not set it", CONFIG_SIZE, 14, 2147483647.0, false,
     true, false},
    {"log.segment.delete.delay.ms", NULL, "0", NULL,
     "file.delete.delay.ms of every topic that does not set it", CONFIG_DURATION, 0, CONFIG_I64_MAX,
     false, true, false},
    {"message.max.bytes", NULL, "1048588", NULL,
     "max.message.bytes of every topic that does not set it", CONFIG_SIZE, 0, 2147483647.0, false,
     true, false},
    {"metrics.partitions.max", NULL, "20000", NULL,
     "partitions, and committed offsets, that have rows of their own in /metrics", CONFIG_INT, 0,
     1000000, false, false, false},
    {"min.insync.replicas", NULL, "1", NULL,
     "replicas that must have a record before acks=all is answered", CONFIG_INT, 1, 2147483647.0,
     false, true, false},
    {"node.id", NULL, "1", NULL, "number of this broker in its cluster", CONFIG_INT, 0,
     2147483647.0, false, false, false},
    {"num.io.threads", NULL, "8", NULL, "accepted without effect, see worker.threads", CONFIG_INT,
     1, 2147483647.0, false, false, true},
    {"num.network.threads", NULL, "3", NULL,
     "accepted without effect, one thread serves all connections", CONFIG_INT, 1, 2147483647.0,
     false, false, true},
    {"num.partitions", NULL, "1", NULL, "partitions of a topic that is created without a number",
     CONFIG_INT, 1, 2147483647.0, false, true, false},
    {"num.recovery.threads.per.data.dir", NULL, "2", NULL,
     "accepted without effect, see worker.threads", CONFIG_INT, 1, 2147483647.0, false, false,
     true},
    {"offset.metadata.max.bytes", NULL, "4096", NULL,
     "longest text kept with a committed offset",
     CONFIG_SIZE, 0, 32767, false, true, false},
    {"offsets.retention.check.interval.ms", NULL, "600000", NULL,
     "how often committed offsets are looked through for expired ones",
     CONFIG_DURATION, 1, CONFIG_I64_MAX, false, true, false},
    {"offsets.retention.minutes", NULL, "10080", NULL,
     "how long offsets are kept after their group became empty",
     CONFIG_INT, 1, 2147483647.0, false, true, false},
    {"partitions.max", NULL, "200000", NULL, "partitions this broker takes in all", CONFIG_INT, 1,
     2147483647.0, false, true, false},
    {"producer.id.expiration.ms", NULL, "86400000", NULL,
     "an idempotent producer is forgotten after this time without a record", CONFIG_DURATION, 1,
     CONFIG_I64_MAX, false, true, false},
    {"queued.max.request.bytes", NULL, "67108864", NULL,
     "bytes of requests that may wait for the disk at once", CONFIG_SIZE, 1048576, CONFIG_I64_MAX,
     false, false, false},
    {"replica.alter.log.dirs.io.max.bytes.per.second", NULL, "9223372036854775807", NULL,
     "accepted without effect, there is one log folder", CONFIG_INT, 1, CONFIG_I64_MAX, false, true,
     true},
    {"replica.check.interval.ms", NULL, "604800000", NULL,
     "partitions with other replicas are read through so often, and what is damaged is fetched "
     "from another replica; 0: only what is found damaged otherwise",
     CONFIG_DURATION, 0, CONFIG_I64_MAX, false, true, false},
    {"replica.lag.time.max.ms", NULL, "30000", NULL,
     "a follower that was not caught up for so long leaves the in-sync set", CONFIG_DURATION, 100,
     2147483647.0, false, true, false},
    {"replica.of", NULL, NULL, NULL,
     "native addresses of brokers, comma separated: this one joins their cluster as a replica",
     CONFIG_STRING, 0, 0, false, false, false},
    {"replica.selector.class", NULL, NULL, NULL,
     "org.apache.kafka.common.replica.RackAwareReplicaSelector: consumers are sent to an in-sync "
     "replica in their rack; empty, or any other: they read from the leader",
     CONFIG_STRING, 0, 0, false, false, false},
    {"replication.factor.lenient", NULL, "false", NULL,
     "a topic that is to have more replicas than there are brokers gets as many as there are, for "
     "tools whose default is 3; false: it is refused",
     CONFIG_BOOL, 0, 1, false, true, false},
    {"ship.bandwidth.max", NULL, "0", NULL,
     "bytes a second that this broker pulls from its leader at most; 0: as fast as it goes",
     CONFIG_SIZE, 0, CONFIG_I64_MAX, false, true, false},
    {"ship.response.max.bytes", NULL, "8388608", NULL,
     "bytes that one answer of a leader brings to this broker at most, but for a batch that is "
     "larger",
     CONFIG_SIZE, 65536, 67108864, false, true, false},
    {"ship.secret", NULL, NULL, NULL,
     "what the brokers of a cluster share, 16 to 1024 bytes: calls between them are sealed with "
     "it; empty: they are taken on ipc and loopback only",
     CONFIG_PASSWORD, 0, 0, false, false, false},
    {"ship.secret.file", NULL, NULL, NULL, "a file whose first line is ship.secret",
     CONFIG_STRING, 0, 0, false, false, false},
    {"socket.receive.buffer.bytes", NULL, "102400", NULL,
     "accepted without effect, the system chooses", CONFIG_SIZE, -1, 2147483647.0, false, false,
     true},
    {"socket.request.max.bytes", NULL, "104857600", NULL,
     "accepted without effect, see message.max.bytes", CONFIG_SIZE, 1, 2147483647.0, false, false,
     true},
    {"socket.send.buffer.bytes", NULL, "102400", NULL,
     "accepted without effect, the system chooses", CONFIG_SIZE, -1, 2147483647.0, false, false,
     true},
    {"topics.max", NULL, "100000", NULL, "topics this broker takes in all", CONFIG_INT, 1,
     2147483647.0, false, true, false},
    {"unclean.leader.election.enable", NULL, "false", NULL,
     "accepted without effect, a replica that lacks acknowledged records is never chosen",
     CONFIG_BOOL, 0, 1, false, true, true},
    {"worker.threads", NULL, "4", NULL, "threads that write, sync and read files", CONFIG_INT, 1,
     64, false, false, false},
};
/* clang-format on */
#define CONFIG_ROW_COUNT (sizeof config_table / sizeof config_table[0])

const struct config_row *config_rows(size_t *count)
{
    ASSERT(count != NULL);
    *count = CONFIG_ROW_COUNT;
    return config_table;
}

const struct config_row *config_row_find(const char *name, bool topic)
{
    ASSERT(name != NULL);
    for (size_t i = 0; i < CONFIG_ROW_COUNT; i++)
        if (config_table[i].topic == topic && strcmp(config_table[i].name, name) == 0)
            return &config_table[i];
    return NULL;
}

/* Levenshtein's distance, one row of the matrix at a time; both at most CONFIG_NAME_MAX long. */
static size_t config_distance(const char *a, const char *b)
{
    size_t width = strlen(b);
    size_t row[CONFIG_NAME_MAX + 1];
    ASSERT(strlen(a) <= CONFIG_NAME_MAX && width <= CONFIG_NAME_MAX);
    for (size_t j = 0; j <= width; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= width; j++) {
            size_t best = corner + (a[i - 1] != b[j - 1]);
            corner = row[j];
            if (best > row[j] + 1)
                best = row[j] + 1;
            if (best > row[j - 1] + 1)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    ASSERT(row[width] <= CONFIG_NAME_MAX);
    return row[width];
}

const char *config_nearest(const char *name, bool topic)
{
    const char *best = NULL;
    size_t best_distance = 4;
    ASSERT(name != NULL);
    if (strlen(name) > CONFIG_NAME_MAX)
        return NULL;
    for (size_t i = 0; i < CONFIG_ROW_COUNT; i++) {
        if (config_table[i].topic != topic)
            continue;
        size_t distance = config_distance(name, config_table[i].name);
        if (distance < best_distance) {
            best = config_table[i].name;
            best_distance = distance;
        }
    }
    return best;
}

const char *config_denied(const char *name)
{
    ASSERT(name != NULL);
    for (size_t i = 0; i < CONFIG_DENIAL_COUNT; i++) {
        size_t size = strlen(config_denials[i].name);
        ASSERT(size > 0);
        bool prefix = config_denials[i].name[size - 1] == '*';
        if (prefix ? strncmp(name, config_denials[i].name, size - 1) == 0
                   : strcmp(name, config_denials[i].name) == 0)
            return config_denials[i].why;
    }
    return NULL;
}

int config_find(struct slice key, bool topic, const struct config_row **out, char message[256])
{
    char name[CONFIG_NAME_MAX + 1] = "";
    ASSERT(out != NULL && message != NULL);
    bool fits = key.size > 0 && key.size <= CONFIG_NAME_MAX && memchr(key.p, 0, key.size) == NULL;
    if (fits)
        memcpy(name, key.p, key.size);
    const struct config_row *row = fits ? config_row_find(name, topic) : NULL;
    if (row != NULL) {
        ASSERT(row->topic == topic);
        *out = row;
        return 0;
    }
    const char *why = fits ? config_denied(name) : NULL;
    if (why != NULL) {
        (void)snprintf(message, 256, "key \"%s\" cannot be set: %s", name, why);
        return CONFIG_DENIED;
    }
    const char *near = fits ? config_nearest(name, topic) : NULL;
    int shown = (int)(key.size < 80 ? key.size : 80);
    if (near != NULL)
        (void)snprintf(message, 256, "unknown key \"%s\" (did you mean \"%s\"?)", name, near);
    else
        (void)snprintf(message, 256, "unknown key \"%.*s\"", shown,
                       key.p != NULL ? (const char *)key.p : "");
    return CONFIG_UNKNOWN;
}

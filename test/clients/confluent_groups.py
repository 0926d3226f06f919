# SPDX-License-Identifier: MIT
"""confluent_groups: members and administration of groups with confluent-kafka, old and new."""
import session
import confluent_kafka
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

NEW = hasattr(AdminClient, "list_consumer_groups")


def group_lacks():
    if NEW:
        return {"forget": "confluent-kafka deletes no offsets"}
    why = "confluent-kafka 1.7 lists groups, no more"
    return {"consumer_model": "librdkafka before 2.4 has the classic model only", "offsets": why,
            "set_offsets": why, "forget": why, "delete_group": why,
            "metadata_in": "confluent-kafka 1.7 commits no metadata"}


def good(future):
    return future.result(session.LIMIT_S)


class Groups:
    def member_of(self, ask):
        classic = {"session.timeout.ms": ask["session_ms"],
                   "heartbeat.interval.ms": ask["heartbeat_ms"],
                   "partition.assignment.strategy": ask.get("assignor") or "range,roundrobin"}
        more = {"group.protocol": "consumer"} if ask.get("model") == "consumer" else classic
        if ask.get("instance"):
            more["group.instance.id"] = ask["instance"]
        return Consumer({**self.server, "group.id": ask["group"], "auto.offset.reset": "earliest",
                         "enable.auto.commit": bool(ask.get("auto_ms")),
                         "auto.commit.interval.ms": ask.get("auto_ms") or 5000,
                         "max.poll.interval.ms": ask.get("poll_limit_ms") or 60000,
                         "reconnect.backoff.max.ms": 200, **more})

    def join(self, ask):
        consumer, desk = self.member_of(ask), session.Desk()
        gradual = ask.get("model") == "consumer" or ask.get("assignor") == "cooperative-sticky"

        def of(partitions):
            return {tp.partition for tp in partitions}

        def assigned(_, partitions):
            desk.owns("assigned", (desk.owned if gradual else set()) | of(partitions))

        def revoked(_, partitions):
            desk.owns("revoked", desk.owned - of(partitions))

        def lost(_, partitions):
            desk.owns("lost", desk.owned - of(partitions))

        def take():
            messages = consumer.consume(ask.get("batch") or 200, 0.1)
            for m in messages:
                if m.error() is not None and m.error().code() == KafkaError._MAX_POLL_EXCEEDED:
                    raise KafkaException(m.error())
            return [[m.partition(), m.offset()] for m in messages if m.error() is None]

        def commit(offsets, metadata):
            rows = [position(ask["topic"], p, o, metadata) for p, o in offsets.items()]
            for tp in consumer.commit(offsets=rows, asynchronous=False) if rows else ():
                if tp.error is not None:
                    raise KafkaException(tp.error)

        more = {"on_lost": lost} if NEW else {}
        consumer.subscribe([ask["topic"]], on_assign=assigned, on_revoke=revoked, **more)
        desk.attend(ask, take, commit)
        consumer.close()
        return {}

    def groups(self, ask):
        admin = AdminClient(self.server)
        if NEW:
            told = good(admin.list_consumer_groups())
            return {"groups": {g.group_id: words(g.state) for g in told.valid}}
        return {"groups": {g.id: g.state for g in admin.list_groups(timeout=session.LIMIT_S)}}

    def group(self, ask):
        admin = AdminClient(self.server)
        if not NEW:
            told = admin.list_groups(ask["group"], session.LIMIT_S)[0]
            return {"state": told.state, "members": [
                {"id": m.id, "client": m.client_id, "instance": None, "partitions": None}
                for m in told.members]}
        told = good(admin.describe_consumer_groups([ask["group"]])[ask["group"]])
        return {"state": words(told.state), "members": [
            {"id": m.member_id, "client": m.client_id, "instance": m.group_instance_id,
             "partitions": [tp.partition for tp in m.assignment.topic_partitions]}
            for m in told.members]}

    def offsets(self, ask):
        rows = [confluent_kafka.ConsumerGroupTopicPartitions(ask["group"])]
        admin = AdminClient(self.server)  # which must outlive its answer
        told = good(admin.list_consumer_group_offsets(rows)[ask["group"]])
        return {"offsets": {tp.partition: [tp.offset, tp.metadata or ""]
                            for tp in told.topic_partitions
                            if tp.topic == ask["topic"] and tp.offset >= 0}}

    def set_offsets(self, ask):
        tps = [TopicPartition(ask["topic"], int(p), o) for p, o in ask["offsets"].items()]
        rows = [confluent_kafka.ConsumerGroupTopicPartitions(ask["group"], tps)]
        admin = AdminClient(self.server)
        told = good(admin.alter_consumer_group_offsets(rows)[ask["group"]])
        bad = [str(tp.error) for tp in told.topic_partitions if tp.error is not None]
        return {"error": str(bad)} if bad else {}

    def delete_group(self, ask):
        admin = AdminClient(self.server)
        good(admin.delete_consumer_groups([ask["group"]])[ask["group"]])
        return {}


def position(topic, partition, offset, metadata):
    if metadata is None:
        return TopicPartition(topic, partition, offset)
    return TopicPartition(topic, partition, offset, metadata)


def words(state):
    """PREPARING_REBALANCING as PreparingRebalance, the protocol's own word."""
    return "".join(word.capitalize() for word in state.name.split("_")).replace("Rebalancing", "Rebalance")

# SPDX-License-Identifier: MIT
"""kafka_python_groups: members and administration of groups with kafka-python, all its versions."""
import session
import kafka
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata

VERSION = tuple(int(n) for n in kafka.__version__.split(".")[:2])
NEW = VERSION >= (3, 0)


def group_lacks():
    lacks = {"consumer_model": "kafka-python has the classic model only"}
    if not NEW:
        lacks["set_offsets"] = "kafka-python before 3 sets no offsets of other groups"
        lacks["forget"] = "kafka-python before 3 deletes no offsets"
        lacks["static"] = "kafka-python before 3 has no static members"
    if VERSION < (2, 1):
        lacks["assignor_sticky"] = "kafka-python 2.0 moves eagerly"
    if NEW:
        # 3.0.12, with Apache's broker too: a member that joins twice in short order may stand still.
        lacks["steady"] = "kafka-python 3 stands still now and then, with any broker"
    if "static" not in lacks:
        # 3.0.12, one time in three and against Apache's broker too: it joins again when it hears of
        # its topic late, and may stand still after that.
        lacks["static"] = "kafka-python 3 joins twice, or stands still, now and then, with any broker"
    return lacks


def assignors(name):
    if name == "cooperative-sticky":
        from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
        return [CooperativeStickyAssignor]
    from kafka.coordinator.assignors.range import RangePartitionAssignor
    return [RangePartitionAssignor]


def noted(offset, metadata):
    return OffsetAndMetadata(offset, metadata or "", *([-1] if VERSION >= (2, 1) else []))


class Listener(ConsumerRebalanceListener):
    def __init__(self, desk, gradual):
        self.desk, self.gradual = desk, gradual

    def on_partitions_revoked(self, revoked):
        self.desk.owns("revoked", self.desk.owned - {tp.partition for tp in revoked})

    def on_partitions_lost(self, lost):
        self.desk.owns("lost", self.desk.owned - {tp.partition for tp in lost})

    def on_partitions_assigned(self, assigned):
        kept = self.desk.owned if self.gradual else set()
        self.desk.owns("assigned", kept | {tp.partition for tp in assigned})


class Groups:
    def member_of(self, ask):
        more = {"group_instance_id": ask["instance"]} if ask.get("instance") else {}
        return KafkaConsumer(
            **self.server, group_id=ask["group"], auto_offset_reset="earliest",
            session_timeout_ms=ask["session_ms"], heartbeat_interval_ms=ask["heartbeat_ms"],
            enable_auto_commit=bool(ask.get("auto_ms")),
            auto_commit_interval_ms=ask.get("auto_ms") or 5000,
            max_poll_interval_ms=ask.get("poll_limit_ms") or 60000, reconnect_backoff_max_ms=200,
            partition_assignment_strategy=assignors(ask.get("assignor")), **more)

    def join(self, ask):
        consumer = self.member_of(ask)

        def generation():
            now = consumer._coordinator._generation
            return now.generation_id, now.member_id

        def take():
            # By ones, where a record is work: what poll() gave counts as consumed.
            got = consumer.poll(timeout_ms=100, max_records=ask.get("batch") or 500)
            return [[m.partition, m.offset] for records in got.values() for m in records]

        def commit(offsets, metadata):
            consumer.commit({TopicPartition(ask["topic"], p): noted(o, metadata)
                             for p, o in offsets.items()})

        desk = session.Desk(generation)
        consumer.subscribe([ask["topic"]],
                           listener=Listener(desk, ask.get("assignor") == "cooperative-sticky"))
        desk.attend(ask, take, commit)
        consumer.close()
        return {}

    def admin(self, work):
        admin = KafkaAdminClient(**self.server)
        try:
            return work(admin)
        finally:
            admin.close()

    def groups(self, ask):
        if NEW:
            told = self.admin(lambda a: a.list_groups())
            return {"groups": {g["group_id"]: g.get("group_state") or "" for g in told}}
        return {"groups": {name: "" for name, _ in self.admin(lambda a: a.list_consumer_groups())}}

    def group(self, ask):
        if NEW:
            told = self.admin(lambda a: a.describe_groups([ask["group"]]))[ask["group"]]
            return {"state": told["group_state"], "members": [
                {"id": m["member_id"], "client": m["client_id"], "instance": m.get("group_instance_id"),
                 "partitions": [p for t in (m["member_assignment"] or {}).get("assigned_partitions", [])
                                for p in t["partitions"]]} for m in told["members"]]}
        told = self.admin(lambda a: a.describe_consumer_groups([ask["group"]]))[0]
        return {"state": told.state, "members": [
            {"id": m.member_id, "client": m.client_id, "instance": None,
             "partitions": [p for _, ps in getattr(m.member_assignment, "assignment", []) for p in ps]}
            for m in told.members]}

    def offsets(self, ask):
        if NEW:
            told = self.admin(lambda a: a.list_group_offsets(ask["group"]))[ask["group"]]
        else:
            told = self.admin(lambda a: a.list_consumer_group_offsets(ask["group"]))
        return {"offsets": {tp.partition: [o.offset, o.metadata] for tp, o in told.items()
                            if tp.topic == ask["topic"] and o.offset >= 0}}

    def set_offsets(self, ask):
        rows = {TopicPartition(ask["topic"], int(p)): noted(o, "") for p, o in ask["offsets"].items()}
        return faults_of(self.admin(lambda a: a.alter_group_offsets(ask["group"], rows)))

    def forget(self, ask):
        rows = [TopicPartition(ask["topic"], int(p)) for p in ask["offsets"]]
        return faults_of(self.admin(lambda a: a.delete_group_offsets(ask["group"], rows)))

    def delete_group(self, ask):
        if NEW:
            told = dict(self.admin(lambda a: a.delete_groups([ask["group"]])))
        else:
            told = dict(self.admin(lambda a: a.delete_consumer_groups([ask["group"]])))
        return faults_of(told)


def faults_of(told):
    """An answer of what is there by partition or group: an error class, "OK", or a dict with both."""
    bad = {str(k): getattr(e, "__name__", str(e)) for k, e in dict(told).items()}
    bad = {k: e for k, e in bad.items() if e not in ("NoError", "OK", "None")}
    return {"error": str(bad)} if bad else {}

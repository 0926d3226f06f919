#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""confluent_client: confluent-kafka for Python (librdkafka below it), as session.py says."""
import sys
import time

sys.dont_write_bytecode = True
import session
import confluent_groups
import confluent_kafka
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

LOGICAL = {"beginning": confluent_kafka.OFFSET_BEGINNING, "end": confluent_kafka.OFFSET_END}


class Client(confluent_groups.Groups):
    def __init__(self, bootstrap):
        self.server = {"bootstrap.servers": bootstrap}

    def hello(self, ask):
        lacks = {} if hasattr(AdminClient, "describe_cluster") else \
            {"controller": "confluent-kafka 1.7 does not tell"}
        lacks.update(confluent_groups.group_lacks())
        return {"name": "confluent-kafka", "lacks": lacks, "hash": "crc32",
                "version": f"{confluent_kafka.version()[0]} (librdkafka {confluent_kafka.libversion()[0]})",
                "codecs": ["none", "gzip", "snappy", "lz4", "zstd"]}

    def metadata(self, ask):
        admin = AdminClient(self.server)
        m = admin.list_topics(timeout=session.LIMIT_S)
        told = {"brokers": [[b.id, f"{b.host}:{b.port}"] for b in m.brokers.values()],
                "cluster": m.cluster_id,
                "topics": {name: len(t.partitions) for name, t in m.topics.items()}}
        if hasattr(admin, "describe_cluster"):
            cluster = admin.describe_cluster().result(session.LIMIT_S)
            told.update(controller=cluster.controller.id, cluster=cluster.cluster_id)
        return told

    def create(self, ask):
        topic = NewTopic(ask["topic"], ask["partitions"], 1, config=ask.get("config") or {})
        admin = AdminClient(self.server)
        try:
            admin.create_topics([topic])[ask["topic"]].result(session.LIMIT_S)
            return {"outcome": "created"}
        except KafkaException as e:
            if e.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
            return {"outcome": "exists"}

    def grow(self, ask):
        more = [NewPartitions(ask["topic"], ask["partitions"])]
        admin = AdminClient(self.server)
        admin.create_partitions(more)[ask["topic"]].result(session.LIMIT_S)
        return {"outcome": "grown"}

    def producer(self, ask, **more):
        return Producer({**self.server, "acks": ask.get("acks", "all"),
                         "compression.type": ask.get("codec", "none"),
                         "linger.ms": ask.get("linger_ms", 0), "message.max.bytes": 8 << 20,
                         "enable.idempotence": bool(ask.get("idempotent")), **more})

    def produce(self, ask):
        producer = self.producer(ask)
        producer.list_topics(ask["topic"], session.LIMIT_S)
        placed, faults = {}, []

        def delivered(index):
            def note(error, message):
                if error is not None:
                    faults.append(str(error))
                else:
                    placed[index] = [message.partition(), message.offset()]
            return note

        sent = session.now_us()
        for i, r in enumerate(ask["records"]):
            where = {} if ask["partition"] is None else {"partition": ask["partition"]}
            producer.produce(ask["topic"], session.unhex(r["value"]), session.unhex(r["key"]),
                             callback=delivered(i), timestamp=r["timestamp"] or 0,
                             headers=session.headers_of(r), **where)
        left = producer.flush(session.LIMIT_S)
        acked = session.now_us()
        if faults or left:
            return {"error": f"{left} not delivered, faults: {faults[:3]}"}
        told = ask.get("acks") != "0"
        return {"placed": [[placed[i][0], placed[i][1] if told else None]
                           for i in range(len(placed))], "sent_us": sent, "acked_us": acked}

    def run(self, ask):
        producer = self.producer(ask, **{"delivery.timeout.ms": int(session.RUN_LIMIT_S * 1000),
                                         "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 50})
        placed, faults = [None] * ask["count"], []

        def delivered(index):
            def note(error, message):
                if error is not None:
                    faults.append(str(error))
                else:
                    placed[index] = message.offset()
            return note

        for i in range(ask["count"]):
            producer.produce(ask["topic"], b"run %d" % i, partition=0, callback=delivered(i))
            if i == 0:
                producer.flush(session.LIMIT_S)
                session.say(event="acked")
            producer.poll(0)
            time.sleep(ask["pace_us"] / 1e6)
        left = producer.flush(session.RUN_LIMIT_S)
        return {"error": f"{left} not delivered, faults {faults[:3]}"} if left or faults else \
            {"placed": placed}

    def consumer(self, ask, where):
        more = {}
        if ask.get("partition_bytes"):
            more["max.partition.fetch.bytes"] = ask["partition_bytes"]
        consumer = Consumer({**self.server, "group.id": "none", "enable.auto.commit": False,
                             "enable.partition.eof": True, **more})
        here = TopicPartition(ask["topic"], ask["partition"])
        if isinstance(where, dict):
            here.offset = where["time"]
            here = consumer.offsets_for_times([here], session.LIMIT_S)[0]
        else:
            here.offset = LOGICAL.get(where, where)
        consumer.assign([here])
        return consumer

    def take(self, consumer, count, got, ended=lambda: None):
        """Gives each record to got(record, at_us) until there were `count`; an error or None."""
        seen = []

        def enough():
            message = consumer.poll(1.0)
            if message is None:
                return False
            if message.error() is not None:
                if message.error().code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(message.error())
                ended()
                return False
            at = session.now_us()
            seen.append(message.offset())
            got(session.record(message.offset(), message.timestamp()[1], message.key(),
                               message.value(), message.headers()), at)
            return len(seen) >= count

        came = session.until(enough)
        consumer.close()
        return None if came else f"{len(seen)} of {count} records came"

    def consume(self, ask):
        records = []
        fault = self.take(self.consumer(ask, ask["from"]), ask["count"],
                          lambda record, at: records.append(record))
        return {"error": fault} if fault else {"records": records}

    def follow(self, ask):
        once = iter([True])

        def ended():
            if next(once, False):
                session.say(event="ready")

        fault = self.take(self.consumer(ask, "end"), ask["count"],
                          lambda record, at: session.say(event="got", at_us=at, record=record), ended)
        return {"error": fault} if fault else {}


if __name__ == "__main__":
    session.serve(Client)

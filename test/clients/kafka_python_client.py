#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kafka_python_client: kafka-python (Debian's 2.0.2, and those of today), as session.py says."""
import sys
import time

sys.dont_write_bytecode = True
import session
import kafka_python_groups
import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewPartitions, NewTopic
from kafka.errors import TopicAlreadyExistsError

VERSION = tuple(int(n) for n in kafka.__version__.split(".")[:2])
OLD = VERSION < (2, 1)


class Client(kafka_python_groups.Groups):
    def __init__(self, bootstrap):
        self.server = {"bootstrap_servers": bootstrap}
        self.name = "kafka-python"

    def hello(self, ask):
        lacks = {"null_key_null_value": "kafka-python wants a key or a value"}
        lacks.update(kafka_python_groups.group_lacks())
        lacks["null_header"] = "kafka-python sends no null headers"
        if OLD:
            lacks["idempotent"] = "kafka-python 2.0 has no idempotent producer"
        if (2, 1) <= VERSION < (3, 0):
            lacks["acks_0"] = "kafka-python 2.2 sends nothing with acks=0, to no broker"
        return {"name": self.name, "version": kafka.__version__, "lacks": lacks,
                "codecs": ["none", "gzip", "snappy", "lz4", "zstd"], "hash": "murmur2"}

    def metadata(self, ask):
        admin = KafkaAdminClient(**self.server)
        try:
            cluster, topics = admin.describe_cluster(), admin.describe_topics()
        finally:
            admin.close()
        # 3.x has other words than 2.x.
        brokers = [[b.get("node_id", b.get("broker_id")), f"{b['host']}:{b['port']}"]
                   for b in cluster["brokers"]]
        return {"brokers": brokers, "controller": cluster["controller_id"],
                "cluster": cluster["cluster_id"],
                "topics": {t.get("topic", t.get("name")): len(t["partitions"]) for t in topics}}

    def create(self, ask):
        admin = KafkaAdminClient(**self.server)
        try:
            admin.create_topics([NewTopic(ask["topic"], ask["partitions"], 1,
                                          topic_configs=ask.get("config") or {})])
            return {"outcome": "created"}
        except TopicAlreadyExistsError:
            return {"outcome": "exists"}
        finally:
            admin.close()

    def grow(self, ask):
        admin = KafkaAdminClient(**self.server)
        try:
            admin.create_partitions({ask["topic"]: NewPartitions(ask["partitions"])})
        finally:
            admin.close()
        return {"outcome": "grown"}

    def producer(self, ask, **more):
        codec = ask.get("codec", "none")
        acks = ask.get("acks", "all")
        if not OLD:
            more["enable_idempotence"] = bool(ask.get("idempotent"))
        return KafkaProducer(**self.server, acks=acks if acks == "all" else int(acks),
                             compression_type=None if codec == "none" else codec,
                             linger_ms=ask.get("linger_ms", 0), batch_size=1 << 20,
                             max_request_size=8 << 20, **more)

    def produce(self, ask):
        producer = self.producer(ask)
        producer.partitions_for(ask["topic"])
        sent = session.now_us()
        futures = [producer.send(ask["topic"], session.unhex(r["value"]), session.unhex(r["key"]),
                                 session.headers_of(r), ask["partition"], r["timestamp"])
                   for r in ask["records"]]
        done = [f.get(timeout=session.LIMIT_S) for f in futures]
        acked = session.now_us()
        told = ask.get("acks") != "0"
        producer.close()
        return {"placed": [[m.partition, m.offset if told else None] for m in done],
                "sent_us": sent, "acked_us": acked}

    def run(self, ask):
        more = {"delivery_timeout_ms": int(session.RUN_LIMIT_S * 1000)} if not OLD else {"retries": 1000}
        if OLD:
            more["max_in_flight_requests_per_connection"] = 1
        producer = self.producer(ask, reconnect_backoff_max_ms=200, retry_backoff_ms=50, **more)
        futures = []
        for i in range(ask["count"]):
            futures.append(producer.send(ask["topic"], b"run %d" % i, partition=0))
            if i == 0:
                futures[0].get(timeout=session.LIMIT_S)
                session.say(event="acked")
            time.sleep(ask["pace_us"] / 1e6)
        done = [f.get(timeout=session.RUN_LIMIT_S) for f in futures]
        producer.close()
        return {"placed": [m.offset for m in done]}

    def consumer(self, ask):
        more = {}
        if ask.get("partition_bytes"):
            more["max_partition_fetch_bytes"] = ask["partition_bytes"]
        consumer = KafkaConsumer(**self.server, group_id=None, enable_auto_commit=False, **more)
        here = TopicPartition(ask["topic"], ask["partition"])
        consumer.assign([here])
        return consumer, here

    def seek(self, consumer, here, where):
        if where == "beginning":
            consumer.seek_to_beginning(here)
        elif where == "end":
            consumer.seek_to_end(here)
        elif isinstance(where, dict):
            found = consumer.offsets_for_times({here: where["time"]})[here]
            consumer.seek(here, found.offset)
        else:
            consumer.seek(here, where)
        consumer.position(here)

    def consume(self, ask):
        consumer, here = self.consumer(ask)
        self.seek(consumer, here, ask["from"])
        records = []

        def enough():
            for group in consumer.poll(timeout_ms=200).values():
                records.extend(session.record(m.offset, m.timestamp, m.key, m.value, m.headers)
                               for m in group)
            return len(records) >= ask["count"]

        if not session.until(enough):
            return {"error": f"{len(records)} of {ask['count']} records came"}
        consumer.close()
        return {"records": records[:ask["count"]]}

    def follow(self, ask):
        consumer, here = self.consumer({**ask, "partition_bytes": None})
        self.seek(consumer, here, "end")
        session.say(event="ready")
        seen = []

        def enough():
            for group in consumer.poll(timeout_ms=5000).values():
                at = session.now_us()
                for m in group:
                    seen.append(m.offset)
                    session.say(event="got", at_us=at, record=session.record(
                        m.offset, m.timestamp, m.key, m.value, m.headers))
            return len(seen) >= ask["count"]

        came = session.until(enough)
        consumer.close()
        return {} if came else {"error": f"{len(seen)} of {ask['count']} records came"}


if __name__ == "__main__":
    session.serve(Client)

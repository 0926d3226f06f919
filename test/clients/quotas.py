#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""quotas: a real client (confluent-kafka, librdkafka below it) is slowed down to its quota and told so.

Quotas of client ids, without users, are set with AlterClientQuotas as an admin client sends it. Then
the same work is done under a client id with a quota and under one without: the first goes at about
its rate and hears of throttle times, the second is fast and hears of none; and when the quota is
taken back, the first is as fast.

    test/clients/quotas.py
"""
import json
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import apache
import fleet
import harness

RATE = 200_000         # bytes a second
SIZE, COUNT = 1000, 3200  # 16 s at the rate; ten seconds' worth may go at once
SPAN_S = 3             # of one request after the other
LIMIT_S = 60
ALTER_CLIENT_QUOTAS = 49


# ---- the client: runs where confluent-kafka is ----------------------------------------------------
def work(kind, address, client_id, topic):
    """Writes or reads COUNT records, or writes one by one for SPAN_S; what it took and was told."""
    from confluent_kafka import Consumer, Producer, TopicPartition
    told, done = [], 0
    conf = {"bootstrap.servers": address, "client.id": client_id,
            "throttle_cb": lambda event: told.append(event.throttle_time)}
    begin = time.monotonic()
    if kind == "produce":
        producer = Producer({**conf, "batch.size": 16384, "linger.ms": 5})
        for _ in range(COUNT):
            producer.produce(topic, b"x" * SIZE, partition=0)
            producer.poll(0)
        done = COUNT - producer.flush(LIMIT_S)
        took = time.monotonic() - begin
        producer.poll(0.2)
    elif kind == "requests":
        producer = Producer(conf)
        while time.monotonic() < begin + SPAN_S:
            producer.produce(topic, b"x", partition=0)
            done += 1 - producer.flush(LIMIT_S)
        took = time.monotonic() - begin
        producer.poll(0.2)
    else:
        consumer = Consumer({**conf, "group.id": client_id, "fetch.message.max.bytes": 65536})
        consumer.assign([TopicPartition(topic, 0, 0)])
        while done < COUNT and time.monotonic() < begin + LIMIT_S:
            message = consumer.poll(1)
            done += message is not None and not message.error()
        took = time.monotonic() - begin
        consumer.poll(0)
        consumer.close()
    print(json.dumps({"done": done, "seconds": took, "told": len(told), "most": max(told, default=0)}))


# ---- the test -------------------------------------------------------------------------------------
def text(word):
    return struct.pack(">h", len(word)) + word.encode()


def alter(address, client_id, key, value):
    """AlterClientQuotas v0 of one client id; value None takes it back. The error code."""
    op = text(key) + struct.pack(">d?", value or 0.0, value is None)
    entity = struct.pack(">i", 1) + text("client-id") + text(client_id)
    body = struct.pack(">i", 1) + entity + struct.pack(">i", 1) + op + b"\0"
    frame = struct.pack(">hhi", ALTER_CLIENT_QUOTAS, 0, 1) + text("quotas") + body
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), LIMIT_S) as s:
        s.sendall(struct.pack(">i", len(frame)) + frame)
        answer = s.makefile("rb")
        size = struct.unpack(">i", answer.read(4))[0]
        answer = answer.read(size)
    return struct.unpack_from(">h", answer, 12)[0]  # behind correlation id, throttle time and count


class Trial:
    def __init__(self, found, broker, command):
        self.found, self.broker, self.command = found, broker, command

    def run(self, kind, client_id, topic="t"):
        done = subprocess.run([*map(str, self.command), kind, self.broker.address, client_id, topic],
                              capture_output=True, text=True, timeout=3 * LIMIT_S,
                              env=harness.environment(self.broker.home.path))
        if done.returncode != 0:
            raise RuntimeError(f"{kind} as {client_id}: {(done.stdout + done.stderr)[-600:]}")
        answer = json.loads(done.stdout)
        if kind != "requests":
            self.found.equal(f"{kind} as {client_id}: all records", answer["done"], COUNT)
        return answer

    def quota(self, client_id, key, value):
        self.found.equal(f"{key}={value} of {client_id}", alter(self.broker.address, client_id, key, value), 0)

    def bytes(self, kind, key):
        """A quota in bytes a second."""
        slow, that = f"slow-{kind}", self.found.that
        self.quota(slow, key, RATE)
        held, free = self.run(kind, slow), self.run(kind, f"free-{kind}")
        rate = COUNT * SIZE / held["seconds"]
        that(f"{kind}: at about the quota", 0.6 * RATE < rate < 1.6 * RATE, f"{rate:.0f} B/s, {held}")
        that(f"{kind}: is told", held["told"] > 0 and held["most"] > 0, held)
        that(f"{kind}: another client id is not held", free["seconds"] < held["seconds"] / 3, (free, held))
        that(f"{kind}: nor told", free["told"] == 0, free)
        self.quota(slow, key, None)
        again = self.run(kind, slow)
        that(f"{kind}: free again", again["seconds"] < held["seconds"] / 3 and again["told"] == 0, again)
        print(f"{kind}: {rate:,.0f} B/s of {RATE:,}, throttled up to {held['most']} s; free "
              f"{COUNT * SIZE / free['seconds']:,.0f} B/s")

    def requests(self):
        """A quota in processor time."""
        self.quota("slow-requests", "request_percentage", 0.01)
        held, free = self.run("requests", "slow-requests"), self.run("requests", "free-requests")
        self.found.that("requests: is told", held["told"] > 0 and held["most"] > 0, held)
        self.found.that("requests: is held", held["done"] < free["done"] / 3, (held, free))
        self.found.that("requests: another is not told", free["told"] == 0, free)
        self.quota("slow-requests", "request_percentage", None)
        print(f"requests: {held['done']} in {held['seconds']:.1f} s with 0.01 %, free {free['done']}")


def main():
    if sys.argv[1:2] == ["--client"]:
        work(*sys.argv[2:])
        return 0
    try:
        command, _ = fleet.debian_python("quotas.py", "confluent_kafka", "python3-confluent-kafka")
    except fleet.Missing as why:
        print(f"no client can run here: {why}")
        return harness.SKIP
    home, found = harness.Home("quotas"), harness.Checks()
    broker = apache.KauriBroker(home)
    if broker.start() is None:
        raise RuntimeError(f"the broker does not start: {broker.errors()[-400:]}")
    broker.home = home
    broker.run("topic", "create", "t")
    trial = Trial(found, broker, [*command, "--client"])
    trial.bytes("produce", "producer_byte_rate")
    trial.bytes("fetch", "consumer_byte_rate")
    trial.requests()
    found.equal("the broker stops", broker.stop(), 0)
    return found.close("quotas")


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""replicas: what Kafka's users expect of replicated topics, seen by Kafka's own tools and clients.

    created       kafka-topics makes 6 partitions with 3 replicas on any of three addresses; with one
                  broker it is refused in Kafka's words
    in sync       a follower that stands still (SIGSTOP) leaves the in-sync set after
                  replica.lag.time.max.ms, and describe shows it; woken up it first gets what it
                  missed, then it is back
    too few       with both followers standing still acks=all is NOT_ENOUGH_REPLICAS, acks=1 goes on
    rack          a consumer with client.rack reads from the follower in its rack
    tail          a leader dies with acknowledged records (acks=1) that nobody else has: the next
                  leader goes on without them, the old one cuts them off, all logs are the same
                  bytes, and OffsetForLeaderEpoch tells where the epoch ended

    test/clients/replicas.py [--only RE]

Skipped without kcat or kafka-python; without Java, Maven or a network kcat looks instead of Apache's
kafka-topics. Exit 1 when a check failed.
"""
import argparse
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import traceback
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import admin_tool
import cluster
import fleet
import harness

LAG_MS, TOOL = 3000, "tools-4"
SELECTOR = "org.apache.kafka.common.replica.RackAwareReplicaSelector"
# One record with this acks, no retry: its offset, or the name of the error.
SEND = """
import sys
from kafka import KafkaProducer
p = KafkaProducer(bootstrap_servers=sys.argv[1], acks=int(sys.argv[3]), retries=0,
                  request_timeout_ms=20000)
try:
    for value in sys.argv[4:]:
        print(p.send(sys.argv[2], value.encode(), partition=0).get(timeout=25).offset)
except Exception as e:
    print(type(e).__name__)
"""


class Rig:
    def __init__(self, home):
        self.home, self.check = home, harness.Checks()
        self.cluster = cluster.Cluster(home, racks={1: "a", 2: "b", 3: "c"}, min_insync_replicas=2,
                                       replica_lag_time_max_ms=LAG_MS,
                                       replica_selector_class=SELECTOR).start_all()
        try:
            self.jars = admin_tool.jars(admin_tool.VERSIONS[TOOL])
        except fleet.Missing as why:
            self.jars = None
            self.check.skip("kafka-topics", why)

    def topics(self, where, *words):
        """kafka-topics: exit code and text; None without it."""
        if self.jars is None:
            return None
        java = [fleet.tool("java"), *fleet.JVM, "-cp", f"{self.jars}/*", admin_tool.TOOLS["topics"]]
        done = subprocess.run([*java, "--bootstrap-server", where, *map(str, words)],
                              capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def kcat(self, *words, data="", limit_s=40):
        return subprocess.run(["kcat", "-b", self.cluster.bootstrap, *map(str, words)], input=data,
                              capture_output=True, text=True, timeout=limit_s)

    def told(self, topic):
        """{partition: (leader, replicas, in sync)} as clients see it, at whatever broker."""
        found = json.loads(self.kcat("-L", "-J", "-t", topic).stdout)["topics"][0]["partitions"]
        return {p["partition"]: (p["leader"], sorted(r["id"] for r in p["replicas"]),
                                 sorted(r["id"] for r in p["isrs"])) for p in found}

    def send(self, topic, acks, *values):
        """By kafka-python, which gives up when the first it dials stands still: so the leader."""
        where = self.cluster[self.cluster.leader].address
        done = subprocess.run([fleet.PYTHON, "-c", SEND, where, topic, str(acks), *values],
                              capture_output=True, text=True, timeout=120)
        return done.stdout.split() or [done.stderr[-300:]]

    def read(self, topic, *words):
        return self.kcat("-C", "-t", topic, "-p", 0, "-o", "beginning", "-e", "-q", *words)

    def make(self, topic, partitions=1):
        done = self.cluster.kauri("topic", "create", topic, "-p", partitions)
        self.check.that(f"{topic} is made", done.code == 0, done)
        self.cluster.settle()

    def isr(self, topic, wanted, why):
        harness.wait_for(lambda: self.cluster.in_sync(topic) == wanted, 30.0, 0.1)
        self.check.equal(f"{why}: in sync", self.cluster.in_sync(topic), wanted)
        harness.wait_for(lambda: self.told(topic)[0][2] == wanted, 10.0, 0.1)
        self.check.equal(f"{why}: as clients see it", self.told(topic)[0][2], wanted)

    def describe(self, topic, *wanted):
        said = self.topics(self.cluster[self.cluster.leader].address, "--describe", "--topic", topic)
        for one in wanted if said else ():
            self.check.that(f"kafka-topics --describe {topic} says {one!r}", re.search(one, said[1]), said)


def case_created(rig):
    """B5, L2."""
    follower = rig.cluster[2].address
    said = rig.topics(follower, "--create", "--topic", "payment-events", "--partitions", 6,
                      "--replication-factor", 3)
    if said is None:
        rig.make("payment-events", 6)
    else:
        rig.check.that("kafka-topics that knows a follower makes a topic", said[0] == 0, said)
        rig.cluster.settle()
    rig.describe("payment-events", "PartitionCount: 6\t+ReplicationFactor: 3",
                 *(rf"Partition: {p}\s+Leader: 1\s+Replicas: 1,\d,\d\s+Isr: \d,\d,\d\s" for p in range(6)))
    rig.check.equal("every partition has 3 replicas in sync", rig.told("payment-events"),
                    {p: (1, [1, 2, 3], [1, 2, 3]) for p in range(6)})
    alone = harness.KafkaBroker(rig.home, "alone")
    alone.start("--broker-id", "1")
    said = rig.topics(alone.address, "--create", "--topic", "t", "--partitions", 1,
                      "--replication-factor", 3)
    if said is not None:
        rig.check.that("one broker refuses 3 replicas", said[0] != 0 and re.search(
            r"The target replication factor of 3 cannot be reached because only 1 broker\(s\) are "
            r"registered", said[1]), said)
    rig.check.equal("it stops", alone.stop(), 0)


def case_in_sync(rig):
    """L5."""
    rig.make("follows")
    rig.check.equal("a record", rig.send("follows", -1, "0"), ["0"])
    rig.cluster[3].signal(signal.SIGSTOP)
    rig.isr("follows", [1, 2], "one stands still")
    rig.describe("follows", r"Replicas: 1,\d,\d\s+Isr: (1,2|2,1)\s")
    values = [str(i) for i in range(1, 61)]
    rig.check.equal("acks=all goes on with two", rig.send("follows", -1, *values), values)
    rig.cluster[3].signal(signal.SIGCONT)
    rig.isr("follows", [1, 2, 3], "it is woken up")
    rig.check.that("it has what it missed", rig.cluster.same_logs("follows"))
    rig.check.equal("and everything is there", rig.read("follows").stdout.split(), ["0", *values])


def case_too_few(rig):
    """E6, F3, and tail (L9), for which both must stand still."""
    rig.make("tail")
    rig.check.equal("a record of all", rig.send("tail", -1, "first"), ["0"])
    epoch = rig.cluster.partitions("tail")[0]["epoch"]
    for number in (2, 3):
        rig.cluster[number].signal(signal.SIGSTOP)
    harness.wait_for(lambda: len(rig.cluster.in_sync("tail")) < 2, 30.0, 0.1)
    rig.check.equal("acks=all is refused", rig.send("tail", -1, "refused"), ["NotEnoughReplicasError"])
    got = rig.send("tail", 1, "lost 1", "lost 2", "lost 3")
    rig.check.equal("acks=1 is not", got, ["1", "2", "3"])
    rig.cluster[1].kill()
    for number in (2, 3):
        rig.cluster[number].signal(signal.SIGCONT)
    done = rig.cluster.promote(2)
    rig.check.that("another one leads", done.code == 0, done)
    harness.wait_for(lambda: len(rig.cluster.in_sync("tail")) == 2, 30.0, 0.1)
    rig.check.equal("it goes on behind what all had", rig.send("tail", -1, "kept"), ["1"])
    rig.cluster.start(1)
    rig.cluster.settle()
    rig.check.equal("the records are those of the new leader", rig.read("tail").stdout.splitlines(),
                    ["first", "kept"])
    rig.check.that("all logs are the same bytes", rig.cluster.same_logs("tail"),
                   {n: len(v) for n, v in rig.cluster.logs("tail").items()})
    now = rig.cluster.partitions("tail")[0]["epoch"]
    rig.check.equal("where the old epoch ended", epoch_end(rig, "tail", epoch), (0, epoch, 1))
    rig.check.equal("where the new one does", epoch_end(rig, "tail", now), (0, now, 2))


def epoch_end(rig, topic, epoch):
    """OffsetForLeaderEpoch, version 3, of partition 0 at its leader: error, epoch, end."""
    name = struct.pack(">h", len(topic)) + topic.encode()
    body = struct.pack(">hhih", 23, 3, 7, -1) + struct.pack(">ii", -1, 1) + name + \
        struct.pack(">iiii", 1, 0, -1, epoch)
    host, port = rig.cluster[rig.cluster.leader].address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 10) as wire:
        wire.sendall(struct.pack(">i", len(body)) + body)
        answer = wire.makefile("rb")
        answer = answer.read(struct.unpack(">i", answer.read(4))[0])
    error, _, found, end = struct.unpack(">hiiq", answer[4 + 4 + 4 + len(name) + 4:])
    return error, found, end


def case_rack(rig):
    """L10: KIP-392."""
    rig.make("near")
    values = [str(i) for i in range(100)]
    rig.check.equal("records", rig.send("near", -1, *values), values)
    leader = rig.cluster.leader
    near = next(n for n in rig.cluster.brokers if n != leader)
    done = rig.read("near", "-X", f"client.rack={'abc'[near - 1]}", "-d", "fetch,topic")
    rig.check.equal("a consumer with a rack reads everything", done.stdout.split(), values)
    asked = set(re.findall(r"/(\d)\S*: Fetch topic near \[0\]", done.stderr))
    rig.check.that("from the follower in it", str(near) in asked, done.stderr[-3000:])


CASES = (case_created, case_in_sync, case_rack, case_too_few)


def main():
    parser = argparse.ArgumentParser(description="Replicated topics by Kafka's tools and clients.")
    parser.add_argument("--only", metavar="RE", default="", help="only cases with such a name")
    options = parser.parse_args()
    home = harness.Home("replicas")
    try:
        fleet.tool("kcat")
        fleet.recipe_kafka_python()
    except fleet.Missing as why:
        print(why)
        return harness.SKIP
    rig = Rig(home)
    for case in CASES:
        if re.search(options.only, case.__name__):
            print(f"--- {case.__name__[5:]}", flush=True)
            try:
                case(rig)
            except Exception:
                rig.check.that(f"{case.__name__}: ended by itself", False, traceback.format_exc())
    rig.check.equal("all stop in order", rig.cluster.stop(), [0, 0, 0])
    return rig.check.close("replicas")


if __name__ == "__main__":
    sys.exit(main())

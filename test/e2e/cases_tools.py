# SPDX-License-Identifier: MIT
"""tools: the names of Apache's client tools against kauri, and a million records in order (rows B2 to
B4, B6, B8, C1, E7)."""
import subprocess

import harness
from cases_names import free_port

TOOL = harness.BUILD / "cli" / "kafka" / "kauri-kafka"
MILLION = 1_000_000


def started(t):
    broker, port = t.idle("tools"), free_port()
    t.check.that("it starts with Kafka's port", broker.start("--kafka", f"127.0.0.1:{port}") is not None,
                 broker.errors())
    return broker, f"127.0.0.1:{port}"


def tool(t, name, server, *words, data=None):
    done = subprocess.run([TOOL, name, "--bootstrap-server", server, *words], input=data,
                          capture_output=True, timeout=60, env=harness.environment(t.home.path))
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def case_topics(t):
    """kafka-topics: create, again, list, describe, alter, delete."""
    broker, server = started(t)
    create = ("--create", "--topic", "user-events", "--partitions", "3", "--replication-factor", "1")
    code, out, _ = tool(t, "kafka-topics", server, *create)
    t.check.that("B2: created", code == 0 and "Created topic user-events." in out, out)
    code, out, err = tool(t, "kafka-topics", server, *create)
    t.check.that("B2: a second time", code == 1 and "TopicExistsException" in out + err
                 and "Topic 'user-events' already exists." in out + err, out + err)
    for name in ("order-events", "payment-events", "inventory-events"):
        tool(t, "kafka-topics", server, "--create", "--topic", name)
    code, out, _ = tool(t, "kafka-topics", server, "--list")
    t.check.equal("B3, B6: the list", out.split(),
                  ["inventory-events", "order-events", "payment-events", "user-events"])
    code, out, _ = tool(t, "kafka-topics", server, "--describe", "--topic", "user-events")
    lines = out.splitlines()
    t.check.that("B4: described", "PartitionCount: 3\tReplicationFactor: 1" in lines[0] and len(lines) == 4
                 and all("Leader: 1\tReplicas: 1\tIsr: 1" in line for line in lines[1:]), out)
    code, out, err = tool(t, "kafka-topics", server, "--create", "--topic", "many", "--partitions", "6",
                          "--replication-factor", "3")
    t.check.that("B5: three replicas on one broker", code == 1 and "InvalidReplicationFactor" in out + err,
                 out + err)
    code, _, err = tool(t, "kafka-topics", server, "--alter", "--topic", "user-events", "--partitions", "6")
    t.check.that("B8: more partitions", code == 0 and "ordering" in err, err)
    code, out, err = tool(t, "kafka-topics", server, "--alter", "--topic", "user-events", "--partitions", "2")
    t.check.that("B8: never fewer", code == 1 and "InvalidPartitions" in out + err, out + err)
    code, _, _ = tool(t, "kafka-topics", server, "--delete", "--topic", "many.*", "--if-exists")
    t.check.equal("deleted if there", code, 0)


def case_console(t):
    """kafka-console-producer and -consumer; what one front wrote the other reads."""
    broker, server = started(t)
    broker.run("topic", "create", "c")
    code, _, err = tool(t, "kafka-console-producer", server, "--topic", "c", "--property", "parse.key=true",
                        data=b"k1\tone\nk2\ttwo\n")
    t.check.equal("produced", code, 0)
    got = broker.run("consume", "c", "-o", "start", "-e", "-f", "%k=%s\\n").out
    t.check.equal("kauri reads it", got, b"k1=one\nk2=two\n")
    broker.run("produce", "c", "-k", "k3", data="three\n")
    code, out, _ = tool(t, "kafka-console-consumer", server, "--topic", "c", "--from-beginning",
                        "--max-messages", "3", "--property", "print.key=true")
    t.check.equal("and the consumer reads all", (code, out), (0, "k1\tone\nk2\ttwo\nk3\tthree\n"))


def case_million(t):
    """C1: a million records by the console producer: offsets by one, in the order they were sent."""
    broker, server = started(t)
    broker.run("topic", "create", "m")
    lines = b"".join(b"%d\n" % i for i in range(MILLION))
    code, _, err = tool(t, "kafka-console-producer", server, "--topic", "m", data=lines)
    t.check.equal("C1: sent", code, 0)
    got = broker.run("consume", "m", "-o", "start", "-e").out
    t.check.that("C1: a million in order", got == lines, f"{len(got)} of {len(lines)} bytes")
    last = broker.run("consume", "m", "-o", "-1", "-e", "-f", "%o").out
    t.check.equal("C1: the last offset", last, b"%d" % (MILLION - 1))

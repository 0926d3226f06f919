# SPDX-License-Identifier: MIT
"""reading: from anywhere, again, at one's own pace (rows D1, D4, G6, G7)."""
import itertools
import json
import signal
import subprocess
import time

import harness

T0_MS = 1705327800000


def timed(broker, topic, count=100):
    """`count` records, ten seconds apart, in three batches."""
    rows = [json.dumps({"value": f"r{i}", "timestamp": T0_MS + i * 10000}) for i in range(count)]
    for at in range(0, count, 40):
        done = broker.run("produce", topic, "--json", data="\n".join(rows[at:at + 40]))
        assert done.code == 0, done


def case_where(t):
    """D4: start, N, -N, end, times, ranges."""
    broker = t.broker(log_retention_ms=-1)
    timed(broker, "t")

    def read(where, *more):
        return broker.run("consume", "t", "-o", where, "-e", *more).lines()

    every = [f"r{i}" for i in range(100)]
    t.check.equal("D4: start", read("start"), every)
    n = t.random.randrange(1, 100)
    t.check.equal(f"D4: {n}", read(n), every[n:])
    t.check.equal(f"D4: -{n}", read(f"-{n}"), every[-n:])
    t.check.equal("D4: -1000 of 100", read("-1000"), every)
    t.check.equal("D4: end", read("end"), [])
    for i in (0, 37, 40, 99):
        t.check.equal(f"D4: the very time of {i}", read(f"@{T0_MS + i * 10000}"), every[i:])
        t.check.equal(f"D4: a moment after {i}", read(f"@{T0_MS + i * 10000 + 1}"), every[i + 1:])
    t.check.equal("D4: a range of time", read(f"@{T0_MS + 200000}..@{T0_MS + 300000}"), every[20:30])
    t.check.equal("D4: in words", read("@2024-01-15T14:10:10Z..@2024-01-15T14:10:30Z"), every[1:3])
    t.check.equal("D4: before all", read("@2001-01-01"), every)
    t.check.equal("-n stops", read("10", "-n", "5"), every[10:15])
    done = broker.run("consume", "t", "-o", "101", "-e")
    t.check.that("behind the end: exit 1, told why", done.code == 1 and "101" in done.errors and
                 "hint" in done.errors, done)


def case_many_topics(t):
    """Several topics at once, told apart."""
    broker = t.broker()
    for name in ("a", "b", "c"):
        broker.run("produce", name, data="".join(f"{name}{i}\n" for i in range(50)))
    got = broker.run("consume", "a", "b", "c", "-o", "start", "-e", "-f", "%t %s\n").lines()
    t.check.equal("all of all", sorted(got), sorted(f"{n} {n}{i}" for n in "abc" for i in range(50)))


def case_follow(t):
    """A reader that waits sees what comes, also over a restart of the broker."""
    broker = t.broker()
    broker.run("topic", "create", "t")
    out = open(broker.folder / "followed", "wb")
    reader = broker.open("consume", "t", "-o", "start", stdin=subprocess.DEVNULL, stdout=out)

    def seen():
        return (broker.folder / "followed").read_text().splitlines()

    for turn in range(3):
        broker.run("produce", "t", data=f"turn {turn}\n")
        t.check.that(f"turn {turn} is seen", harness.wait_for(lambda: len(seen()) > turn, 20), seen())
        broker.kill()
        broker.start()
    reader.send_signal(signal.SIGINT)
    t.check.equal("Ctrl-C ends it: exit 130", reader.wait(20), 130)
    t.check.equal("each once", seen(), [f"turn {i}" for i in range(3)])


def case_slow_reader(t):
    """G6, G7: one that does not read holds nobody up, and loses nothing."""
    broker = t.broker()
    line = "x" * 1000
    broker.run("topic", "create", "t")
    slow = broker.open("consume", "t", "-o", "start", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    first = broker.run("produce", "t", data=f"{line}\n" * 2000)
    times = []
    for _ in range(5):
        start = time.monotonic()
        done = broker.run("produce", "t", "-p", "0", data=f"{line}\n" * 8000)
        times.append(time.monotonic() - start)
        t.check.that("G6: produce goes on beside a stalled reader", done.code == 0, done)
    got = broker.run("consume", "t", "-o", "start", "-e").lines()
    t.check.equal("G6: so does another reader", (first.code, len(got)), (0, 42000))
    status = open(f"/proc/{broker.child.pid}/status").read()
    anon = int(status.split("RssAnon:")[1].split()[0]) // 1024
    t.check.that(f"G6: the broker holds nothing for it ({anon} MiB)", harness.sanitized() or anon < 64, anon)
    count = sum(1 for _ in itertools.islice(slow.stdout, 42000))
    slow.kill()
    t.check.equal("G7: it reads on, nothing is lost", count, 42000)


def case_copy(t):
    """consume --json | produce --json copies a topic."""
    broker = t.broker(log_retention_ms=-1)
    rows = [{"key": f"k{i}", "value": f"v{i}", "timestamp": T0_MS + i, "headers": [["n", str(i)]]}
            for i in range(200)]
    broker.run("topic", "create", "a", "b", "-p", "3")
    broker.run("produce", "a", "--json", data="\n".join(map(json.dumps, rows)))
    text = broker.run("consume", "a", "-o", "start", "-e", "--json").out
    done = broker.run("produce", "b", "--json", data=text)
    parts = [sorted((e["partition"], e["offset"], e["key"], e["value"], e["timestamp"]) for e in
                    broker.run("consume", topic, "-o", "start", "-e", "--json").envelopes())
             for topic in ("a", "b")]
    t.check.that("a copy is the same, record by record", done.code == 0 and parts[0] == parts[1] and
                 len(parts[0]) == 200, done)

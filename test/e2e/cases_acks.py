# SPDX-License-Identifier: MIT
"""acks: what an acknowledgement is worth (rows F1, F2, F4, K3; the durability table)."""
import subprocess
import time

import harness


def case_kill(t):
    """F4: acknowledged, killed, there."""
    broker = t.broker()
    for n in range(10):
        done = broker.run("produce", "t", "--acks", "1" if n % 2 else "all", data=f"record {n}\n")
        broker.kill()
        t.check.that(f"F2, F4: acknowledged {n}", done.code == 0 and f"offset {n}" in done.text, done)
        broker.start()
    got = broker.run("consume", "t", "-o", "start", "-e").lines()
    t.check.equal("F4: ten kills, ten records", got, [f"record {n}" for n in range(10)])


def case_none(t):
    """F1: acks=0 arrives when nothing happens, and the help says what it is."""
    broker = t.broker()
    done = broker.run("produce", "t", "--acks", "0", data="".join(f"{i}\n" for i in range(1000)))
    t.check.that("F1: produce --acks 0", done.code == 0, done)
    harness.wait_for(lambda: broker.describe("t")["partitions"][0]["end"] == 1000, 10)
    got = broker.run("consume", "t", "-o", "start", "-e").lines()
    t.check.equal("F1: all there", got, [str(i) for i in range(1000)])
    done = broker.plain("help", "acks")
    t.check.that("F1: help acks warns", "lost" in done.text, done)


def case_os(t):
    """durability=os: a kill loses nothing, a clean stop loses nothing."""
    broker = t.broker(log_flush_interval_ms=60000)
    broker.run("topic", "create", "t", "-c", "durability=os")
    done = broker.run("produce", "t", data="".join(f"{i}\n" for i in range(5000)))
    got = broker.run("consume", "t", "-o", "start", "-e").lines()
    t.check.equal("os: visible at once", (done.code, len(got)), (0, 5000))
    broker.kill()
    broker.start()
    got = broker.run("consume", "t", "-o", "start", "-e").lines()
    t.check.equal("os: kill -9 loses nothing", got, [str(i) for i in range(5000)])
    done = broker.run("topic", "alter", "t", "--set", "durability=sync")
    t.check.equal("os: back to sync", done.code, 0)
    done = broker.run("produce", "t", data="synced\n")
    t.check.that("os: and on", done.code == 0 and "offset 5000" in done.text, done)


def case_outage(t):
    """K3: a producer lives through restarts: each record once, in order."""
    broker = t.broker()
    broker.run("topic", "create", "t")
    child = broker.open("produce", "t", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    for n in range(6):
        for i in range(2000):
            child.stdin.write(f"{n * 2000 + i}\n".encode())
        child.stdin.flush()
        time.sleep(t.random.uniform(0.0, 0.05))
        broker.kill()
        broker.start()
    child.stdin.close()
    t.check.equal("K3: acknowledged in the end", child.wait(90), 0)
    got = broker.run("consume", "t", "-o", "start", "-e").lines()
    t.check.that("K3: each once, in order", got == [str(i) for i in range(12000)],
                 f"{len(got)} lines, {len(set(got))} different")


def case_stop(t):
    """A stop in order answers everybody, tells what it did, and leaves a clean folder."""
    broker = t.broker()
    broker.run("produce", "t", data="x\n" * 1000)
    code = broker.stop()
    t.check.that("SIGTERM: exit 0 and a line about it", code == 0 and b"stopping:" in broker.words,
                 broker.words)
    done = broker.plain("verify", "--deep", broker.partition("t"))
    t.check.that("verify finds nothing", done.code == 0 and "1000 records" in done.text, done)
    broker.start()
    t.check.that("and a start says what is there", b"1 topic" in broker.words, broker.words)

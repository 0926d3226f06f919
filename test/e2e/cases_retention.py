# SPDX-License-Identifier: MIT
"""retention: old records go by time, by size, or never (rows I1 to I6), or when somebody says so; and du agrees."""
import json
import time

import harness

CHECK = {"log_retention_check_interval_ms": 100, "log_segment_delete_delay_ms": 0}
SEGMENT = 65536


def part(broker, topic):
    return broker.describe(topic)["partitions"][0]


def fill(broker, topic, megabytes, stamp_ms=None):
    """Lines of 1000 bytes, in many batches; the newest offset."""
    rows = []
    for i in range(megabytes * 1000):
        value = f"{i:01000d}"
        rows.append(json.dumps({"value": value, "timestamp": stamp_ms}) if stamp_ms else value)
    words = ("--json",) if stamp_ms else ()
    done = broker.run("produce", topic, "--batch-size", "16K", *words, data="\n".join(rows) + "\n")
    assert done.code == 0, done


def case_defaults(t):
    """I1, I2: seven days; the whole broker or one topic may say else."""
    broker = t.broker("a")
    broker.run("topic", "create", "t")
    broker.run("topic", "create", "u", "-c", "retention.ms=720h")

    def kept(topic):
        told = broker.run("topic", "describe", topic, "-c", "--json").json()["configs"]
        return told["retention.ms"]["value"]

    t.check.equal("I1: seven days", kept("t"), "604800000")
    t.check.equal("I2: 720 hours for one topic", kept("u"), "2592000000")
    other = t.broker("b", log_retention_hours=720)
    other.run("topic", "create", "t")
    told = other.run("topic", "describe", "t", "-c", "--json").json()["configs"]["retention.ms"]
    t.check.equal("I2: 720 hours for the broker", told["value"], "2592000000")


def case_bytes(t):
    """I3, I4, I6: by size; what is below the start is out of range."""
    broker = t.broker(**CHECK)
    limits = {"small": 262144, "large": 1048576}
    for topic, limit in limits.items():
        broker.run("topic", "create", topic, "-c", f"retention.bytes={limit}",
                   "-c", f"segment.bytes={SEGMENT}")
    broker.run("topic", "create", "all", "-c", f"segment.bytes={SEGMENT}")
    for topic in ("small", "large", "all"):
        fill(broker, topic, 2)
        broker.run("consume", topic, "-o", "start", "-n", "5") if topic == "small" else None
    for topic, limit in limits.items():
        bound = limit + SEGMENT
        t.check.that(f"I3: {topic}: at most {limit} and a segment",
                     harness.wait_for(lambda: part(broker, topic)["bytes"] <= bound, 10),
                     part(broker, topic))
        told = part(broker, topic)
        t.check.that(f"I3: {topic}: not more than needed went", told["bytes"] > limit - SEGMENT, told)
        t.check.that(f"I3: {topic}: the start moved", 0 < told["log_start"] < told["end"] == 2000, told)
        files = sum(p.stat().st_size for p in broker.partition(topic).glob("*.log"))
        t.check.that(f"I3: {topic}: the files are gone", files < bound + (2 << 20), files)
        done = broker.run("consume", topic, "-o", "0", "-e")
        t.check.that(f"I3: {topic}: offset 0 is no longer kept: exit 1, says where it starts",
                     done.code == 1 and str(told["log_start"]) in done.errors and "hint" in done.errors,
                     done)
        got = broker.run("consume", topic, "-o", "start", "-e", "-f", "%o\n").lines()
        t.check.equal(f"I3: {topic}: the rest is whole", got,
                      [str(i) for i in range(told["log_start"], 2000)])
    t.check.equal("I6: a topic without a limit keeps all", part(broker, "all")["log_start"], 0)
    broker.kill()
    start = part_after_restart(broker, "small")
    t.check.that("I3: the start is not forgotten", start > 0, start)


def part_after_restart(broker, topic):
    broker.start()
    broker.run("consume", topic, "-o", "start", "-n", "1")
    return part(broker, topic)["log_start"]


def case_time(t):
    """I1, I5: by time, the active segment too; -1 keeps for ever."""
    broker = t.broker(**CHECK)
    old = int(time.time() * 1000) - 3600 * 1000
    broker.run("topic", "create", "hour", "-c", "retention.ms=30m", "-c", f"segment.bytes={SEGMENT}")
    broker.run("topic", "create", "ever", "-c", "retention.ms=-1", "-c", f"segment.bytes={SEGMENT}")
    for topic in ("ever", "hour"):
        fill(broker, topic, 1, old)
    t.check.that("I1: all of it is old: the active segment went too",
                 harness.wait_for(lambda: part(broker, "hour")["log_start"] == 1000, 10),
                 part(broker, "hour"))
    done = broker.run("produce", "hour", data="new\n")
    t.check.that("I1: offsets go on", "offset 1000" in done.text, done)
    got = broker.run("consume", "hour", "-o", "start", "-e").lines()
    t.check.equal("I1: what is new stays", got, ["new"])
    t.check.equal("I5: retention.ms=-1 keeps all", part(broker, "ever")["log_start"], 0)


def blocks(path):
    """Bytes on disk; 0 when it has gone meanwhile."""
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def used(broker, topic):
    """What du says of the partition's folder, but for what it knows of its producers."""
    return sum(map(blocks, (p for p in broker.partition(topic).iterdir() if p.suffix != ".snapshot")))


def sealed(broker, topic):
    """The same, without the segment that is written: space is reserved ahead there."""
    logs = sorted(broker.partition(topic).glob("*.log"))
    return sum(map(blocks, logs[:-1]))


def soon(what, limit_s=5):
    """Whether it is so within the limit, and after how long."""
    start = time.monotonic()
    return harness.wait_for(what, limit_s), f"{time.monotonic() - start:.1f} s"


def case_exact(t):
    """By time, while it is written and with the default check interval: reads and du follow."""
    broker = t.broker()
    broker.run("topic", "create", "t", "-c", "retention.ms=4s")
    written, oldest, most = [], 0, 0
    end = time.monotonic() + 14
    while time.monotonic() < end:
        fill(broker, "t", 1)
        written.append((time.monotonic(), part(broker, "t")["end"]))
        got = broker.run("consume", "t", "-o", "start", "-n", "1", "--json").lines()
        age = time.time() * 1000 - json.loads(got[0])["timestamp"] if got else 0
        oldest = max(oldest, age)
        kept = part(broker, "t")["end"] - max([o for w, o in written if w < time.monotonic() - 9] + [0])
        most = max(most, sealed(broker, "t") - kept * 1100)
    t.check.that("the oldest record read is as old as the limit", 3000 < oldest < 7500, oldest)
    t.check.that("du: no more than what is a few seconds older", most < (2 << 20), most)
    ok, after = soon(lambda: used(broker, "t") < 65536, 9)
    left = {f.name: blocks(f) for f in broker.partition("t").iterdir()}
    t.check.that("no write comes: all of it goes, du agrees", ok, (after, left))
    t.check.that("nothing is left to read", part(broker, "t")["log_start"] == part(broker, "t")["end"] > 0,
                 part(broker, "t"))


def case_exact_bytes(t):
    """By size, while it is written: du stays within the limit and an eighth."""
    broker = t.broker()
    broker.run("topic", "create", "t", "-c", "retention.bytes=16M")
    most = 0
    for _ in range(12):
        fill(broker, "t", 4)
        most = max(most, used(broker, "t"))
    t.check.that("du: the limit, an eighth and what is on its way", most < (21 << 20), most)
    ok, after = soon(lambda: used(broker, "t") < (18 << 20) + (1 << 19), 3)
    t.check.that("du: the limit and an eighth", ok, (after, used(broker, "t")))
    t.check.that("and not less than the limit", part(broker, "t")["bytes"] >= 16 << 20, part(broker, "t"))


def case_change(t):
    """A new limit counts at once, whatever the check interval is, and while produce goes on."""
    broker = t.broker()
    old = int(time.time() * 1000) - 3600 * 1000
    for topic in ("ever", "bytes"):
        broker.run("topic", "create", topic, "-c", "retention.ms=-1")
    fill(broker, "ever", 8, old)
    fill(broker, "bytes", 8)
    broker.run("topic", "alter", "bytes", "--set", "segment.bytes=1M", "--set", "retention.bytes=1M")
    fill(broker, "bytes", 2)
    broker.run("topic", "alter", "ever", "--set", "retention.ms=30m")
    ok, after = soon(lambda: part(broker, "ever")["log_start"] == 8000 and used(broker, "ever") < 65536)
    t.check.that("retention.ms: all is gone at once, du agrees", ok, (after, used(broker, "ever")))
    ok, after = soon(lambda: used(broker, "bytes") < (3 << 20))
    t.check.that("retention.bytes: likewise", ok, (after, used(broker, "bytes")))
    fill(broker, "ever", 1)
    t.check.equal("what is new stays", part(broker, "ever")["log_start"], 8000)


def case_future(t):
    """One record from the future keeps nothing: it is as old as its append, after a restart as its file."""
    broker = t.broker()
    future = int(time.time() * 1000) + 365 * 86400 * 1000
    for topic in ("t", "u"):
        broker.run("topic", "create", topic, "-c", "retention.ms=4s")
        fill(broker, topic, 1, future)
        fill(broker, topic, 1)
    t.check.equal("it is there", part(broker, "t")["log_start"], 0)
    ok, after = soon(lambda: part(broker, "t")["log_start"] == 2000 and used(broker, "t") < 65536, 9)
    t.check.that("and goes with the others, du agrees", ok, (after, part(broker, "t"), used(broker, "t")))
    broker.run("topic", "alter", "u", "--set", "retention.ms=20s")
    fill(broker, "u", 1, future)
    broker.kill()
    broker.start()
    ok, after = soon(lambda: used(broker, "u") < 65536, 30)
    t.check.that("likewise after a kill", ok, (after, part(broker, "u"), used(broker, "u")))


def case_purge(t):
    """Trim and purge are instant, on disk, too; file.delete.delay.ms is kept to."""
    broker = t.broker()
    broker.run("topic", "create", "late", "-c", "file.delete.delay.ms=4s")
    for topic in ("t", "late"):
        fill(broker, topic, 40)
    t.check.that("it takes its space", used(broker, "t") > 40 * 1000 * 1000, used(broker, "t"))
    start = time.monotonic()
    done = broker.run("topic", "purge", "t", "-y")
    ok, _ = soon(lambda: used(broker, "t") < 65536, 2)
    t.check.that("purge: du agrees", done.code == 0 and ok, (done, used(broker, "t")))
    t.check.that("and it was quick", time.monotonic() - start < 2, time.monotonic() - start)
    t.check.equal("nothing is left", broker.run("consume", "t", "-o", "start", "-e").lines(), [])
    broker.run("topic", "trim", "late", "--before", "end", "-y")
    t.check.that("with a delay the file stays", used(broker, "late") > 40 * 1000 * 1000, used(broker, "late"))
    ok, after = soon(lambda: used(broker, "late") < 65536, 9)
    t.check.that("and goes then", ok and float(after.split()[0]) > 2, (after, used(broker, "late")))


def case_trim(t):
    """topic trim: before an offset, or all."""
    broker = t.broker(**CHECK)
    broker.run("produce", "t", data="".join(f"{i}\n" for i in range(1000)))
    done = broker.run("topic", "trim", "t", "-p", "0", "--before", "400", "-y")
    t.check.that("trim --before 400", done.code == 0, done)
    got = broker.run("consume", "t", "-o", "start", "-e").lines()
    t.check.equal("the rest begins at 400", got, [str(i) for i in range(400, 1000)])
    broker.kill()
    broker.start()
    got = broker.run("consume", "t", "-o", "start", "-n", "1").lines()
    t.check.equal("also after a kill -9", got, ["400"])
    done = broker.run("topic", "trim", "t", "-p", "0", "--before", "end", "-y")
    got = broker.run("consume", "t", "-o", "start", "-e").lines()
    t.check.equal("trim --before end", (done.code, got), (0, []))
    done = broker.run("produce", "t", data="next\n")
    t.check.that("offsets go on", "offset 1000" in done.text, done)

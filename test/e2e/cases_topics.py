# SPDX-License-Identifier: MIT
"""topics: made, listed, grown, deleted; and where records go (rows B6 to B9, C1 to C7)."""
import hashlib
import json
import subprocess

import harness

# Java's murmur2, & 0x7fffffff: the two vectors everybody quotes, then modulo the partitions.
MURMUR2 = {"21": -973932308 & 0x7fffffff, "foobar": -790332482 & 0x7fffffff}


def case_life(t):
    """B2 to B4, B6: create, list, describe, delete; each apart from the others."""
    broker = t.broker()
    names = ["user-events", "order-events", "payment-events", "inventory-events"]
    for name in names:
        done = broker.run("topic", "create", name, "-p", "3")
        t.check.that(f"B6: create {name}", done.code == 0 and f"created {name}" in done.text, done)
        broker.run("produce", name, "-p", "1", data=f"only in {name}\n")
    done = broker.run("topic", "create", "user-events")
    t.check.that("B2: a second create: exit 3", done.code == 3 and "exists" in done.errors, done)
    listed = [row.split()[0] for row in broker.run("topic", "list").lines()[1:]]
    t.check.equal("B3: list is sorted", listed, sorted(names))
    for name in names:
        got = broker.run("consume", name, "-o", "start", "-e")
        t.check.equal(f"B6: {name} holds its own", got.text, f"only in {name}\n")
    told = broker.describe("user-events")
    t.check.equal("B4: describe", (told["name"], told["partition_count"], len(told["partitions"])),
                  ("user-events", 3, 3))
    done = broker.run("topic", "delete", "order-events", "-y")
    t.check.that("delete", done.code == 0, done)
    done = broker.run("consume", "order-events", "-o", "start", "-e")
    t.check.that("a deleted topic is not found: exit 3", done.code == 3, done)
    t.check.that("its folders are gone", harness.wait_for(
        lambda: not list(broker.data.glob("order-events-*"))), list(broker.data.iterdir()))
    broker.kill()
    broker.start()
    listed = [row.split()[0] for row in broker.run("topic", "list").lines()[1:]]
    t.check.equal("all is so after a kill -9", listed, sorted(set(names) - {"order-events"}))


def case_layout(t):
    """B7: a topic is folders; a segment is named by its first offset."""
    broker = t.broker()
    broker.run("topic", "create", "t", "-p", "2", "-c", "segment.bytes=65536")
    for _ in range(3):
        broker.run("produce", "t", "-p", "1", data="".join(f"{i:0100d}\n" for i in range(400)))
    names = sorted(p.name for p in broker.partition("t", 1).glob("*.log"))
    t.check.that("B7: 20 digits, the first is 0, more than one",
                 len(names) > 1 and names[0] == f"{0:020d}.log" and
                 all(len(n) == 24 and n[:20].isdigit() for n in names), names)
    for name in names:
        first = int.from_bytes((broker.partition("t", 1) / name).read_bytes()[:8], "big")
        t.check.equal(f"B7: {name} begins at its name", first, int(name[:20]))
    t.check.that("no folder before the first record", not broker.partition("t", 0).exists())


def case_grow(t):
    """B8: more partitions, never fewer, and a word about keys."""
    broker = t.broker()
    broker.run("topic", "create", "t", "-p", "3")
    keys = [f"key-{i}" for i in range(200)]
    broker.run("produce", "t", "-K", ":", data="".join(f"{k}:1\n" for k in keys))
    done = broker.run("topic", "alter", "t", "--partitions", "6", "-y")
    t.check.that("B8: 3 to 6, with a warning about keys",
                 done.code == 0 and "key" in done.errors + done.text, done)
    for fewer in (6, 2):
        done = broker.run("topic", "alter", "t", "--partitions", fewer, "-y")
        t.check.that(f"B8: 6 to {fewer} is refused", done.code != 0 and done.errors, done)
    broker.run("produce", "t", "-K", ":", data="".join(f"{k}:2\n" for k in keys))
    got = broker.run("consume", "t", "-o", "start", "-e", "--json").envelopes()
    places = {(e["key"], e["value"]): e["partition"] for e in got}
    moved = sum(places[k, "1"] != places[k, "2"] for k in keys)
    t.check.that(f"B8: keys move ({moved} of 200)", len(got) == 400 and 0 < moved < 200, len(got))


def case_many(t):
    """B9: many small topics; 10,000 in the long run."""
    count = 10000 if harness.LONG else 1000
    broker = t.broker()
    names = [f"small-{i:05d}" for i in range(count)]
    for at in range(0, count, 500):
        done = broker.run("topic", "create", *names[at:at + 500])
        if done.code != 0:
            t.check.that("B9: create", False, done)
    broker.run("produce", names[7], data="x\n")
    listed = broker.run("topic", "list", "--json").json()["topics"]
    t.check.equal(f"B9: {count} topics", [e["name"] for e in listed], names)
    broker.kill()
    seconds = broker.start()
    status = open(f"/proc/{broker.child.pid}/status").read()
    anon = int(status.split("RssAnon:")[1].split()[0]) // 1024
    files = len(list(harness.Path(f"/proc/{broker.child.pid}/fd").iterdir()))
    t.check.that(f"B9: ready again in {seconds * 1000:.0f} ms, {anon} MiB, {files} descriptors",
                 seconds < 5 and (harness.sanitized() or anon < 200) and files < 200, (seconds, anon, files))
    got = broker.run("consume", names[7], "-o", "start", "-e")
    t.check.equal("B9: and the record is there", got.text, "x\n")


def case_order(t):
    """C1, D1: offsets from 0, one by one, in the order sent."""
    count = 1000000
    broker = t.broker()
    lines = "".join(f"{i}\n" for i in range(count)).encode()
    (broker.folder / "lines").write_bytes(lines)
    done = broker.run("produce", "t", "-z", "lz4", "-l", broker.folder / "lines")
    t.check.that(f"C1: {count} records in", done.code == 0, done)
    got = broker.run("consume", "t", "-o", "start", "-e", "-f", "%o %s\n")
    wanted = "".join(f"{i} {i}\n" for i in range(count)).encode()
    t.check.that("C1, D1: each at its offset, in order", hashlib.sha256(got.out).digest() ==
                 hashlib.sha256(wanted).digest(), f"exit {got.code}, {len(got.lines())} lines")


def case_keys(t):
    """C2: a key's partition is Java's."""
    broker = t.broker()
    for partitions in (3, 7, 12):
        topic = f"t{partitions}"
        broker.run("topic", "create", topic, "-p", partitions)
        broker.run("produce", topic, "-K", ":", data="".join(f"{k}:v\n" for k in MURMUR2))
        got = broker.run("consume", topic, "-o", "start", "-e", "--json").envelopes()
        t.check.equal(f"C2: murmur2 over {partitions}", {e["key"]: e["partition"] for e in got},
                      {k: h % partitions for k, h in MURMUR2.items()})
    lines = "".join(f"k{i % 5}:{i}\n" for i in range(500))
    broker.run("produce", "t7", "-K", ":", data=lines)
    got = broker.run("consume", "t7", "-o", "start", "-e", "--json").envelopes()
    for k in range(5):
        mine = [(e["partition"], int(e["value"])) for e in got if e["key"] == f"k{k}"]
        t.check.that(f"C2: k{k} in one partition, in order", len({p for p, _ in mine}) == 1 and
                     [v for _, v in mine] == list(range(k, 500, 5)), mine[:5])


def case_turns(t):
    """C3, C4: without a key in turn; or where one says."""
    broker = t.broker()
    broker.run("topic", "create", "t", "-p", "3")
    broker.run("produce", "t", data="".join(f"{i}\n" for i in range(300)))
    got = broker.run("consume", "t", "-o", "start", "-e", "--json").envelopes()
    by = [[int(e["value"]) for e in got if e["partition"] == p] for p in range(3)]
    t.check.that("C3: exact turns", all(len(b) == 100 and len({v % 3 for v in b}) == 1 for b in by),
                 [b[:5] for b in by])
    broker.run("produce", "t", "-p", "2", "-k", "any", data="here\n")
    got = broker.run("consume", "t", "-p", "2", "-o", "100", "-e")
    t.check.equal("C4: -p 2", got.text, "here\n")
    done = broker.run("produce", "t", "-p", "3", data="nowhere\n")
    t.check.that("C4: -p 3 of 0..2 is refused", done.code != 0 and done.errors, done)


def case_one_order(t):
    """C7: one partition, four producers, two readers: one order, each producer's kept."""
    broker = t.broker()
    broker.run("topic", "create", "t")
    readers = [broker.open("consume", "t", "-o", "start", "-n", 4000, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE) for _ in range(2)]
    writers = []
    for w in range(4):
        child = broker.open("produce", "t", "--linger", "1ms", stdin=subprocess.PIPE,
                            stdout=subprocess.DEVNULL)
        writers.append(child)
    for i in range(1000):
        for w, child in enumerate(writers):
            child.stdin.write(f"{w} {i}\n".encode())
    for child in writers:
        child.stdin.close()
    codes = [child.wait(60) for child in writers]
    seen = [r.communicate(timeout=60)[0] for r in readers]
    t.check.equal("C7: four producers", codes, [0, 0, 0, 0])
    t.check.that("C7: both readers saw one order", seen[0] == seen[1], [len(s) for s in seen])
    rows = [tuple(map(int, line.split())) for line in seen[0].decode().splitlines()]
    t.check.that("C7: each producer's order kept",
                 all([i for w, i in rows if w == n] == list(range(1000)) for n in range(4)), len(rows))


def case_configs(t):
    """B10: settings of a topic, given, changed, taken back, kept."""
    broker = t.broker()
    broker.run("topic", "create", "t", "-c", "retention.ms=12h")

    def value(key):
        return broker.run("topic", "describe", "t", "-c", "--json").json()["configs"][key]["value"]

    t.check.equal("given at birth", value("retention.ms"), "43200000")
    done = broker.run("topic", "alter", "t", "--set", "retention.ms=-1", "--set", "segment.bytes=1M")
    t.check.equal("changed", (done.code, value("retention.ms"), value("segment.bytes")),
                  (0, "-1", "1048576"))
    broker.kill()
    broker.start()
    t.check.equal("kept over a kill -9", value("retention.ms"), "-1")
    broker.run("topic", "alter", "t", "--unset", "retention.ms")
    t.check.equal("taken back", value("retention.ms"), "604800000")
    done = broker.run("topic", "alter", "t", "--set", "retention.msec=1")
    t.check.that("an unknown key: exit 2 and the nearest name",
                 done.code == 2 and "retention.ms" in done.errors, done)
    done = broker.run("topic", "create", "u", "-c", "segment.bytes=abc")
    t.check.that("a bad value: exit 2", done.code == 2 and "segment.bytes" in done.errors, done)
    listed = json.loads(broker.run("topic", "list", "--json").text)["topics"]
    t.check.equal("and nothing was made", [e["name"] for e in listed], ["t"])

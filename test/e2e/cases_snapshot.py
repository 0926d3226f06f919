# SPDX-License-Identifier: MIT
"""snapshot: a copy of a running broker, taken under load; what is restored of it is one moment of it."""
import os
import re
import subprocess
import tempfile

import harness

PART = re.compile(r"^part (\S+) \S+ generation=(\d+) start=(\d+) end=(\d+) base=(\d+) size=(\d+)$", re.M)


def ends(folder):
    """{partition folder: end} by the manifest."""
    return {m[1]: int(m[4]) for m in PART.finditer((folder / "snapshot").read_text())}


def counter(broker, topic):
    """Counts up into a topic until its stdin closes."""
    feed = subprocess.Popen(["seq", "1", "100000000"], stdout=subprocess.PIPE,
                            preexec_fn=harness.die_with_parent)
    sender = broker.open("produce", topic, "-q", "--rate", "20000", stdin=feed.stdout,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return feed, sender


def acked(broker, topic):
    return sum(p["end"] for p in broker.describe(topic)["partitions"])


def has_committed(broker):
    done = broker.run("group", "describe", "readers", "--json")
    rows = done.json()["partitions"] if done.code == 0 else []
    return bool(rows) and all(row["committed"] is not None for row in rows)


def restored(t, broker, snapshot, name):
    """A broker on what a snapshot gives, started; it must have verified."""
    other = t.idle(name)
    done = broker.plain("snapshot", "--restore", snapshot, "--data", other.data)
    t.check.that(f"{name}: restored", done.code == 0, done)
    done = broker.plain("verify", "--deep", other.data)
    t.check.that(f"{name}: verify --deep finds nothing", done.code == 0, done)
    t.check.that(f"{name}: it starts", other.start() is not None, other.errors())
    return other


def judge(t, other, snapshot, topic, least, name):
    """Records 1, 2, ... up to the manifest's end, at least those that were acknowledged before."""
    numbers = [int(line) for line in other.run("consume", topic, "-o", "start", "-e").lines()]
    end = ends(snapshot)[f"{topic}-0"]
    t.check.that(f"{name}: what was acknowledged before is there", end >= least, (end, least))
    t.check.that(f"{name}: every record below the end, and none other",
                 numbers == list(range(1, end + 1)), (len(numbers), end))
    for row in other.run("group", "describe", "readers", "--json").json()["partitions"]:
        t.check.that(f"{name}: no committed offset beyond its log",
                     row["committed"] <= row["end"] == end, row)


def case_under_load(t):
    """Three snapshots while records and commits come in; kill -9; each restores to its moment."""
    broker = t.broker(log_segment_bytes=1 << 17)
    broker.run("topic", "create", "n")
    feed, sender = counter(broker, "n")
    reader = broker.open("consume", "n", "-g", "readers", "-o", "start", "-q",
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    least = []
    for i in range(3):
        goal = (least[-1] if least else 0) + 20000
        harness.wait_for(lambda: acked(broker, "n") >= goal, 60)
        harness.wait_for(lambda: has_committed(broker))
        least.append(acked(broker, "n"))
        done = broker.run("snapshot", broker.folder / f"snap{i}", "--json")
        t.check.that(f"snapshot {i}", done.code == 0 and done.json()["linked_bytes"] > 0, done)
        t.check.that(f"snapshot {i}: in seconds", done.code == 0 and done.json()["took_ms"] < 5000, done)
    broker.kill()
    for child in (sender, reader, feed):
        child.kill()
        child.wait()
    for i in range(3):
        other = restored(t, broker, broker.folder / f"snap{i}", f"r{i}")
        judge(t, other, broker.folder / f"snap{i}", "n", least[i], f"r{i}")
        other.run("produce", "n", data="after\n")
        t.check.equal(f"r{i}: it goes on", other.run("consume", "n", "-o", "-1", "-e").text, "after\n")
    t.check.that("the broker itself starts again", broker.start() is not None, broker.errors())


def case_compacted(t):
    """Snapshots while compaction swaps segments: each is sound, and no key is older than at its moment."""
    broker = t.broker(log_cleaner_backoff_ms=100, log_cleaner_min_cleanable_ratio=0.01)
    broker.run("topic", "create", "t", "-c", "cleanup.policy=compact", "-c", "segment.bytes=65536")
    turn, least, made = 0, [], 0
    for i in range(6):
        for _ in range(8):
            turn += 1
            rows = "".join(f'{{"key": "k{k}", "value": "{turn} {"x" * 100}"}}\n' for k in range(400))
            broker.run("produce", "t", "--json", "--batch-size", "8K", data=rows)
        least.append(turn)
        done = broker.run("snapshot", broker.folder / f"snap{i}")
        t.check.that(f"snapshot {i}", done.code == 0, done)
        made += "generation=0" not in (broker.folder / f"snap{i}" / "snapshot").read_text().split("part t-0 ")[1]
    t.check.that("some of a compacted log", made > 0, made)
    t.check.that("compaction goes on", harness.wait_for(
        lambda: broker.run("consume", "t", "-o", "start", "-e").text.count("\n") < 2000, 20))
    for i in range(6):
        other = restored(t, broker, broker.folder / f"snap{i}", f"r{i}")
        seen = {row["key"]: int(row["value"].split()[0])
                for row in other.run("consume", "t", "-o", "start", "-e", "--json").envelopes()}
        t.check.that(f"r{i}: every key as it was", len(seen) == 400 and set(seen.values()) == {least[i]},
                     (len(seen), set(seen.values()), least[i]))


def case_links(t):
    """What is the same takes no space twice; nothing of a snapshot changes afterwards."""
    broker = t.broker()
    broker.run("produce", "a", data="1\n2\n3\n")
    one, two = broker.folder / "one", broker.folder / "two"
    first = broker.run("snapshot", one, "--json").json()
    second = broker.run("snapshot", two, "--json").json()
    t.check.equal("the second copies nothing", second["copied_bytes"], 0)
    log = "a-0/00000000000000000000.log"
    t.check.that("and shares the bytes", (one / log).samefile(two / log), first)
    before = (one / log).read_bytes()
    broker.run("produce", "a", data="4\n")
    other = restored(t, broker, two, "links")
    other.run("produce", "a", data="5\n")
    t.check.equal("neither broker writes into it", (one / log).read_bytes(), before)
    t.check.equal("the restored one has its own", other.run("consume", "a", "-o", "start", "-e").lines(),
                  ["1", "2", "3", "5"])
    t.check.equal("the first one too", broker.run("consume", "a", "-o", "start", "-e").lines(),
                  ["1", "2", "3", "4"])


def case_words(t):
    """What is refused, and how it is said."""
    broker = t.broker()
    broker.run("produce", "a", data="1\n")
    snap = broker.folder / "snap"
    done = broker.run("snapshot", snap)
    t.check.that("one line", done.code == 0 and re.match(rf"{snap}: \d+ partitions, .* linked, .* copied, \d+ ms\n",
                                                         done.text), done)
    done = broker.run("snapshot", snap)
    t.check.that("twice", done.code == 3 and "exists already" in done.errors, done)
    done = broker.run("snapshot", broker.data / "s")
    t.check.that("in the data folder", done.code == 2 and "data folder" in done.errors, done)
    (broker.data / ".s").mkdir()
    done = broker.run("snapshot", broker.data / ".s" / "one")
    t.check.that("below a dotted name there", done.code == 0, done)
    done = broker.run("snapshot", "relative")
    t.check.that("a relative name is the caller's", done.code == 0 and (broker.folder / "relative").is_dir(), done)
    done = broker.run("snapshot", broker.folder / "none" / "snap")
    t.check.that("no such folder", done.code == 2 and "no folder around" in done.errors, done)
    done = broker.plain("snapshot", "--restore", snap, "--data", broker.data)
    t.check.that("restored over data", done.code == 3 and "not empty" in done.errors, done)
    done = t.idle("onto", snap).fail_to_start()
    t.check.that("no broker runs on a snapshot", done.code == 7 and "--restore" in done.errors, done)
    broker.stop()
    t.check.that("a start leaves the snapshots in the data folder alone",
                 broker.start() is not None and (broker.data / ".s" / "one" / "snapshot").exists())
    (snap / "a-0" / "00000000000000000000.log").write_bytes(b"")
    done = broker.plain("snapshot", "--restore", snap, "--data", broker.folder / "x")
    t.check.that("a damaged one", done.code == 5 and not (broker.folder / "x").exists(), done)


def case_elsewhere(t):
    """Onto another file system everything is copied."""
    broker = t.broker(log_segment_bytes=65536)
    broker.run("produce", "a", data="".join(f"{i}\n" for i in range(50000)))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as there:
        if os.stat(there).st_dev == os.stat(broker.folder).st_dev:
            t.check.skip("another file system", "/dev/shm is the same one")
            return
        done = broker.run("snapshot", f"{there}/snap", "--json")
        t.check.that("copied", done.code == 0 and done.json()["linked_bytes"] == 0
                     and done.json()["copied_bytes"] > 0, done)
        other = restored(t, broker, f"{there}/snap", "elsewhere")
        t.check.equal("all there", len(other.run("consume", "a", "-o", "start", "-e").lines()), 50000)

# SPDX-License-Identifier: MIT
"""compaction (rows J1 to J4): the latest record of each key stays, through kills, for every reader."""
import json
import shutil
import subprocess
import time

import harness

UPDATES = 1_000_000 if harness.LONG else 100_000
CLEAN = {"log_cleaner_backoff_ms": 100, "log_cleaner_min_cleanable_ratio": 0.1}
TOPIC = ("-c", "cleanup.policy=compact", "-c", "segment.bytes=65536")


def update(broker, latest, count, random, keys=200):
    """`count` records; every tenth says that its key is gone."""
    rows = []
    for _ in range(count):
        key, value = f"k{random.randrange(keys)}", f"{random.random()} {'x' * 100}"
        latest[key] = None if random.random() < 0.1 else value
        rows.append(json.dumps({"key": key, "value": latest[key]}))
    return broker.run("produce", "t", "--json", "--batch-size", "8K", data="\n".join(rows) + "\n")


def state(broker):
    """What a reader from the start ends with, and how many records it read; offsets rise."""
    seen, count, last = {}, 0, -1
    for row in broker.run("consume", "t", "-o", "start", "-e", "--json").envelopes():
        assert row["offset"] > last, row
        last, count = row["offset"], count + 1
        seen[row["key"]] = row["value"]
    return {key: value for key, value in seen.items() if value is not None}, count


def clean(broker):
    """Waits until passes change nothing more; the number of records left."""
    def settled(before=[None]):
        files = sorted((p.name, p.stat().st_size) for p in broker.partition("t").glob("*.log"))
        same, before[0] = files == before[0], files
        time.sleep(0.5)
        return same
    assert harness.wait_for(settled, 20)
    return state(broker)


def case_latest(t):
    """J1, J4: the same state for a reader from the start, after each of some kills in the middle."""
    broker = t.broker(**CLEAN)
    broker.run("topic", "create", "t", *TOPIC)
    latest = {}
    for turn in range(6):
        done = update(broker, latest, 3000, t.random)
        t.check.that(f"J1: produced, turn {turn}", done.code == 0, done)
        time.sleep(t.random.random() / 3)
        broker.kill()
        broker.start()
        wanted = {key: value for key, value in latest.items() if value is not None}
        t.check.equal(f"J4: the state after kill {turn}", state(broker)[0], wanted)
    seen, count = clean(broker)
    t.check.equal("J1: the state in the end", seen, wanted)
    t.check.that("J1: most of 18,000 records are gone", count < 3000, count)
    t.check.equal("J1: offsets go on", broker.describe("t")["partitions"][0]["end"], 18000)
    broker.stop()
    done = broker.plain("verify", "--deep", broker.partition("t"))
    t.check.that("verify finds nothing", done.code == 0, done)
    address = f"127.0.0.1:{harness.free_port()}"
    broker.start("--kafka", address)
    if shutil.which("kcat") is None:
        t.check.skip("J1: kcat ends with the same", "there is no kcat")
        return
    got = subprocess.run(["kcat", "-b", address, "-C", "-t", "t", "-o", "beginning", "-e", "-q", "-Z",
                          "-f", "%k %s\\n"], capture_output=True, text=True, timeout=30, check=False)
    rows = dict(line.split(" ", 1) for line in got.stdout.splitlines())
    t.check.equal("J1: kcat ends with the same", {k: v for k, v in rows.items() if v != "NULL"}, wanted)


def case_deleted(t):
    """J2: a deleted key can be read as deleted for delete.retention.ms, then not at all."""
    broker = t.broker(**CLEAN)
    broker.run("topic", "create", "t", *TOPIC, "-c", "delete.retention.ms=1", "-c", "segment.bytes=20000")
    broker.run("produce", "t", "--json", data='{"key":"gone","value":"v"}\n{"key":"gone","value":null}\n')
    latest = {}

    def is_gone():
        update(broker, latest, 300, t.random)
        rows = broker.run("consume", "t", "-o", "start", "-e", "--json").envelopes()
        return all(row["key"] != "gone" for row in rows)

    t.check.that("J2: nothing of the key is left", harness.wait_for(is_gone, 20))
    t.check.that("J2: the others are", len(state(broker)[0]) > 100)


def case_keyless(t):
    """J3: a record without a key has no place there."""
    broker = t.broker(**CLEAN)
    broker.run("topic", "create", "t", *TOPIC)
    done = broker.run("produce", "t", data="no key\n")
    t.check.that("J3: refused, and says why", done.code != 0 and "key" in done.errors, done)
    t.check.equal("J3: nothing was stored", broker.describe("t")["partitions"][0]["end"], 0)


def kcat(address, *words, data=None):
    done = subprocess.run(["kcat", "-b", address, "-t", "t", *words], input=data, capture_output=True,
                          timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-400:]
    return done.stdout.decode()


def case_million(t):
    """J1: updates over 1,000 keys, by kcat, end as exactly the latest record of each, in order."""
    if shutil.which("kcat") is None:
        t.check.skip("J1: updates by kcat", "there is no kcat")
        return
    broker, address = t.idle(**CLEAN), f"127.0.0.1:{harness.free_port()}"
    broker.start("--kafka", address)
    broker.run("topic", "create", "t", "-c", "cleanup.policy=compact", "-c", "segment.bytes=4M",
               "-c", "max.compaction.lag.ms=1000")  # the active segment, too
    keys = [f"k{i}" for i in range(1000)] + [f"k{t.random.randrange(1000)}" for _ in range(UPDATES - 1000)]
    rows = "".join(f"{key} {offset}\n" for offset, key in enumerate(keys))
    kcat(address, "-P", "-K", " ", "-X", "enable.idempotence=true", data=rows.encode())
    t.check.equal("J1: all are there", broker.describe("t")["partitions"][0]["end"], UPDATES)
    last = {key: offset for offset, key in enumerate(keys)}
    latest = [f"{offset} {key} {offset}" for key, offset in sorted(last.items(), key=lambda row: row[1])]

    def read():
        return kcat(address, "-C", "-o", "beginning", "-e", "-q", "-f", "%o %k %s\\n").splitlines()

    harness.wait_for(lambda: len(read()) == 1000, 120, 0.5)
    t.check.equal(f"J1: {UPDATES} updates are 1,000 records, their offsets kept", read(), latest)
    broker.stop()
    done = broker.plain("verify", "--deep", broker.partition("t"))
    t.check.that("verify finds nothing", done.code == 0, done)

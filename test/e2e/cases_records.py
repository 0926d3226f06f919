# SPDX-License-Identifier: MIT
"""records: what goes in comes out (rows A1 to A8)."""
import base64
import hashlib
import json
import time

STAMP_MS = 1705327800000
FOR_EVER = {"log_retention_ms": -1}  # for records of a time long ago


def kept(envelope):
    """The parts of a record that a producer gives."""
    return {k: envelope.get(k) for k in ("key", "value", "timestamp", "headers")}


def case_whole_record(t):
    """A1: key, value, time, headers with their order and repeated names."""
    broker = t.broker(**FOR_EVER)
    sent = {"key": "K", "value": "V ä\n\t\u0001", "timestamp": STAMP_MS,
            "headers": [["h", "1"], ["b", "2"], ["h", "3"], ["empty", ""], ["null", None]]}
    done = broker.run("produce", "events", "--json", data=json.dumps(sent))
    t.check.that("produce --json", done.code == 0, done)
    done = broker.run("consume", "events", "-o", "start", "-e", "--json")
    t.check.equal("A1: key, value, time and headers come back", kept(done.json()), kept(sent))
    done = broker.run("produce", "events", "-H", "h=1", "-k", "K", data="V\n")
    got = broker.run("consume", "events", "-o", "1", "-e", "--json").json()
    t.check.equal("A1: flags -H -k", (got["key"], got["value"], got["headers"]),
                  ("K", "V", [["h", "1"]]))
    raw = bytes(range(256))
    both = {"key_base64": base64.b64encode(raw).decode(), "value_base64": base64.b64encode(raw * 2).decode()}
    broker.run("produce", "raw", "--json", data=json.dumps(both))
    got = broker.run("consume", "raw", "-o", "start", "-e", "--json").json()
    t.check.equal("A1: bytes that are no text", {k: got.get(k) for k in both}, both)
    got = broker.run("consume", "raw", "-o", "start", "-e", "-f", "%k%s")
    t.check.equal("A1: and byte for byte with -f", got.out, raw * 3)


def case_null_and_empty(t):
    """A2: null key, empty key, null value and empty value are four things."""
    broker = t.broker()
    sent = [{"key": k, "value": v} for k in (None, "", "k") for v in (None, "", "v")]
    broker.run("produce", "t", "--json", "-p", "0", data="\n".join(map(json.dumps, sent)))
    got = broker.run("consume", "t", "-o", "start", "-e", "--json").envelopes()
    t.check.equal("A2: null and empty", [{"key": e["key"], "value": e["value"]} for e in got], sent)
    got = broker.run("consume", "t", "-o", "start", "-e", "-f", "%K %S;")
    t.check.equal("A2: sizes", got.text, "".join(f"{n} {m};" for n in (-1, 0, 1) for m in (-1, 0, 1)))
    broker.run("produce", "tomb", "-Z", "-k", "k", data="\n")
    got = broker.run("consume", "tomb", "-o", "start", "-e", "--json").json()
    t.check.equal("A2: produce -Z writes a tombstone", (got["key"], got["value"]), ("k", None))


def case_times(t):
    """A3: the producer's time to the millisecond, or the broker's."""
    broker = t.broker(**FOR_EVER)
    broker.run("topic", "create", "received", "-c", "message.timestamp.type=LogAppendTime")
    event = json.dumps({"value": "v", "timestamp": STAMP_MS})
    broker.run("produce", "created", "--json", data=event)
    before = int(time.time() * 1000)
    done = broker.run("produce", "received", "--json", data=event)
    after = int(time.time() * 1000)
    t.check.that("produce to a LogAppendTime topic", done.code == 0, done)
    got = broker.run("consume", "created", "-o", "start", "-e", "--json").json()
    t.check.equal("A3: CreateTime", got["timestamp"], STAMP_MS)
    got = broker.run("consume", "received", "-o", "start", "-e", "--json").json()
    t.check.that("A3: LogAppendTime is the broker's", before <= got["timestamp"] <= after,
                 (before, got["timestamp"], after))


def case_unchanged(t):
    """A4: the first bytes of a log stay what they are."""
    broker = t.broker()
    broker.run("produce", "t", data="".join(f"early {i}\n" for i in range(500)))
    log = broker.partition("t") / f"{0:020d}.log"
    size = broker.describe("t")["partitions"][0]["bytes"]
    early = hashlib.sha256(log.read_bytes()[:size]).hexdigest()
    broker.run("produce", "t", "-z", "lz4", data="".join(f"later {i}\n" for i in range(100000)))
    t.check.equal("A4: bytes after 100,000 more appends",
                  hashlib.sha256(log.read_bytes()[:size]).hexdigest(), early)
    t.check.equal("stops", broker.stop(), 0)
    broker.start()
    t.check.equal("A4: bytes after a restart",
                  hashlib.sha256(log.read_bytes()[:size]).hexdigest(), early)
    got = broker.run("consume", "t", "-o", "0", "-n", "500").lines()
    t.check.equal("A4: records after a restart", got, [f"early {i}" for i in range(500)])


def case_json_event(t):
    """A5: an event as applications write it."""
    broker = t.broker()
    event = {"user_id": "user_123", "action": "purchase", "product_id": "prod_456", "amount": 99.99,
             "timestamp": STAMP_MS}
    broker.run("produce", "user-events", "-k", "user_123", data=json.dumps(event) + "\n")
    got = broker.run("consume", "user-events", "-o", "start", "-e")
    t.check.equal("A5: a JSON event", json.loads(got.text), event)
    got = broker.run("consume", "user-events", "-o", "start", "-e", "--json").json()
    t.check.equal("A5: and inside an envelope", json.loads(got["value"]), event)


def case_words(t):
    """A6: one word, the others explained."""
    done = t.idle().plain("help", "words")
    t.check.that("A6: help words", done.code == 0 and "event" in done.text and "message" in done.text,
                 done)


def case_by_name(t):
    """A7: (topic, partition, offset) names one record, also inside a batch."""
    broker = t.broker()
    broker.run("topic", "create", "t", "-p", "2")
    for partition in (0, 1):
        lines = "".join(f"{partition}-{i}\n" for i in range(1000))
        broker.run("produce", "t", "-p", partition, "-z", "zstd", data=lines)
    batches = broker.run("topic", "describe", "t", "-p", "--json").json()["partitions"]
    t.check.equal("1000 in each", [p["end"] for p in batches], [1000, 1000])
    for partition in (0, 1):
        for offset in (0, 1, 499, t.random.randrange(1000), 999):
            got = broker.run("consume", "t", "-p", partition, "-o", offset, "-n", 1,
                             "-f", "%t %p %o %s")
            t.check.equal(f"A7: record {offset} of t-{partition}", got.text,
                          f"t {partition} {offset} {partition}-{offset}")
    same = [broker.run("consume", "t", "-p", "0", "-o", "10", "-n", "5").out for _ in range(2)]
    t.check.that("D4: replayed, the same", same[0] == same[1] == b"0-10\n0-11\n0-12\n0-13\n0-14\n", same)


def case_overhead(t):
    """A8: 100 bytes cost no more than 112 on the disk."""
    broker = t.broker()
    broker.run("produce", "t", data="".join(f"{i:0100d}\n" for i in range(20000)))
    size = broker.describe("t")["partitions"][0]["bytes"]
    t.check.that(f"A8: {size / 20000:.1f} bytes for a record of 100", size <= 20000 * 112, size)


def case_codecs(t):
    """E9: every codec comes back, and saves space."""
    broker = t.broker()
    lines = "".join(f"a line that says much the same as the last one, {i % 50}\n" for i in range(5000))
    sizes = {}
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        done = broker.run("produce", codec, "-z", codec, data=lines)
        got = broker.run("consume", codec, "-o", "start", "-e")
        t.check.that(f"E9: {codec} comes back", done.code == 0 and got.text == lines, done)
        sizes[codec] = broker.describe(codec)["partitions"][0]["bytes"]
        dump = broker.plain("dump", broker.partition(codec), "--json")
        t.check.that(f"E9: stored as {codec}", dump.code == 0 and f'"{codec}"' in dump.text, dump)
    t.check.that("E9: all smaller than none",
                 all(sizes[c] < sizes["none"] / 2 for c in sizes if c != "none"), sizes)

# SPDX-License-Identifier: MIT
"""checks: what every client is put through. Each check is written once, for all of them.

A check gets a Trial (the broker, the client, the reference client) and raises Fault with the first
thing that is wrong; it returns a remark for the matrix. CHECKS lists them with what a client must
be able to do for each. The reference, librdkafka in C, writes and reads where a client cannot.
"""
import json
import random
import re
import subprocess
import time
import zlib

import fleet
import segments

T0_MS = 1705327800000
FOREVER = {"retention_ms": "-1"}  # records from T0 are old
WAIT_LIMIT_MS = 100.0  # a parked fetch that nobody wakes answers after some 250 ms
BIG_SIZE, TOO_BIG_SIZE, SMALL_FETCH = 700_000, 1_500_000, 65536
PLACES, PLACES_BATCH, PLACES_STEP_MS = 100, 20, 10000
SPREAD_TRIES = 60


class Fault(Exception):
    """What is wrong, in words."""


def want(what, held, why=""):
    if not held:
        raise Fault(f"{what}: {str(why)[:500]}" if why != "" else what)


def equal(what, got, wanted):
    want(what, got == wanted, f"got {str(got)[:300]}, wanted {str(wanted)[:300]}")


def rec(value, key=None, headers=(), timestamp=None):
    def out(data):
        return None if data is None else (data.encode() if isinstance(data, str) else data).hex()
    return {"value": out(value), "key": out(key), "timestamp": timestamp,
            "headers": [[name, out(data)] for name, data in headers]}


def plain(record):
    """A record without its offset and time."""
    return record["key"], record["value"], [tuple(h) for h in record["headers"]]


EVENT = json.dumps({"user_id": "user_123", "action": "purchase", "product_id": "prod_456",
                    "amount": 99.99, "timestamp": T0_MS})

# (what a client must not lack for it, the record)
SAMPLE = (
    (None, rec("only a value")),
    (None, rec("a value", "a key")),
    (None, rec(None, "a tombstone's key")),
    (None, rec("", "an empty value's key")),
    (None, rec("an empty key's value", "")),
    (None, rec("", "")),
    ("empty_key_null_value", rec(None, "")),
    ("null_key_empty_value", rec("")),
    ("null_key_null_value", rec(None)),
    (None, rec(bytes(range(256)) * 2, bytes(range(255, -1, -1)))),
    (None, rec("schlüssel und wert: ключ, 鍵", "ключ")),
    (None, rec("one header", "h", [("h", "1")])),
    (None, rec("headers twice", "h", [("a", "1"), ("a", "2"), ("a", "1"), ("b", "")])),
    ("null_header", rec("a header of nothing", "h", [("n", None), ("m", "")])),
    ("header_order", rec("headers in order", None, [("z", "1"), ("a", ""), ("z", "2"), ("é", "ü")])),
    (None, rec(EVENT, "user_123")),
    ("timestamp", rec("a time", "t", [], T0_MS)),
    ("timestamp", rec("a later time", "t", [], T0_MS + 86400000)),
    ("timestamp", rec("an earlier time", "t", [], T0_MS - 1)),
    (None, rec("long and like itself, " * 1000, "long")),
)


def sample(client):
    return [r for lack, r in SAMPLE if lack not in client.lacks]


class Trial:
    """One check of one client: everything it may use."""

    def __init__(self, rig, client):
        self.rig, self.client, self.reference = rig, client, rig.reference
        self.reader = rig.reference if "consume" in client.lacks else client

    def topic(self, name, partitions=1, **config):
        """A topic of this client alone, made through the reference."""
        full = f"{name}-{self.client.name}"
        settings = {k.replace("_", "."): str(v) for k, v in {**FOREVER, **config}.items()}
        equal("the reference creates a topic", self.reference.ask(
            "create", topic=full, partitions=partitions, config=settings)["outcome"], "created")
        return full

    def produce(self, topic, records, partition=0, client=None, **more):
        client = client or self.client
        answer = client.ask("produce", topic=topic, partition=partition, records=records, **more)
        placed = answer["placed"]
        if placed and "placed_each" not in client.lacks and partition is not None:
            equal("as many delivery reports as records", len(placed), len(records))
            equal("the partition that was asked for", {p for p, _ in placed}, {partition})
        return answer

    def consume(self, topic, count, where=0, partition=0, client=None, **more):
        return (client or self.reader).ask("consume", topic=topic, partition=partition, count=count,
                                           **{"from": where}, **more)["records"]

    def batches(self, topic, partition=0):
        return segments.batches(self.rig.logs / f"{topic}-{partition}")

    def same(self, what, got, sent, first=0):
        """What was read is what was sent, from this offset on, with its times where it had any."""
        equal(f"{what}: offsets", [r["offset"] for r in got], list(range(first, first + len(sent))))
        for g, s in zip(got, sent):
            equal(f"{what}: record {g['offset']}", plain(g), plain(s))
            if s["timestamp"] is not None:
                equal(f"{what}: the time of {g['offset']}", g["timestamp"], s["timestamp"])


# ---- The checks --------------------------------------------------------------------------------
def check_metadata(t):
    """Brokers, controller, cluster id, topics."""
    topic = t.topic("listed", 3)
    told = t.client.ask("metadata")
    equal("brokers", told["brokers"], [[1, t.rig.address]])
    equal("partitions", told["topics"].get(topic), 3)
    if "controller" not in t.client.lacks:
        equal("controller", told["controller"], 1)
    if "cluster" in t.client.lacks:
        return t.client.lacks["cluster"]
    want("a cluster id", re.fullmatch(r"[A-Za-z0-9_-]{22}", told["cluster"] or ""), told["cluster"])
    equal("one cluster id for all", told["cluster"], t.rig.reference.ask("metadata")["cluster"])
    return None


def check_create(t):
    """A topic by the client's own admin: made, refused the second time, grown."""
    topic = f"made-{t.client.name}"

    def partitions():
        return t.client.ask("metadata")["topics"].get(topic)

    def create():
        return t.client.ask("create", topic=topic, partitions=3, config={"retention.ms": "7200000"})

    equal("create", create()["outcome"], "created")
    equal("the second create", create()["outcome"], "exists")
    t.rig.wait_for(lambda: partitions() == 3)
    equal("it has", partitions(), 3)
    equal("grow", t.client.ask("grow", topic=topic, partitions=6)["outcome"], "grown")
    try:
        t.client.ask("grow", topic=topic, partitions=2)
    except fleet.Refused as why:
        want("it is said that a topic does not shrink", re.search("partition", str(why), re.I), why)
    else:
        raise Fault("a topic was made smaller")
    t.rig.wait_for(lambda: partitions() == 6)
    equal("then it has", partitions(), 6)
    t.produce(topic, [rec("in the new one")], 5)
    t.same("partition 5", t.consume(topic, 1, partition=5), [rec("in the new one")])


def check_auto(t):
    """A topic that a producer names comes to be (E1, E3)."""
    topic = f"auto-{t.client.name}"
    records = [rec(json.dumps({"order": i}), f"user_{i % 2}") for i in range(4)]
    t.produce(topic, records, None)
    t.same("read", t.consume(topic, 4), records)


def check_records(t):
    """Keys, values, headers, times: as they went in (A1-A3, A5, D1)."""
    topic, records = t.topic("records"), sample(t.client)
    answer = t.produce(topic, records)
    if answer["placed"]:
        equal("reported offsets", [o for _, o in answer["placed"]][:1], [0])
    if "placed_each" not in t.client.lacks and answer["placed"]:
        equal("reported offsets", [o for _, o in answer["placed"]], list(range(len(records))))
    got = t.consume(topic, len(records))
    t.same("read", got, records)
    for g, s in zip(got, records):
        if s["timestamp"] is None:
            want("a time of now", answer["sent_us"] // 1000 - 60000 <= g["timestamp"] <=
                 answer["acked_us"] // 1000 + 60000, g["timestamp"])
    lacking = sorted({lack for lack, _ in SAMPLE if lack in t.client.lacks})
    return "but " + "; ".join(t.client.lacks[lack] for lack in lacking) if lacking else None


def check_codecs(t):
    """Every codec the client has: stored as sent, read by the client (E9)."""
    topic, sent = t.topic("codecs"), []
    for codec in t.client.codecs:
        records = [rec(f"{codec} {i} " + "again and again " * 20, f"k{i}") for i in range(20)]
        t.produce(topic, records, codec=codec, linger_ms=100)
        stored = [b for b in t.batches(topic) if b.base >= len(sent)]
        equal(f"{codec}: records stored", sum(b.count for b in stored), 20)
        equal(f"{codec}: stored as sent", {b.codec for b in stored}, {codec})
        sent += records
    t.same("read", t.consume(topic, len(sent)), sent)
    return " ".join(t.client.codecs)


def check_acks(t):
    """acks 0, 1 and all into one topic (E8, F1, F2)."""
    topic = t.topic("acks")
    kinds = [acks for acks in ("1", "0", "all") if f"acks_{acks}" not in t.client.lacks]
    for acks in kinds:
        answer = t.produce(topic, [rec(f"{acks} {i}") for i in range(10)], acks=acks)
        if acks != "0":
            offsets = [o for _, o in answer["placed"]]
            want(f"acks={acks}: offsets are told", offsets and None not in offsets, offsets)
    got = [bytes.fromhex(r["value"]).decode() for r in t.consume(topic, 10 * len(kinds))]
    for acks in kinds:
        mine = [v for v in got if v.startswith(acks + " ")]
        equal(f"acks={acks}", mine, [f"{acks} {i}" for i in range(10)])
    return t.client.lacks.get("acks_0")


def check_from(t):
    """From the beginning, an offset, the middle of a batch, a time (A7, D4)."""
    topic, rows = t.rig.places
    every = t.consume(topic, PLACES, "beginning")
    t.same("from the beginning", every, rows)
    border = PLACES_BATCH * 2
    for offset in (0, border, border - 1, border + 1, border + 13, PLACES - 1):
        count = min(PLACES - offset, 7)
        t.same(f"from {offset}", t.consume(topic, count, offset), rows[offset:offset + count], offset)
    for late_ms, index in ((0, 0), (0, 33), (1, 34), (0, PLACES_BATCH), (PLACES_STEP_MS - 1, 56)):
        base = index if late_ms == 0 else index - 1
        at = T0_MS + base * PLACES_STEP_MS + late_ms
        got = t.consume(topic, 3, {"time": at})
        t.same(f"from the time of {base} + {late_ms} ms", got, rows[index:index + 3], index)
    got = t.consume(topic, 1, {"time": T0_MS - 1})
    t.same("from before all times", got, rows[:1])


def check_wait(t):
    """What arrives while the client waits at the end reaches it at once, and nothing else does."""
    topic, count, late, after_ack = t.topic("wait"), 8, [], []
    t.produce(topic, [rec("before the end")], client=t.reference)
    t.client.send("follow", topic=topic, partition=0, count=count)
    t.client.event("ready")
    time.sleep(0.3)  # so that its fetch is parked
    for i in range(count):
        sent = t.produce(topic, [rec(f"n{i}")], client=t.reference)
        got = t.client.event("got")
        equal("the record", (got["record"]["offset"], plain(got["record"])), (1 + i, plain(rec(f"n{i}"))))
        late.append((got["at_us"] - sent["sent_us"]) / 1000)
        after_ack.append((got["at_us"] - sent["acked_us"]) / 1000)
        time.sleep(0.03)
    t.client.line()
    late.sort()
    after_ack.sort()
    middle = late[count // 2]
    want(f"within {WAIT_LIMIT_MS:.0f} ms", middle < WAIT_LIMIT_MS, late)
    return f"{middle:.1f} ms after the send, {after_ack[count // 2]:+.1f} ms after its ack"


def check_big(t):
    """Records larger than max.partition.fetch.bytes come; larger than max.message.bytes do not."""
    topic = t.topic("big")
    chance = random.Random(t.client.name)
    records = [rec(chance.randbytes(BIG_SIZE), f"big{i}") for i in range(3)]
    for r in records:
        t.produce(topic, [r])
    t.same("read", t.consume(topic, 3, partition_bytes=SMALL_FETCH), records)
    try:
        t.produce(topic, [rec(chance.randbytes(TOO_BIG_SIZE))])
    except fleet.Refused as why:
        want("told that it is too large", re.search("too.?large|larger", str(why), re.I), why)
    else:
        raise Fault(f"{TOO_BIG_SIZE} bytes were taken")
    equal("nothing of it is stored", segments.count(t.rig.logs / f"{topic}-0"), 3)


def check_stamp(t):
    """message.timestamp.type=LogAppendTime: the broker's time, whatever the client says (A3)."""
    topic = t.topic("stamp", message_timestamp_type="LogAppendTime")
    mine = None if "timestamp" in t.client.lacks else T0_MS
    answer = t.produce(topic, [rec("now", "k", [], mine)])
    got = t.consume(topic, 1)[0]
    equal("the record", plain(got), plain(rec("now", "k")))
    want("the broker's time", answer["sent_us"] // 1000 - 100 <= got["timestamp"] <=
         answer["acked_us"] // 1000 + 100, (got["timestamp"], answer))


def murmur2(data):
    """The hash of a key that Java has, and many with it."""
    mask, m, h = 0xFFFFFFFF, 0x5BD1E995, 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at:at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if len(data) & 3:
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


# How a client comes from a key to a number, whose remainder is the partition; None: its own affair.
HASHES = {"murmur2": lambda key: murmur2(key) & 0x7FFFFFFF, "murmur2 unsigned": murmur2,
          "crc32": zlib.crc32, "fnv1a": None}


def check_keys(t):
    """Equal keys to one partition, in order; none: to all; a partition asked for (C1-C4)."""
    topic = t.topic("keys", 3)
    keys = [f"user_{i}" for i in range(20)]
    for turn in range(3):
        t.produce(topic, [rec(f"{turn}", key) for key in keys], None)
    where = {}
    for number in range(3):
        count = segments.count(t.rig.logs / f"{topic}-{number}")
        for r in t.consume(topic, count, partition=number) if count else []:
            where.setdefault(bytes.fromhex(r["key"]).decode(), []).append((number, r["value"]))
    for key in keys:
        partitions = [p for p, _ in where.get(key, [])]
        equal(f"{key}: turns", [bytes.fromhex(v).decode() for _, v in where.get(key, [])], ["0", "1", "2"])
        equal(f"{key}: one partition", len(set(partitions)), 1)
        hashed = HASHES[t.client.about["hash"]]
        if hashed:
            equal(f"{key}: the partition", partitions[0], hashed(key.encode()) % 3)
    spread = t.topic("spread", 3)
    for _ in range(SPREAD_TRIES):
        t.produce(spread, [rec(f"n{i}") for i in range(10)], None)
        counts = [segments.count(t.rig.logs / f"{spread}-{n}") for n in range(3)]
        if min(counts) > 0:
            break
    want("records without keys reach each partition", min(counts) > 0, counts)
    t.produce(spread, [rec("there")], 2)
    last = t.consume(spread, 1, segments.count(t.rig.logs / f"{spread}-2") - 1, 2)
    equal("partition 2 was asked for", last[0]["value"], rec("there")["value"])
    return t.client.about["hash"]


def check_console(t):
    """Apache's console programs: lines in, the same lines out of an assigned partition."""
    words = {side: t.client.env[f"CONSOLE_{side}"].split() for side in ("PRODUCER", "CONSUMER")}
    topic, lines = t.topic("console"), [f"line {i}" for i in range(50)]
    done = subprocess.run([*words["PRODUCER"], "--bootstrap-server", t.rig.address, "--topic", topic],
                          input="".join(f"{line}\n" for line in lines), capture_output=True, text=True,
                          timeout=fleet.LIMIT_S)
    want("the console producer ends well", done.returncode == 0, done.stderr[-400:])
    done = subprocess.run([*words["CONSUMER"], "--bootstrap-server", t.rig.address, "--topic", topic,
                           "--partition", "0", "--offset", "earliest", "--max-messages", str(len(lines))],
                          capture_output=True, text=True, timeout=fleet.LIMIT_S)
    equal("the console consumer prints", done.stdout.splitlines(), lines)
    want("and says how many", f"a total of {len(lines)} messages" in done.stderr, done.stderr[-400:])


def check_program(t):
    """A beginner's program: a topic that is not there, JSON, keys or none, futures (E1-E4)."""
    topic, host = "orders", f"localhost:{t.rig.address.rsplit(':', 1)[1]}"
    before = segments.count(t.rig.logs / f"{topic}-0")
    done = subprocess.run([*t.client.env["EVENTS_PROGRAM"].split(), host], capture_output=True,
                          text=True, timeout=fleet.LIMIT_S)
    want("it ends well", done.returncode == 0, done.stderr[-400:])
    *told, last = done.stdout.splitlines()
    equal("its last word", last, "All events produced successfully")
    equal("where it was told they are", [json.loads(line) for line in told],
          [[topic, 0, before + i] for i in range(len(told))])
    got = t.consume(topic, len(told), before)
    equal("keys", [r["key"] and bytes.fromhex(r["key"]).decode() for r in got],
          ["user_123", "user_456", "user_123", None])
    equal("actions", [json.loads(bytes.fromhex(r["value"]))["action"] for r in got],
          ["page_view", "purchase", "add_to_cart", "heartbeat"])


# name, what a client must not lack, the check
CHECKS = (
    ("metadata", ("metadata",), check_metadata),
    ("create", ("create",), check_create),
    ("auto", ("auto",), check_auto),
    ("records", (), check_records),
    ("codecs", (), check_codecs),
    ("acks", ("acks",), check_acks),
    ("from", ("consume",), check_from),
    ("wait", ("consume", "follow"), check_wait),
    ("big", ("big",), check_big),
    ("stamp", ("stamp",), check_stamp),
    ("keys", (), check_keys),
    ("console", ("console",), check_console),
    ("program", ("program",), check_program),
)

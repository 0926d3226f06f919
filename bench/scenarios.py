# SPDX-License-Identifier: MIT
"""scenarios: what is measured, one function each, in the order they run. README.md says what the
rows mean."""
import contextlib
import shutil
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from compaction import compact
from lab import Failed
from replication import replication

SIZES = ("170B", "16KiB", "64KiB", "1MiB")
RECORDS = (100, 1024)
PROBE_S = 0.05  # between two looks at a broker's memory


def limits(lab):
    raw = lab.limits()
    lab.report.title("raw limits")
    for size in SIZES:
        lab.report.row(f"copy into a mapping, {size}", raw[f"raw.copy.{size}"]["ns"], "ns")
        lab.report.row(f"pwrite, {size}", raw[f"raw.write.{size}"]["ns"], "ns")
    for size in SIZES:
        lab.report.latency(f"pwrite + fdatasync, {size}", raw[f"raw.sync.{size}"])
    for kind in ("unix", "tcp"):
        lab.report.row(f"socket {kind}, 64 KiB", raw[f"raw.stream.{kind}"]["bytes_s"], "B/s")
        lab.report.latency(f"socket {kind}, ping-pong", raw[f"raw.pingpong.{kind}"])


def append(lab):
    raw = lab.limits()
    count = lab.records or (60000 if lab.quick else 200000)
    rows = lab.engine("append", "--records", count)
    lab.report.title("engine: append of a batch, checked, in rounds of up to 1 MiB")
    for size in SIZES:
        ns = rows[f"engine.append.{size}"]["ns"]
        lab.report.row(f"append, {size}", ns, "ns", raw[f"raw.copy.{size}"]["ns"],
                       "copy into a mapping")
    lab.report.title("engine: append and sync of one batch")
    for size in SIZES:
        lab.report.latency(f"append + sync, {size}", rows[f"engine.sync.{size}"],
                           raw[f"raw.sync.{size}"]["p50_us"], "pwrite + fdatasync")


def rounds(lab):
    rows = lab.engine("round", "--partitions", 1000, "--repeat", 6 if lab.quick else 20)
    syncfs = rows["raw.round.syncfs"]["p50_us"]
    lab.report.title("engine: 1,000 partitions, one batch of 170 B each, in one round")
    lab.report.latency("the first, makes folders and files", rows["engine.round.create"], syncfs,
                       "1,000 pwrite + syncfs")
    lab.report.latency("every other", rows["engine.round.again"], syncfs, "1,000 pwrite + syncfs")
    lab.report.latency("1,000 x (pwrite + fdatasync)", rows["raw.round.fdatasync"], syncfs,
                       "1,000 pwrite + syncfs")
    lab.report.budget("1,000 dirty partitions in one round",
                      rows["engine.round.again"]["p50_us"] / 1000, "ms", 25,
                      note=f"syncfs {syncfs / 1000:.1f} ms")


# ---- the native front ----

SHAPES = (  # name, options of bench_client
    ("1 in flight", {"window": 1}),
    ("64 in flight", {"window": 64}),
    ("1000 in flight", {"window": 1000}),
    ("batched, 64 KiB", {"linger_ms": 5}),
)


def produce_rate(lab, name, figures, size):
    stream = lab.limits()["raw.stream.unix"]["bytes_s"]
    lab.report.row(name, figures["records_s"], "1/s", stream / size, "socket unix", figures)


def produce_one(lab, name, broker, size, ack, options):
    """The figures of one load on a topic of its own."""
    topic = name.replace(" ", "-").replace(",", "")
    lab.topic(broker, topic)
    options = dict(options, size=size, acks=ack, duration_ms=1000 * lab.seconds(3))
    if lab.records:
        options["records"] = lab.records
    return lab.client("produce", "row", broker, topic, **options)


def produce_shapes(lab, durability, size):
    with lab.broker(f"durability={durability}") as broker:
        for shape, options in SHAPES:
            name = f"{durability}, {size} B, {shape}"
            disk = lab.disk_us()
            row = produce_one(lab, name, broker, size, "all", options)
            if shape != "1 in flight":
                produce_rate(lab, name, row, size)
            elif durability == "sync":
                lab.report.latency(name, row, disk, "pwrite + fdatasync")
            else:
                ping = lab.limits()["raw.pingpong.unix"]["p50_us"]
                lab.report.latency(name, row, ping, "socket ping-pong")


def produce(lab):
    lab.report.title("native front: produce, acks=all")
    for durability in ("sync", "os"):
        for size in RECORDS:
            produce_shapes(lab, durability, size)


def acks(lab):
    lab.report.title("native front: produce, batched, by acks")
    for durability in ("sync", "os"):
        with lab.broker(f"durability={durability}") as broker:
            for ack in ("0", "1", "all"):
                name = f"{durability}, 100 B, acks {ack}"
                produce_rate(lab, name, produce_one(lab, name, broker, 100, ack, {"linger_ms": 5}), 100)


def partitions(lab):
    """More partitions must not cost throughput."""
    lab.report.title("native front: produce, batched, 100 B, by partitions")
    for durability in ("sync", "os"):
        with lab.broker(f"durability={durability}") as broker:
            one = None
            for count in (1, 3, 12, 48):
                lab.topic(broker, f"p{count}", count)
                row = lab.client("produce", "row", broker, f"p{count}", size=100, linger_ms=5,
                                 partitions=count, duration_ms=1000 * lab.seconds(3))
                one = one or row["records_s"]
                lab.report.row(f"{durability}, {count} partitions", row["records_s"], "1/s", one,
                               "one partition", row)


PRODUCERS = ((1, "1 producer"), (8, "8 producers"), (64, "64 producers"))


def durable_once(lab, broker):
    """One short look at each, the disk among them."""
    load = {"window": 1, "threads": 8, "duration_ms": 150}
    seen = {count: lab.client("produce", "row", broker, "durable", clients=count, **load)
            for count, _ in PRODUCERS}
    return dict(seen, disk=lab.disk_us())


def durable(lab):
    """Group commit: clients with one record in flight each, all on one partition. The best of many
    short looks, in turns: what else goes on at a disk only ever makes it slower."""
    lab.report.title("native front: durable producers, 100 B, one record in flight each")
    with lab.broker("durability=sync") as broker:
        lab.topic(broker, "durable")
        seen = [durable_once(lab, broker) for _ in range(8 if lab.quick else 24)]
    disk = min(s["disk"] for s in seen)
    p50 = {count: min(s[count]["p50_us"] for s in seen) for count, _ in PRODUCERS}
    rate = {count: max(s[count]["records_s"] for s in seen) for count, _ in PRODUCERS}
    for count, name in PRODUCERS:
        lab.report.row(name, rate[count], "1/s", 1e6 / disk, "pwrite + fdatasync",
                       note=f"p50 {p50[count]:.0f} us")
    name, note = "durable ack p50, one in flight, by the disk's", f"{p50[1]:.0f} us by {disk:.0f} us"
    if p50[1] < disk:  # an ack cannot come before its sync: others were at the disk meanwhile
        lab.report.skipped(name, f"{note}: the disk was busy with other things")
    else:
        lab.report.budget(name, p50[1] / disk, "x", 1.5, note=note)
    lab.report.budget("64 durable producers, by one", rate[64] / rate[1], "x", 20, True,
                      note=f"{rate[64]:,.0f} /s by {rate[1]:,.0f} /s")


def drain(lab):
    stream = lab.limits()["raw.stream.unix"]["bytes_s"]
    lab.report.title("native front: drain of one partition")
    for size in RECORDS:
        count = lab.records or (1 if lab.quick else 4) * 200_000_000 // (size + 10)
        with lab.broker("durability=os") as broker:
            lab.topic(broker, "drain")
            lab.client("produce", "fill", broker, "drain", size=size, records=count, linger_ms=5,
                       batch_size=256 << 10)
            for again in ("first", "again"):
                row = lab.client("drain", "row", broker, "drain")
                lab.report.row(f"{size} B, {again}", row["records_s"], "1/s", stream / size,
                               "socket unix", row)


KAFKA = (
    ("one in flight", {"window": 1}),
    ("1000 in flight", {"window": 1000}),
    ("batches of 64 KiB", {"count": 600, "window": 32}),
    ("the same, each built anew", {"count": 600, "window": 32, "live": 1}),
)


def kafka(lab):
    """One connection and one thread of a load that only sends prepared frames."""
    stream, ping = (lab.limits()[f"raw.{what}.tcp"] for what in ("stream", "pingpong"))
    lab.report.title("Kafka front: 100 B records")
    for durability in ("sync", "os"):
        with lab.broker(f"durability={durability}") as broker:
            for number, (shape, options) in enumerate(KAFKA):
                lab.topic(broker, f"t{number}")
                disk = lab.disk_us()
                row = lab.kafka("produce", broker, f"t{number}", duration_ms=1000 * lab.seconds(3),
                                **options)
                name = f"{durability}, {shape}"
                if number > 0:
                    lab.report.row(name, row["records_s"], "1/s", stream["bytes_s"] / 100,
                                   "socket tcp", row)
                elif durability == "sync":
                    lab.report.latency(name, row, disk, "pwrite + fdatasync")
                else:
                    lab.report.latency(name, row, ping["p50_us"], "socket ping-pong")
            row = lab.kafka("drain", broker, "t2", rounds=3)
            lab.report.row(f"{durability}, fetch of 8 MiB", row["bytes_s"], "B/s", stream["bytes_s"],
                           "socket tcp", row)


def latency(lab):
    ping = lab.limits()["raw.pingpong.unix"]["p50_us"]
    lab.report.title("native front: end to end at a fixed rate, from the scheduled time")
    for durability, rate in (("sync", 500), ("sync", 2000), ("os", 2000), ("os", 5000)):
        with lab.broker(f"durability={durability}") as broker:
            lab.topic(broker, "paced")
            limit = lab.disk_us() if durability == "sync" else ping
            row = lab.client("paced", "row", broker, "paced", rate=rate,
                             duration_ms=1000 * lab.seconds(5, 2))
            lab.report.latency(f"{durability}, 100 B, {rate} /s", row, limit,
                               "pwrite + fdatasync" if durability == "sync" else "socket ping-pong")


# ---- the broker as a process ----

def start(lab):
    times, ready = [], []
    lab.report.title("broker: start on an empty folder")
    for _ in range(5):
        broker, ms = lab.first()
        times.append(ms)
        broker.stop()
        lab.remove(broker)
        broker = lab.start()
        ready.append(broker.ready())
        broker.stop()
        lab.remove(broker)
    lab.report.row("to the first acknowledged record", statistics.median(times), "ms",
                   note=f"slowest of 5: {max(times):.1f} ms")
    lab.report.row("to `ready`", statistics.median(ready), "ms")
    lab.report.budget("start of an empty broker to the first ack", statistics.median(times), "ms", 50)


def memory_under(lab, broker, size, rate):
    """The most anonymous memory while records come and go at a rate."""
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(lab.client, "paced", "row", broker, "load", rate=rate, size=size,
                           linger_ms=5, batch_size=256 << 10,
                           duration_ms=1000 * lab.seconds(5, 2))
        most = 0
        while not load.done():
            most = max(most, broker.memory()[0])
            time.sleep(PROBE_S)
        load.result()
    return most


def memory(lab):
    lab.report.title("broker: memory (RssAnon)")
    with lab.broker("durability=os") as broker:
        time.sleep(0.2)
        anon, files = broker.memory()
        lab.report.row("idle", anon, "B", note=f"RssFile {files / 1e6:.1f} MB")
        lab.report.budget("idle memory", anon, "B", 15e6, note=f"RssFile {files / 1e6:.1f} MB")
        lab.topic(broker, "load")
        most = memory_under(lab, broker, 1024, 50_000_000 // 1024)
        files = broker.memory()[1]
        lab.report.row("at 50 MB/s in and out", most, "B", note=f"RssFile {files / 1e6:.1f} MB")
        lab.report.budget("memory under 50 MB/s", most, "B", 64e6)


@contextlib.contextmanager
def filled(lab, size):
    """A broker with `size` bytes in one topic, killed; its data folder."""
    broker = lab.start(settings=["durability=os", "disk.reserve.bytes=0"])
    try:
        broker.ready()
        lab.topic(broker, "stored")
        lab.client("produce", "fill", broker, "stored", size=10_000, records=size // 10_000,
                   linger_ms=5, batch_size=900_000)
        broker.kill()
        yield broker.data
    finally:
        lab.remove(broker)


def ready_after(lab, size):
    """ms from start to `ready` and to the first ack in the topic that was being written."""
    with filled(lab, size) as data:
        broker, acked = lab.first(data, "stored")
        said = broker.said_ms()
        broker.stop()
        return said, acked


def ready(lab):
    sizes = (("1 GB", 10**9), ("10 GB", 10**10))
    if lab.quick:
        sizes = (("250 MB", 250 * 10**6), ("1 GB", 10**9))
    lab.report.title("broker: start after kill -9")
    times = []
    for name, size in sizes:
        if shutil.disk_usage(lab.folder).free < 2 * size + 4 * 10**9:
            lab.report.skipped(f"ready after kill -9 at {name}", "not enough space on the disk")
            continue
        said, acked = ready_after(lab, size)
        times.append(acked)
        lab.report.row(f"{name} stored, to `ready`, as it says", said, "ms")
        lab.report.row(f"{name} stored, to the first ack there", acked, "ms")
        lab.report.budget(f"ready after kill -9 at {name}", acked, "ms", 300)
    if len(times) == 2:
        lab.report.budget("ready with the larger, by the smaller", max(times[1], 1) / times[0], "x", 1.5)


def topics(lab):
    count = lab.records or (2000 if lab.quick else 10000)
    lab.report.title(f"broker: {count:,} topics of one partition, 1,024 descriptors")
    broker = lab.start(descriptors=1024)
    try:
        broker.ready()
        row = lab.client("topics", "row", broker, "many", records=count)
        anon, files = broker.memory()
        used = broker.descriptors()
        lab.report.row("create, each", row["create_s"] / count * 1e6, "us")
        lab.report.row("a record into each, in all", row["fill_s"] * 1000, "ms")
        lab.report.row("memory", anon, "B", note=f"RssFile {files / 1e6:.1f} MB, {used} descriptors")
        lab.report.budget(f"memory with {count:,} topics", anon, "B", 64e6)
        lab.report.budget(f"descriptors with {count:,} topics", used, "", 1024)
        topics_again(lab, broker, count)
    finally:
        lab.remove(broker)


def topics_again(lab, broker, count):
    """Restarts on the same folder: after kill -9, and after a clean stop."""
    broker.kill()
    for words in ("kill -9", "a clean stop"):
        broker = lab.start(broker.data, descriptors=1024)
        lab.report.row(f"restart after {words}, to `ready`", broker.ready(), "ms")
        anon, _ = broker.memory()
        stop_s = broker.stop()
        lab.report.row("  memory then; a clean stop takes", stop_s * 1000, "ms",
                       note=f"RssAnon {anon / 1e6:.1f} MB")


# ---- consumer groups, on the Kafka front ----

GROUPS = {"groups": 1000, "members": 10, "links": 100}
MODELS = (("classic", 0), ("consumer", 1))


def group_options(lab, broker, topic, partitions, **options):
    if lab.records:
        options["groups"] = min(options.get("groups", 1), lab.records)
    return dict(options, port=broker.port, topic=topic, partitions=partitions)


def groups_idle(lab):
    """Members that only heartbeat, every 3 s."""
    hold_s = lab.seconds(20, 6)
    for model, newer in MODELS:
        lab.report.title(f"Kafka front: 1,000 groups of 10 members, {model} protocol, idle")
        with lab.broker() as broker:
            lab.topic(broker, "idle", 10)
            options = group_options(lab, broker, "idle", 10, newer=newer, hold_ms=1000 * hold_s,
                                    **GROUPS)
            with lab.groups("members", "settled", **options) as figures:
                used, begin, most = broker.cpu_s(), time.monotonic(), 0
                while time.monotonic() - begin < hold_s - 0.5:
                    most = max(most, broker.memory()[0])
                    time.sleep(4 * PROBE_S)
                cpu = (broker.cpu_s() - used) / (time.monotonic() - begin)
                anon, files = broker.memory()
                row = figures()
        lab.report.row("all joined and assigned", row["settle_s"] * 1000, "ms")
        lab.report.row("heartbeats", row["beats_s"], "1/s", note=f"broker's CPU {cpu * 100:.0f} %")
        lab.report.latency("heartbeat", row)
        lab.report.row("memory (RssAnon), the most since all joined", most, "B")
        lab.report.row("memory then", anon, "B", note=f"RssFile {files / 1e6:.1f} MB")
        lab.report.budget(f"1,000 {model} groups of 10 members, idle", anon, "B", 64e6,
                          note=f"RssFile {files / 1e6:.1f} MB, CPU {cpu * 100:.0f} %")


COMMIT_RECORDS = 100_000
COMMITS = ((1, 1), (1, 8), (1, 32), (10, 1), (10, 8))  # partitions a request, requests in flight


def commit_load(lab, broker, seconds, items, window):
    options = group_options(lab, broker, "commit", 10, links=100, items=items, window=window,
                            offsets=COMMIT_RECORDS // 20, duration_ms=int(1000 * seconds))
    used, begin = broker.cpu_s(), time.monotonic()
    with lab.groups("commit", "", **options) as figures:
        row = figures()
    return dict(row, cpu=(broker.cpu_s() - used) / (time.monotonic() - begin))


def commit_topic(lab, broker):
    lab.topic(broker, "commit", 10)
    lab.client("produce", "fill", broker, "commit", partitions=10, records=COMMIT_RECORDS,
               linger_ms=5)


def groups_commit(lab):
    """100 clients, each the one member of a group of its own."""
    rows = {}
    lab.report.title("Kafka front: OffsetCommit, 100 clients; offsets a second")
    with lab.broker() as broker:
        commit_topic(lab, broker)
        for items, window in COMMITS:
            disk = lab.disk_us()
            row = commit_load(lab, broker, lab.seconds(10, 2), items, window)
            rows[items, window] = row
            lab.report.row(f"{items} a request, {window} in flight", row["offsets_s"], "1/s",
                           1e6 / disk, "pwrite + fdatasync", row,
                           f"{row['requests_s']:,.0f} requests/s, CPU {row['cpu'] * 100:.0f} %")
            lab.report.latency("  a request", row, disk, "pwrite + fdatasync")
        anon, files = broker.memory()
        lab.report.row("memory (RssAnon) then", anon, "B", note=f"RssFile {files / 1e6:.1f} MB")
    for items, words in ((1, "one a request"), (10, "10 a request")):
        key = max((k for k in rows if k[0] == items), key=lambda k: rows[k]["offsets_s"])
        row = rows[key]
        lab.report.budget(f"durable commits, {words}", row["offsets_s"], "1/s", 100e3, True,
                          note=f"{key[1]} in flight; p50 {row['p50_us'] / 1000:.1f} ms, "
                               f"p99 {row['p99_us'] / 1000:.1f} ms")


def groups_ready(lab):
    """kill -9 of a broker with groups and offsets, and with a long log of commits besides."""
    lab.report.title("broker: start after kill -9 with 1,000 groups, 10,000 members, 100,000 offsets")
    for words, seconds in (("just committed", 0), ("behind a run of commits", lab.seconds(10, 2))):
        broker = lab.start()
        try:
            broker.ready()
            options = group_options(lab, broker, "many", 100, commit=1, **GROUPS)
            groups = options["groups"]
            lab.topic(broker, "many", 100)
            lab.client("produce", "fill", broker, "many", partitions=100, records=100_000,
                       linger_ms=5)
            with lab.groups("members", "settled", **options) as figures:
                figures()
            if seconds:
                commit_topic(lab, broker)
                row = commit_load(lab, broker, seconds, 1, 32)
                words += f", {row['count'] / 1e6:.1f} M"
            broker.kill()
            groups_again(lab, broker, groups, words)
        finally:
            lab.remove(broker)


def groups_again(lab, broker, groups, words):
    with lab.groups("first", "waiting", port=broker.port, groups=groups) as figures:
        broker = lab.start(broker.data, port=broker.port)
        row = figures()
    first = (row["fetched_ns"] - broker.begin_ns) / 1e6
    if row["offsets"] != groups * 100:
        raise Failed(f"{row['offsets']:.0f} offsets are left of {groups * 100}")
    lab.report.row(f"{words}: to `ready`, as it says", broker.said_ms(), "ms")
    lab.report.row("  to the first answer about offsets", first, "ms")
    lab.report.row("  and all offsets fetched", (row["all_ns"] - row["fetched_ns"]) / 1e6, "ms")
    anon, files = broker.memory()
    lab.report.row("  memory (RssAnon) then", anon, "B", note=f"RssFile {files / 1e6:.1f} MB")
    lab.report.budget(f"groups after kill -9, {words}", first, "ms", 300)
    broker.stop()


ALL = (limits, append, rounds, start, memory, produce, acks, partitions, durable, drain, kafka,
       latency, compact, topics, ready, groups_idle, groups_commit, groups_ready, replication)

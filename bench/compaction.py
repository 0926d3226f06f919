# SPDX-License-Identifier: MIT
"""compaction: how fast the cleaner is, and what a producer feels of it. README.md says what the rows
mean."""
import re
import statistics
import time

from lab import Failed

SAID = re.compile(r"compacted (\S+)-0 up to \d+: (\d+) of (\d+) records stay, (\d+) KiB of (\d+)")
SIZE = 100           # of a value
PASS_LIMIT_S = 120
RATE = 2000          # records a second beside the cleaner
SHARES = ((10, "each key ten times"), (1.1, "each key once, a tenth twice"))


def passes(broker, topic):
    """What it said of each pass over the topic: records that stay, records, KiB that stay, KiB."""
    found = SAID.findall(broker.log.read_text())
    return [tuple(map(int, row[1:])) for row in found if row[0] == topic]


def fill(lab, broker, topic, records, keys):
    """A topic that is written to and not yet compacted."""
    lab.topic(broker, topic, cleanup_policy="delete", segment_bytes=16 << 20,
              max_compaction_lag_ms=500)
    lab.client("produce", "fill", broker, topic, size=SIZE, records=records, keys=keys, linger_ms=5)


def policy(lab, broker, topic, word):
    lab.kauri(broker, "topic", "alter", topic, "--set", f"cleanup.policy={word}")


def throughput(lab):
    """One pass over a log that was never cleaned."""
    disk = 2**20 / lab.limits()["raw.sync.1MiB"]["p50_us"] * 1e6
    records = lab.records or (1_000_000 if lab.quick else 5_000_000)
    for number, (share, words) in enumerate(SHARES):
        with lab.broker("durability=os", "log.cleaner.backoff.ms=1") as broker:
            topic = f"dirty{number}"
            fill(lab, broker, topic, records, int(records / share))
            used, begin = broker.cpu_s(), time.monotonic()
            policy(lab, broker, topic, "compact")
            while not passes(broker, topic):
                if time.monotonic() > begin + PASS_LIMIT_S:
                    raise Failed("the cleaner did not end its pass")
                time.sleep(0.001)
            took, cpu = time.monotonic() - begin, broker.cpu_s() - used
            stay, count, after, before = passes(broker, topic)[0]
        lab.report.row(words, before * 1024 / took, "B/s", disk, "pwrite + fdatasync, 1 MiB",
                       note=f"{count / took / 1e6:.1f} M records/s, {stay / count * 100:.0f} % stay, "
                            f"{after / 1024:.0f} of {before / 1024:.0f} MiB, CPU {cpu / took * 100:.0f} %")


def look(lab, broker, word, seconds):
    """One paced load on the topic, with the cleaner on or off."""
    policy(lab, broker, "old", word)
    before = len(passes(broker, "old"))
    row = lab.client("paced", "row", broker, "old", size=SIZE, keys=10_000, rate=RATE,
                     duration_ms=int(1000 * seconds))
    return dict(row, passes=len(passes(broker, "old")) - before)


def beside(lab, durability):
    """The cleaner goes over the very partition that is written to, again and again: a look with it,
    a look without it, in turn."""
    looks = {"delete": [], "compact": []}
    keys = lab.records or (300_000 if lab.quick else 1_000_000)
    with lab.broker(f"durability={durability}", "log.cleaner.backoff.ms=1") as broker:
        fill(lab, broker, "old", keys, keys)
        for _ in range(3 if lab.quick else 8):
            for word, rows in looks.items():
                rows.append(look(lab, broker, word, lab.seconds(4, 2)))
    count = sum(row["passes"] for row in looks["compact"])
    if count == 0:
        raise Failed("the cleaner ended no pass beside the load")
    figures = {}
    for key in ("p50_us", "p99_us", "p999_us"):
        figures[key] = [statistics.median(row[key] for row in rows) for rows in looks.values()]
    for key, name in (("p50_us", "p50"), ("p99_us", "p99"), ("p999_us", "p99.9")):
        without, busy = figures[key]
        lab.report.row(f"{durability}, {RATE} /s, {name} with the cleaner", busy, "us", without,
                       "without", note=f"{count} passes" if key == "p50_us" else "")
    without, busy = figures["p99_us"]
    lab.report.budget(f"{durability}: p99 with the cleaner, by without", busy / without, "x", 2,
                      note=f"{busy / 1000:.1f} by {without / 1000:.1f} ms")


def compact(lab):
    lab.report.title("compaction: one pass over a log that is dirty, bytes read a second")
    throughput(lab)
    lab.report.title("compaction: end to end at a fixed rate, medians of looks in turn")
    for durability in ("sync", "os"):
        beside(lab, durability)

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""compact: kill -9 in every phase of a compaction pass; the latest of each key stays (row J4).

Two compacted topics are written to, one producer each, so that record n of a topic has offset n:
`forget`, whose tombstones go with the next pass, and `keep`, whose tombstones stay. The cleaner has
something to do all the time, sometimes at a crawl. A pass is watched from outside, by the names in
the folders (engine/README.md, Compaction), and the broker is killed where the round wants it, mostly the rarest:

    reading   a pass reads, or none is under way: no file of it is there
    copying   <base>.log.cleaned grows
    copied    its indexes lie beside it
    decided   it is named <base>.<end>.swap
    removing  a segment that it replaces was removed
    indexes   an index was renamed over the old one
    done      it has the old one's name

What the figures count is what lay in the folders when the broker was dead. After each restart, while
the producers still write, and once more when they have ended:

    lost         the latest acknowledged record of a key is not there (nor one behind it)
    resurrected  an older record is the last of its key
    wrong        a record is not the one that was sent at its offset
    disordered   offsets do not rise, or do not end where they must

and after a clean stop `kauri verify --deep` finds nothing.

    test/chaos/compact.py [--seed N] [--kills N] [--long] [--planted]

14 kills, 200 with --long or KAURI_TEST_LONG=1; then also --planted: a program that removes the old
segments before it has decided (engine/base/planted.h) must be found out.
"""
import argparse
import contextlib
import ctypes
import json
import os
import random
import re
import select
import struct
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness

KILLS, KILLS_LONG, PLANTED_KILLS = 14, 200, 60
PLANTED = "KAURI_PLANT_SWAP_UNDECIDED"
PHASES = ("reading", "copying", "copied", "decided", "removing", "indexes", "done")
FAULTS = ("lost", "resurrected", "wrong", "disordered")
KEYS = 120
PHASE_LIMIT_S = 3
TOPICS = {"forget": 0, "keep": 86400000}  # delete.retention.ms
CRAWL = 262144                            # bytes a second
IN_MOVED_TO, IN_CREATE, IN_DELETE = 0x80, 0x100, 0x200


class Watch:
    """The names that come, go and change in some folders, as they do."""

    EVENTS = {IN_MOVED_TO: "moved", IN_CREATE: "made", IN_DELETE: "gone"}

    def __init__(self, folders):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        for folder in folders:
            if libc.inotify_add_watch(self.fd, str(folder).encode(), sum(self.EVENTS)) < 0:
                raise OSError(ctypes.get_errno(), "inotify_add_watch")

    def close(self):
        os.close(self.fd)

    def take(self):
        """Events since the last call: (what, name)."""
        try:
            held = os.read(self.fd, 65536)
        except BlockingIOError:
            return []
        found, at = [], 0
        while at < len(held):
            _, mask, _, size = struct.unpack_from("iIII", held, at)
            name = held[at + 16:at + 16 + size].rstrip(b"\0").decode()
            found.append((self.EVENTS.get(mask & 0xfff), name))
            at += 16 + size
        return found

    def until(self, pattern, limit_s):
        """Waits for an event "what name" that fits; False when there was none in time."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            select.select([self.fd], [], [], 0.1)
            if any(re.fullmatch(pattern, f"{what} {name}") for what, name in self.take()):
                return True
        return False


WANTED = {
    "copying": r"made \d+\.log\.cleaned",
    "copied": r"made \d+\.timeindex\.cleaned",
    "decided": r"moved \d+\.\d+\.swap",
    "removing": r"gone \d+\.log",
    "indexes": r"moved \d+\.index",
    "done": r"moved \d+\.log",
}


def phase_of(folder, watched):
    """How far the pass was, by what lies there."""
    names = set(os.listdir(folder))
    swaps = [re.fullmatch(r"(\d+)\.(\d+)\.swap", name) for name in names]
    for base, end in (m.groups() for m in swaps if m):
        if f"{base}.index.cleaned" not in names:
            return "indexes"
        others = any(base < name[:20] < end for name in names if name.endswith(".log"))
        return "decided" if others else "removing"
    if any(name.endswith(".timeindex.cleaned") for name in names):
        return "copied"
    if any(name.endswith(".log.cleaned") for name in names):
        return "copying"
    return "done" if watched == "done" else "reading"


@contextlib.contextmanager
def hurried():
    """The next step of a swap is a tenth of a millisecond away: be there before it, where allowed."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except OSError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


class Topic:
    """What was sent to a topic of one partition: row n is (key, value or None) of offset n."""

    def __init__(self, broker, name, chance):
        self.broker, self.name, self.chance = broker, name, chance
        self.rows, self.burst = [], 0  # where the last burst begins
        self.settled = {}              # key -> its last offset in front of the burst
        self.path, self.child = broker.home.path / f"{name}.rows", None
        self.counts, self.words = dict.fromkeys(FAULTS, 0), []

    def create(self):
        done = self.broker.run("topic", "create", self.name, "-c", "cleanup.policy=compact",
                               "-c", "segment.bytes=24576", "-c", "min.cleanable.dirty.ratio=0.01",
                               "-c", f"delete.retention.ms={TOPICS[self.name]}")
        if done.code != 0:
            raise RuntimeError(str(done))

    def row(self):
        value = f"{len(self.rows)} {'x' * self.chance.randrange(120)}"
        return f"k{self.chance.randrange(KEYS)}", None if self.chance.random() < 0.2 else value

    def send(self, count, rate):
        """Starts a burst, which goes on through whatever happens to the broker."""
        for offset in range(self.burst, len(self.rows)):
            self.settled[self.rows[offset][0]] = offset
        self.burst = len(self.rows)
        for _ in range(count):
            self.rows.append(self.row())
        lines = (json.dumps({"key": k, "value": v}) for k, v in self.rows[self.burst:])
        self.path.write_text("\n".join(lines) + "\n")
        with open(self.path, "rb") as rows:
            self.child = self.broker.open(
                "produce", self.name, "--json", "--rate", f"{rate}/s", "--batch-size", "4K",
                "--linger", "2ms", "--timeout", "60s", stdin=rows, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE)

    def settle(self):
        """Waits for the burst's end: then all of it is acknowledged."""
        _, said = self.child.communicate(timeout=120)
        if self.child.returncode != 0:
            self.fault("lost", f"the producer ends with {self.child.returncode}: {said[-300:]}")
            raise RuntimeError(f"{self.name}: {said[-500:].decode(errors='replace')}")

    def fault(self, kind, words):
        self.counts[kind] += 1
        if len(self.words) < 5:
            self.words.append(f"{self.name}: {kind}: {words}")

    def end(self):
        return self.broker.describe(self.name)["partitions"][0]["end"]

    def seen(self):
        """key -> the offset of its last record, for a reader from the start."""
        last, seen = -1, {}
        for r in self.broker.run("consume", self.name, "-o", "start", "-e", "--json").envelopes():
            offset = r["offset"]
            if offset <= last or offset >= len(self.rows):
                self.fault("disordered", f"{offset} behind {last} of {len(self.rows)}")
                continue
            if self.rows[offset] != (r["key"], r["value"]):
                self.fault("wrong", f"{r} is not {self.rows[offset]}")
            last, seen[r["key"]] = offset, offset
        return seen

    def look(self, done):
        """Compares; done: the burst is, so all ends are known. Else what lies behind the log's end
        at the start may be there or not."""
        begin = self.end()
        seen = self.seen()
        if begin > len(self.rows) or (done and begin != len(self.rows)):
            self.fault("disordered", f"the log ends at {begin}, {len(self.rows)} were sent")
        latest, gone = dict(self.settled), set()
        for offset in range(self.burst, begin):
            latest[self.rows[offset][0]] = offset
        for key, value in self.rows[begin:self.end()]:
            if value is None:
                gone.add(key)
        for key, offset in latest.items():
            forgotten = TOPICS[self.name] == 0 and (self.rows[offset][1] is None or key in gone)
            if key not in seen and not forgotten:
                self.fault("lost", f"{key}, written last at {offset}")
            elif seen.get(key, offset) < offset:
                self.fault("resurrected", f"{key}, of {seen[key]}, written last at {offset}")


class Run:
    """One broker and its topics; kill after kill."""

    def __init__(self, home, program, seed):
        self.home, self.chance = home, random.Random(seed)
        self.broker = harness.Broker(home, program=program, log_cleaner_backoff_ms=1)
        self.topics = [Topic(self.broker, name, self.chance) for name in TOPICS]
        self.found, self.readies, self.faults = dict.fromkeys(PHASES, 0), [], []

    def start(self, crawls):
        self.broker.settings["log.cleaner.io.max.bytes.per.second"] = CRAWL if crawls else 1e12
        seconds = self.broker.start()
        if seconds is None:
            raise RuntimeError("it does not start")
        return seconds

    def kill(self, wanted):
        """Under load, in that phase if it comes; what phase it was."""
        folders = [self.broker.partition(topic.name) for topic in self.topics]
        watch = Watch(folders)
        watched = "none"
        try:
            time.sleep(self.chance.uniform(0.05, 0.4))
            watch.take()
            if wanted == "reading":
                harness.wait_for(lambda: all(phase_of(f, "none") == wanted for f in folders),
                                 PHASE_LIMIT_S, 0)
            with hurried():
                if wanted in WANTED and watch.until(WANTED[wanted], PHASE_LIMIT_S):
                    watched = wanted
                self.broker.child.kill()
            self.broker.kill()
        finally:
            watch.close()
        phases = [phase_of(folder, watched) for folder in folders]
        return max(phases, key=lambda p: -1 if p == "reading" else PHASES.index(p) % 6)

    def round(self, number):
        rare = min(PHASES, key=self.found.get)
        wanted = rare if self.chance.random() < 0.6 else self.chance.choice(PHASES)
        crawls = wanted in ("reading", "copying") and self.chance.random() < 0.7
        self.start(crawls)
        for topic in self.topics:
            topic.send(800 if crawls else 2500, 1500 if crawls else 4000)
        self.found[self.kill(wanted)] += 1
        self.readies.append(self.start(crawls))
        for topic in self.topics:
            topic.look(False)
        for topic in self.topics:
            topic.settle()
            topic.look(True)
        if self.broker.stop() != 0:
            self.faults.append(f"round {number}: the stop fails: {self.broker.errors()[-400:]}")
        done = self.broker.plain("verify", "--deep", self.broker.data)
        if done.code != 0:
            self.faults.append(f"round {number}: verify --deep: {done}")

    def rounds(self, kills):
        """How many there were: the first fault ends it."""
        try:
            self.start(False)
            for topic in self.topics:
                topic.create()
                topic.send(3000, 100000)
                topic.settle()
            self.broker.stop()
            for number in range(kills):
                self.round(number)
                if self.wrong():
                    return number + 1
        except RuntimeError as why:
            code = None if self.broker.running() or self.broker.child is None else self.broker.wait()
            self.faults.append(f"{why}; the broker: exit {code}: {self.broker.errors()[-800:]}")
        return kills

    def count(self, kind):
        return sum(topic.counts[kind] for topic in self.topics)

    def wrong(self):
        return self.faults + [words for topic in self.topics for words in topic.words]

    def line(self):
        ms = [s * 1000 for s in self.readies]
        rows = sum(len(topic.rows) for topic in self.topics)
        passes = self.broker.errors().count("compacted ")
        return (f"{sum(self.found.values())} kills ("
                + ", ".join(f"{count} {phase}" for phase, count in self.found.items())
                + f"); {rows} updates of {KEYS * len(self.topics)} keys, {passes} passes; "
                + ", ".join(f"{self.count(kind)} {kind}" for kind in FAULTS)
                + f"; restart to ready p50 {harness.percentile(ms, 50):.0f} max {max(ms, default=0):.0f} ms")


def run_real(kills, seed):
    home = harness.Home("compact")
    run = Run(home, harness.KAURI, seed)
    run.rounds(kills)
    faults = run.wrong()
    if not faults and kills >= 10 * len(PHASES):
        faults = [f"no kill fell on \"{phase}\"" for phase, count in run.found.items() if count == 0]
    for fault in faults:
        print(f"FAILED  {fault}")
    print(f"compact: {run.line()}; {'FAILED' if faults else 'ok'}", flush=True)
    home.close()
    return not faults


def build_planted():
    build = harness.BUILD / "planted-swap"
    if not (build / "build.ninja").exists():
        harness.shell("meson", "setup", build, harness.ROOT, f"-Dc_args=-D{PLANTED}")
    harness.shell("ninja", "-C", build, "cli/kauri")
    return build / "cli" / "kauri"


def run_planted(seed):
    program = build_planted()
    home = harness.Home("compact-planted")
    run = Run(home, program, seed)
    done = run.rounds(PLANTED_KILLS)
    found = run.wrong()
    home.close()
    if found:
        print(f"ok      removing before deciding: found after {done} kills: {found[0][:200]}")
    else:
        print(f"FAILED  removing before deciding: not found in {done} kills")
    return bool(found)


def main():
    parser = argparse.ArgumentParser(description="kill -9 in every phase of a compaction pass.")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--kills", type=int)
    parser.add_argument("--long", action="store_true", help=f"{KILLS_LONG} kills")
    parser.add_argument("--planted", action="store_true", help="only the planted bug")
    options = parser.parse_args()
    long = options.long or harness.LONG
    seed = harness.seed_of(options)
    good = options.planted or run_real(options.kills or (KILLS_LONG if long else KILLS), seed)
    if options.planted or long:
        good = run_planted(seed) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

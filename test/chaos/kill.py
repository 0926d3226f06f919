#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kill: a broker under load is killed with -9 again and again; nothing acknowledged may be missing.

Four topics are written to all the time: `steady` as it comes; `tiny`, whose segments are a few
batches long, so that kills hit rolls and checkpoints; `short`, which also loses its oldest segments
to retention; `latest`, which is compacted. Beside them topics are created and deleted, and settings
of these changed, while the kill falls; what was answered must hold after the restart. A reader
follows `steady` through all deaths and must see every offset once. One kill in six hits a broker
that is still starting.

    test/chaos/kill.py [--seed N] [--kills N] [--long]      30 kills, 1,000 with KAURI_TEST_LONG=1
    test/chaos/kill.py --front kafka ...                    20 kills, 1,000 with KAURI_TEST_LONG=1

With --front kafka the records go in through librdkafka (idempotent, acks=all), the judge reads
through librdkafka, and the reader is kafka-console-consumer; the side topics stay with our client.

The last line gives the figures. Exit 1 when anything is lost, doubled, out of order, unasked for or
refused, when a restart fails, or when `kauri verify --deep` finds damage.
"""
import argparse
import random
import re
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness
import rig

KILLS, KILLS_LONG = {"native": 30, "kafka": 20}, 1000
EARLY_EVERY = 6
CONSOLE = harness.BUILD / "cli" / "kafka" / "kauri-kafka"


class Topics:
    """Side topics, created and deleted under the kills, and what their owner was told."""

    def __init__(self, broker, chance):
        self.broker, self.chance = broker, chance
        self.there, self.open, self.made = set(), [], 0
        self.late = set()  # asked, given up by the client: may still come about until the next kill
        self.wrong, self.asked = [], 0

    def ask(self):
        """Starts one command; its answer, if it gets one, is read after the kill."""
        if self.there and self.chance.random() < 0.45:
            name = self.chance.choice(sorted(self.there))
            self.there.discard(name)
            words = ("topic", "delete", name, "-y")
        else:
            self.made += 1
            name = f"side-{self.made:04d}"
            words = ("topic", "create", name, "-p", "2")
        child = self.broker.open(*words, "--timeout", "1s", stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.open.append((words[1], name, child))
        self.asked += 1

    def settle(self):
        """With the broker up again: what was promised must be so; what is open may be either."""
        waiting, self.open = self.open, []
        answers = [(verb, name, child.wait(30)) for verb, name, child in waiting]
        listed = {e["name"] for e in self.broker.run("topic", "list", "--json").json()["topics"]}
        unsure, self.late = self.late, {name for _, name, code in answers if code != 0}
        for verb, name, code in answers:
            if code == 0 and (name in listed) != (verb == "create"):
                self.wrong.append(f"{verb} {name} was answered, and is not so")
        for name in unsure.union(name for _, name, _ in answers):
            (self.there.add if name in listed else self.there.discard)(name)
        self.wrong += [f"{name} was there and is gone" for name in self.there - listed]
        self.wrong += [f"{name} was deleted and is back"
                       for name in listed - self.there if name.startswith("side-")]
        self.there &= listed


class Reader:
    """kauri consume over all deaths: it must see every offset once, each one more than the last."""

    LINE = re.compile(rb"(\d+) (\d+)")

    def __init__(self, broker, topic):
        self.broker, self.topic = broker, topic
        self.path = broker.home.path / f"read-{topic}"

    def ends(self):
        """partition -> number of whole lines read; and the first fault."""
        ends = {}
        text = self.path.read_bytes() if self.path.exists() else b""
        for line in text[:text.rfind(b"\n") + 1].split(b"\n")[:-1]:
            partition, offset = map(int, self.LINE.fullmatch(line).groups())
            if offset != ends.get(partition, 0):
                return ends, f"partition {partition}: offset {offset} after {ends.get(partition, 0)}"
            ends[partition] = offset + 1
        return ends, None

    def open(self, out):
        return self.broker.open("consume", self.topic, "-o", "start", "-f", "%p %o\n",
                                stdin=subprocess.DEVNULL, stdout=out)

    def start(self):
        with open(self.path, "wb") as out:
            self.child = self.open(out)

    def end(self, wanted):
        """Waits until it has read everything; what is wrong, or None."""
        def done():
            ends, fault = self.ends()
            return fault or ends == wanted
        harness.wait_for(done, 30, 0.2)
        self.child.terminate()
        self.child.wait(30)
        ends, fault = self.ends()
        if fault is None and ends != wanted:
            fault = f"ends {ends}, the log's {wanted}"
        return fault


class KafkaReader(Reader):
    """The same with kafka-console-consumer."""

    LINE = re.compile(rb"Partition:(\d+)\tOffset:(\d+)")

    def open(self, out):
        words = ["--bootstrap-server", self.broker.address, "--topic", self.topic,
                 "--from-beginning"]
        for name, ms in (("reconnect.backoff.ms", 10), ("reconnect.backoff.max.ms", 50)):
            words += ["--consumer-property", f"{name}={ms}"]
        for name, value in (("offset", "true"), ("partition", "true"), ("value", "false")):
            words += ["--property", f"print.{name}={value}"]
        child = subprocess.Popen([str(CONSOLE), "kafka-console-consumer", *words],
                                 stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL,
                                 preexec_fn=harness.die_with_parent)
        self.broker.home.undo.append(child.kill)
        return child


READERS = {"native": Reader, "kafka": KafkaReader}


def make_loads(broker, run, front):
    """The three topics; sizes small enough for two cores."""
    p = rig.Producer
    return [
        rig.Load(broker, "steady", 4, [p("zstd"), p("none", 800)], run, front=front),
        rig.Load(broker, "tiny", 2, [p("lz4", 300, 1500), p("gzip", 100, 500, 0)], run,
                 front=front, segment_bytes=40960),
        rig.Load(broker, "short", 2, [p("snappy", 400, 1500)], run, retention=True,
                 front=front, segment_bytes=40960, retention_bytes=122880),
        rig.Load(broker, "latest", 2, [p("zstd", 200, 1000), p("none", 150, 500)], run,
                 compacted=True, front=front, segment_bytes=40960,
                 min_cleanable_dirty_ratio="0.01"),
    ]


CHOICES = {  # topic: settings that go together
    "steady": [{"segment.bytes": "1073741824", "retention.bytes": "-1"},
               {"segment.bytes": "500000", "retention.bytes": "1000000000"}],
    "tiny": [{"segment.bytes": "40960", "index.interval.bytes": "4096"},
             {"segment.bytes": "100000", "index.interval.bytes": "512"}],
    "short": [{"segment.bytes": "40960", "retention.bytes": "122880"},
              {"segment.bytes": "100000", "retention.bytes": "60000"}],
    "latest": [{"segment.bytes": "40960", "min.cleanable.dirty.ratio": "0.01",
                "max.compaction.lag.ms": "9223372036854775807"},
               {"segment.bytes": "100000", "min.cleanable.dirty.ratio": "0.3",
                "max.compaction.lag.ms": "100"}],
}


def one_kill(broker, clients, chance, readies, early):
    """Lets it live for a while, or not even get ready, and kills it. False: it did not start."""
    broker.spawn()
    if early:
        time.sleep(chance.uniform(0.0, 0.02))
        broker.kill()
        return True
    seconds = broker.await_ready()
    if seconds is None:
        return False
    readies.append(seconds)
    left = chance.uniform(0.005, 0.5)
    for client in clients:
        client.settle()
    for client in clients:
        if chance.random() < 0.7:
            wait = chance.uniform(0.0, left)
            time.sleep(wait)
            client.ask()
            left -= wait
    time.sleep(left)
    broker.kill()
    return True


def verify(broker):
    done = broker.plain("verify", "--deep", broker.data)
    return None if done.code == 0 else f"verify --deep: {done}"


def run(options, seed):
    """All of it; the faults in words, and the figures."""
    home = harness.Home("kill")
    broker = rig.FRONTS[options.front].broker_class(home, log_retention_check_interval_ms=50,
                                                    log_segment_delete_delay_ms=0,
                                                    log_cleaner_backoff_ms=20)
    try:
        return run_on(broker, options, random.Random(seed), seed)
    except RuntimeError as why:
        code = None if broker.running() or broker.child is None else broker.wait()
        return [f"{why}; the broker: exit {code}: {broker.errors()[-800:]}"], "broken off"


def run_on(broker, options, chance, seed):
    if broker.start() is None:
        raise RuntimeError("it does not start")
    front = rig.FRONTS[options.front]
    topics, settings = Topics(broker, chance), rig.Settings(broker, CHOICES, chance)
    total, readies = rig.Total(), []
    loads = make_loads(broker, seed, front)
    for load in loads:
        load.create()
        load.start()
    reader = READERS[options.front](broker, "steady")
    reader.start()
    time.sleep(0.2)
    broker.kill()
    for n in range(options.kills):
        if not one_kill(broker, (topics, settings), chance, readies, n % EARLY_EVERY == EARLY_EVERY - 1):
            raise RuntimeError(f"it does not start again after {n} kills")
    if broker.start() is None:
        raise RuntimeError(f"it does not start again after {options.kills} kills")
    topics.settle()
    settings.settle()
    faults = rig.finish(loads)
    broker.run("topic", "alter", "short", "--set", "retention.bytes=-1")
    broker.run("topic", "alter", "steady", "--set", "retention.bytes=-1")
    rig.judge_all(loads, total, "--server", front.address(broker))
    ends = {p["partition"]: p["end"] for p in broker.describe("steady")["partitions"]}
    fault = reader.end(ends)
    faults += [f"the reader of steady: {fault}"] if fault else []
    code = broker.stop()
    faults += [f"the last stop: exit {code}"] if code != 0 else []
    rig.judge_all(loads, total, "--dir", broker.data, of_record=False)
    fault = verify(broker)
    faults += rig.refusals(loads, total)
    faults += topics.wrong + settings.wrong + total.words + ([fault] if fault else [])
    ms, passes = [s * 1000 for s in readies], broker.errors().count("compacted latest-")
    faults += [] if passes else ["`latest` was never compacted"]
    figures = (f"{options.kills} kills; {total.line()}; {topics.asked} topics made or deleted under "
               f"them, {len(topics.wrong)} wrong; {settings.line()}; {passes} passes; "
               f"restart to ready p50 {harness.percentile(ms, 50):.0f} "
               f"p99 {harness.percentile(ms, 99):.0f} max {max(ms):.0f} ms")
    return faults, figures


def main():
    parser = argparse.ArgumentParser(description="kill -9 under load, again and again.")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--kills", type=int)
    parser.add_argument("--front", choices=sorted(rig.FRONTS), default="native")
    parser.add_argument("--long", action="store_true", help=f"{KILLS_LONG} kills")
    options = parser.parse_args()
    if options.kills is None:
        options.kills = KILLS_LONG if options.long or harness.LONG else KILLS[options.front]
    faults, figures = run(options, harness.seed_of(options))
    for fault in faults:
        print(f"FAILED  {fault}")
    print(f"kill, {options.front}: {figures}; {'FAILED' if faults else 'ok'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

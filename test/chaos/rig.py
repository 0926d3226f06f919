# SPDX-License-Identifier: MIT
"""rig: what kill.py and power.py share: topics under load, and the judge over them.

A Load is one topic and the producers that write to it (chaos_load, one process each) through every
death of the broker, each with its history on the healthy disk. After `end` the judge (chaos_check)
compares the topic, read through the client or from the files of a stopped broker, with the
histories: nothing lost, wrong, duplicated, reordered, phantom, left out or skipped. A Front says
which client: ours, or librdkafka (chaos_load_kafka, chaos_check_kafka).
"""
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness

PROGRAMS = harness.BUILD / "test" / "chaos"
FAULTS = ("lost", "wrong", "duplicated", "reordered", "phantom", "gaps", "skipped")
FLUSH_LIMIT_S = 120


class Front:
    """A broker's protocol: who writes and reads, and the broker's address for them."""

    def __init__(self, suffix, broker_class, address):
        self.loader, self.checker = (PROGRAMS / f"chaos_{w}{suffix}" for w in ("load", "check"))
        self.broker_class, self.address = broker_class, address


NATIVE = Front("", harness.Broker, lambda broker: broker.url)
KAFKA = Front("_kafka", harness.KafkaBroker, lambda broker: broker.address)
FRONTS = {"native": NATIVE, "kafka": KAFKA}


class Producer:
    """codec, size_max (bytes of the filler), rate (records a second), linger (ms)."""

    def __init__(self, codec="none", size_max=200, rate=2000, linger=2):
        self.codec, self.size_max, self.rate, self.linger = codec, size_max, rate, linger


class Load:
    def __init__(self, broker, topic, partitions, producers, run, retention=False, front=NATIVE,
                 **configs):
        self.broker, self.topic, self.partitions, self.run = broker, topic, partitions, run
        self.producers, self.retention, self.front = producers, retention, front
        self.configs = {k.replace("_", "."): v for k, v in configs.items()}
        self.children, self.counters = [], []
        folder = broker.home.path / f"history-{run}"
        folder.mkdir(exist_ok=True)
        self.histories = [folder / f"{topic}-{i}" for i in range(len(producers))]

    def create(self):
        words = [word for k, v in self.configs.items() for word in ("-c", f"{k}={v}")]
        done = self.broker.run("topic", "create", self.topic, "-p", self.partitions, *words)
        if done.code != 0:
            raise RuntimeError(f"cannot create {self.topic}: {done}")

    def start(self):
        size_max = max(p.size_max for p in self.producers)
        for i, p in enumerate(self.producers):
            words = dict(server=self.front.address(self.broker), topic=self.topic, history=self.histories[i],
                         producer=i, run=self.run, partitions=self.partitions, codec=p.codec,
                         seed=self.run + i, rate=p.rate, linger=p.linger)
            words["size-max"] = size_max
            command = [str(self.front.loader)] + [str(w) for k, v in words.items() for w in (f"--{k}", v)]
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=open(f"{self.histories[i]}.stderr", "wb"),
                                     preexec_fn=harness.die_with_parent)
            self.broker.home.undo.append(child.kill)
            self.children.append(child)

    def signal_end(self):
        """Tells the producers to finish what is in flight."""
        for child in self.children:
            child.stdin.close()

    def end(self):
        """Waits for them; the broker must be up. What went wrong, in words, or []."""
        told = []
        for i, child in enumerate(self.children):
            out = child.stdout.read()
            code = child.wait(FLUSH_LIMIT_S)
            if out:
                self.counters.append(json.loads(out))
            if code != 0:
                said = Path(f"{self.histories[i]}.stderr").read_text(errors="replace")[-500:]
                told.append(f"{self.topic}: producer {i}: exit {code}: {said}")
        return told

    def judge(self, *source):
        """(counts, words of the checker); source: "--server", ADDRESS or "--dir", FOLDER."""
        command = [str(self.front.checker), *map(str, source), "--topic", self.topic]
        command += ["--retention"] if self.retention else []
        done = subprocess.run(command + [str(h) for h in self.histories], capture_output=True,
                              text=True, errors="replace", timeout=600)
        if done.returncode not in (0, 1):
            return None, f"{self.topic}: exit {done.returncode}: {done.stderr[-800:]}"
        first, _, rest = done.stdout.partition("\n")
        return json.loads(first), rest


class Total:
    """The sums over loads and rounds."""

    def __init__(self):
        self.counts = dict.fromkeys(("records", "acked", "failed", "expired") + FAULTS, 0)
        self.words = []

    def add(self, counts, words, of_record=True):
        """One verdict; the numbers of a second look at the same log are not added."""
        if counts is None:
            self.words.append(words)
            return
        for key, value in counts.items():
            if of_record or key in FAULTS:
                self.counts[key] += value
        if self.faults_of(counts):
            self.words.append(words)

    @staticmethod
    def faults_of(counts):
        return sum(counts[key] for key in FAULTS)

    def faults(self):
        return self.faults_of(self.counts)

    def line(self):
        c = self.counts
        return (f"{c['acked']} acknowledged, {c['records']} in the log, {c['failed']} failed, "
                f"{c['expired']} expired; " + ", ".join(f"{c[k]} {k}" for k in FAULTS))


def finish(loads):
    """Ends all loads on a broker that is up. Words of what went wrong."""
    for load in loads:
        load.signal_end()
    return [word for load in loads for word in load.end()]


def judge_all(loads, total, *source, of_record=True):
    for load in loads:
        counts, words = load.judge(*source)
        total.add(counts, f"{load.topic}: {words}", of_record)


def refusals(loads, total):
    """Nothing may fail within ten minutes, whatever dies: what the producers said if something did."""
    if not total.counts["failed"]:
        return []
    said = [Path(f"{path}.stderr").read_text(errors="replace")[:200]
            for load in loads for path in load.histories]
    return [f"{total.counts['failed']} records failed: {' '.join(said)}"]

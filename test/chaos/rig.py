# SPDX-License-Identifier: MIT
"""rig: what kill.py and power.py share: topics under load, and the judge over them.

A Load is one topic and the producers that write to it (chaos_load, one process each) through every
death of the broker, each with its history on the healthy disk. After `end` the judge (chaos_check)
compares the topic, read through the client or from the files of a stopped broker, with the
histories: nothing lost, wrong, duplicated, reordered, phantom, left out or skipped. A Front says
which client: ours, or librdkafka (chaos_load_kafka, chaos_check_kafka). Settings changes topics'
settings meanwhile.
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
    """codec, size_max (bytes of the filler), rate (records a second), linger (ms), acks (-1: all),
    records (then it ends by itself; 0: never)."""

    def __init__(self, codec="none", size_max=200, rate=2000, linger=2, acks=-1, records=0):
        self.codec, self.size_max, self.rate, self.linger = codec, size_max, rate, linger
        self.acks, self.records = acks, records


class Load:
    def __init__(self, broker, topic, partitions, producers, run, retention=False, front=NATIVE,
                 compacted=False, **configs):
        self.broker, self.topic, self.partitions, self.run = broker, topic, partitions, run
        self.producers, self.front = producers, front
        self.allowed = ["--retention"] * retention + ["--compacted"] * compacted
        self.configs = {k.replace("_", "."): v for k, v in configs.items()}
        if compacted:
            self.configs["cleanup.policy"] = "compact"
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
            words.update({"acks": p.acks} if p.acks >= 0 else {})
            words.update({"records": p.records} if p.records else {})
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
        command += self.allowed
        done = subprocess.run(command + [str(h) for h in self.histories], capture_output=True,
                              text=True, errors="replace", timeout=600)
        if done.returncode not in (0, 1):
            return None, f"{self.topic}: exit {done.returncode}: {done.stderr[-800:]}"
        first, _, rest = done.stdout.partition("\n")
        return json.loads(first), rest


class Settings:
    """A client that changes settings of topics under the kills, several of one topic at once: what
    was answered must hold after the restart, and of a set all or nothing, whatever was answered."""

    def __init__(self, broker, choices, chance):
        """choices: topic -> sets of settings of the same keys; it was created with the first."""
        self.broker, self.choices, self.chance = broker, choices, chance
        self.known = {topic: sets[0] for topic, sets in choices.items()}
        self.open, self.late = [], {}
        self.wrong, self.asked, self.answered = [], 0, 0

    def ask(self):
        """Starts one command; its answer, if it gets one, is read after the kill."""
        topic = self.chance.choice(sorted(self.choices))
        wanted = self.chance.choice([s for s in self.choices[topic] if s != self.known[topic]])
        words = [word for k, v in wanted.items() for word in ("--set", f"{k}={v}")]
        child = self.broker.open("topic", "alter", topic, *words, "--timeout", "1s",
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        self.open.append((topic, wanted, child))
        self.asked += 1

    def settle(self):
        """With the broker up again: what was promised must be so; what is open may be either, and
        may come about until the next kill."""
        waiting, self.open = self.open, []
        late, self.late = self.late, {}
        done = {}
        for topic, wanted, child in waiting:
            good = child.wait(30) == 0
            (done if good else self.late).setdefault(topic, []).append(wanted)
            self.answered += good
        for topic, known in self.known.items():
            may = done.get(topic, [known]) + late.get(topic, []) + self.late.get(topic, [])
            configs = self.broker.run("topic", "describe", topic, "--json").json()["configs"]
            found = [s for s in may if all(configs[k]["value"] == v for k, v in s.items())]
            if not found:
                has = {k: configs[k]["value"] for k in known}
                self.wrong.append(f"{topic} has {has}, which is none of {may}")
            self.known[topic] = found[0] if found else known

    def line(self):
        return f"{self.asked} changes of settings, {self.answered} answered, {len(self.wrong)} wrong"


class Total:
    """The sums over loads and rounds."""

    def __init__(self):
        self.counts = dict.fromkeys(("records", "acked", "failed", "expired", "superseded") + FAULTS, 0)
        self.words, self.changes = [], 0  # changes: of settings, answered

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
                f"{c['expired']} expired, {c['superseded']} superseded; " + ", ".join(f"{c[k]} {k}" for k in FAULTS))


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

# SPDX-License-Identifier: MIT
"""cluster: what the chaos tests of several brokers share: members, their promotion, their logs.

A Cluster starts its members (each a broker of its own, on tcp ports of its own) as a person would:
the first alone, the others with --replica-of, and every later start with --replica-of all others.
It stands where rig.Load wants a broker: commands, producers and judges get the list of all
addresses. Logs are read from the files, batch by batch, and compared: `differences` is the proof
that replicas are the same bytes.
"""
import itertools
import json
import signal
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness
import rig

WAIT_LIMIT_S = 60
PROMOTE_LIMIT_S = 20
REFUSED = 7
AGAIN = ("try again", "is under way")  # what the tool says where it may work in a moment
HEADER = struct.Struct(">qiiBIhi")  # base offset, size, epoch, magic, crc, attributes, last delta


class Member(harness.KafkaBroker):
    """One broker of a cluster. host: its address; wrap: a command that starts it elsewhere."""

    LOCAL = "127.0.0.1"

    def __init__(self, home, number, host=LOCAL, wrap=(), **settings):
        super().__init__(home, f"n{number}", **settings)
        self.number, self.wrap, self.stopped = number, wrap, False
        self.insecure = () if host == self.LOCAL else ("--allow-insecure",)
        self.url = f"tcp://{host}:{harness.free_port()}"
        self.address = f"{host}:{harness.free_port()}"

    def launch(self, others):
        """Starts it as a replica of the others; with none, alone."""
        seeds = ",".join(other.url for other in others)
        more = ("--replica-of", seeds) if seeds else ()
        if self.start("--broker-id", str(self.number), *more, *self.insecure, wrap=self.wrap) is None:
            raise RuntimeError(f"broker {self.number} does not start: {self.errors()[-800:]}")

    def pause(self):
        self.freeze()
        self.stopped = True

    def resume(self):
        self.signal(signal.SIGCONT)
        self.stopped = False

    def kill(self):
        self.stopped = False
        super().kill()

    def answers(self):
        return self.running() and not self.stopped


class Batch:
    """A batch as it lies in the file."""

    def __init__(self, raw):
        self.base, _, self.epoch, _, _, _, delta = HEADER.unpack_from(raw)
        self.raw, self.end = raw, self.base + delta + 1


def read_batches(folder):
    """All whole batches of a partition's segments, in order."""
    batches = []
    for path in sorted(folder.glob("*.log")):
        data, at = path.read_bytes(), 0
        while len(data) - at >= HEADER.size:
            size = HEADER.unpack_from(data, at)[1] + 12
            if size <= 12 or at + size > len(data):
                break
            batches.append(Batch(data[at:at + size]))
            at += size
    return batches


def first_difference(one, other, end):
    """Where two logs differ below the offset `end`, in words; None when they do not."""
    for a, b in itertools.zip_longest(*([x for x in log if x.base < end] for log in (one, other))):
        if a is None or b is None or a.raw != b.raw:
            tell = [f"[{x.base},{x.end}) epoch {x.epoch}" if x else "nothing" for x in (a, b)]
            return f"{tell[0]} against {tell[1]}"
    return None


class Cluster:
    def __init__(self, home, count, member=Member, **settings):
        self.home = home
        self.members = [member(home, i + 1, **settings) for i in range(count)]

    # ---- where rig wants a broker ----
    @property
    def url(self):
        return ",".join(member.url for member in self.members)

    @property
    def address(self):
        return ",".join(member.address for member in self.members)

    def run(self, *words, **more):
        return self.members[0].plain(*words, "-s", self.url, **more)

    # ---- members ----
    def start(self):
        for i, member in enumerate(self.members):
            member.launch(self.members[:i])
        return self.caught_up()

    def others(self, *but):
        return [member for member in self.members if member not in but]

    def launch(self, member):
        member.launch(self.others(member))

    def caught_up(self, count=None):
        """None once every replica is in sync; else what the tool said."""
        count = count or len(self.members)
        done = self.run("cluster", "wait", "--caught-up", "--brokers", count, "--timeout",
                        f"{WAIT_LIMIT_S}s", limit_s=WAIT_LIMIT_S + 30)
        return None if done.code == 0 else f"not caught up: {done}: {self.told()}"

    def status(self, member):
        """kauri cluster status -p --json, or None when it does not answer."""
        done = member.plain("cluster", "status", "-p", "--json", "--timeout", "5s", "-s", member.url)
        return json.loads(done.text) if done.code == 0 else None

    def leader(self):
        """The member that leads in the greatest term that anybody knows of."""
        told = [self.status(member) for member in self.members if member.answers()]
        told = [t for t in told if t and t["leader_answers"] and t["leader"] > 0]
        if not told:
            raise RuntimeError(f"nobody leads: {self.told()}")
        return self.members[max(told, key=lambda t: t["term"])["leader"] - 1]

    def promote(self, member):
        """A Done: 0, or REFUSED, or what went wrong."""
        return member.run("cluster", "promote", "--timeout", f"{PROMOTE_LIMIT_S}s",
                          limit_s=PROMOTE_LIMIT_S + 30)

    def promote_one(self, candidates, limit_s=30):
        """As an operator does: one after the other until one takes over. (the member that leads,
        the refusals in words, what went wrong otherwise); no member when none does within the
        limit."""
        refused, wrong = [], []

        def attempt():
            for member in candidates:
                done = self.promote(member)
                if done.code == 0:
                    return member
                known = done.code == REFUSED or done.code == 1 and any(w in done.errors for w in AGAIN)
                (refused if known else wrong).append(f"{member.number}: {done}")
            return None
        return harness.wait_for(attempt, limit_s, 0.1), refused, wrong

    def stop(self):
        """Faults of clean stops, the leader first: its followers still ask it."""
        leader = self.leader()
        codes = {m.number: m.stop() for m in (leader, *self.others(leader))}
        return [f"the stop of broker {n}: exit {code}" for n, code in codes.items() if code != 0]

    def told(self):
        """What each member said last, for a failure."""
        return "\n".join(f"--- broker {m.number}, {'up' if m.answers() else 'down'}: "
                         f"{m.errors()[-1500:]}" for m in self.members)

    # ---- logs ----
    def differences(self, topics):
        """Partitions of the topics that are not the same bytes everywhere. Call with producers ended
        and replicas caught up: then the high watermark is the end."""
        told, faults = self.status(self.leader()), []
        for p in told["partitions"]:
            if p["topic"] not in topics:
                continue
            if len(p["replicas"]) != len(self.members):
                faults.append(f"{p['topic']}-{p['partition']}: replicas {p['replicas']}")
            first, *others = [read_batches(m.partition(p["topic"], p["partition"])) for m in self.members]
            for member, log in zip(self.members[1:], others):
                why = first_difference(first, log, p["end"])
                faults += [f"{p['topic']}-{p['partition']}: broker {self.members[0].number} and "
                           f"{member.number} differ: {why}"] if why else []
            if p["end"] > 0 and not first:
                faults.append(f"{p['topic']}-{p['partition']}: no batch below {p['high_watermark']}")
        return faults


FRONTS = {"native": rig.Front("", Cluster, lambda cluster: cluster.url),
          "kafka": rig.Front("_kafka", Cluster, lambda cluster: cluster.address)}


class Topics:
    """Topics with producers, and the verdict over them."""

    def __init__(self, group, loads):
        self.group, self.loads = group, loads
        self.topics = {load.topic for load in loads}

    def judge(self, total):
        """Faults; total gets the counts."""
        faults = []
        for load in self.loads:
            mine = rig.Total()
            rig.judge_all([load], mine, "--server", load.front.address(self.group))
            total.add(mine.counts, "")
            faults += mine.words + rig.refusals([load], mine)
        return faults

    def delete(self):
        self.group.run("topic", "delete", *sorted(self.topics), "-y")


class Filled(Topics):
    """A topic of so many bytes, written as fast as it goes."""

    def __init__(self, group, name, size):
        producer = rig.Producer("none", 16000, 0, records=size // 8000)
        super().__init__(group, [rig.Load(group, name, 2, [producer], 1, front=FRONTS["native"],
                                          segment_bytes=32 << 20)])

    def write(self):
        """Faults."""
        for load in self.loads:
            load.create()
            load.start()
        return [word for load in self.loads for word in load.end()]


class Writers(Topics):
    """A producer of each front, on a topic of its own with min.insync.replicas=2, and the verdict
    over both."""

    def __init__(self, group, name, run, rate=800, size_max=300, acks=-1, partitions=2):
        super().__init__(group, [rig.Load(group, f"{front}-{name}", partitions,
                                          [rig.Producer(codec, size_max, rate, acks=acks)], run,
                                          front=FRONTS[front], min_insync_replicas=2)
                                 for front, codec in (("native", "zstd"), ("kafka", "none"))])

    def start(self):
        """Until both have acknowledgements. Faults."""
        for load in self.loads:
            load.create()
            load.start()
        if not harness.wait_for(lambda: all(h.exists() and h.stat().st_size > 0 for load in self.loads
                                            for h in load.histories)):
            return [f"nothing is acknowledged: {self.group.told()}"]
        return []

    def end(self):
        """With all brokers there: the producers finish. Faults; after it the logs are compared."""
        why = self.group.caught_up()
        faults = ([why] if why else []) + rig.finish(self.loads)
        why = self.group.caught_up()
        return faults + ([why] if why else []) + self.group.differences(self.topics)

    def silences(self):
        """Of each producer: (from, to) of its longest time without an acknowledgement, in seconds of
        CLOCK_MONOTONIC."""
        return [(c["quiet_from_us"] / 1e6, c["quiet_to_us"] / 1e6)
                for load in self.loads for c in load.counters]

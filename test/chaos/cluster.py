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
HEADER = struct.Struct(">qiiBIhi")  # base offset, size, epoch, magic, crc, attributes, last delta


class Member(harness.KafkaBroker):
    """One broker of a cluster. host: its address; wrap: a command that starts it elsewhere."""

    def __init__(self, home, number, host="127.0.0.1", wrap=(), **settings):
        super().__init__(home, f"n{number}", **settings)
        self.number, self.wrap, self.stopped = number, wrap, False
        self.url = f"tcp://{host}:{harness.free_port()}"
        self.address = f"{host}:{harness.free_port()}"

    def launch(self, others):
        """Starts it as a replica of the others; with none, alone."""
        seeds = ",".join(other.url for other in others)
        more = ("--replica-of", seeds) if seeds else ()
        if self.start("--broker-id", str(self.number), *more, wrap=self.wrap) is None:
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
        the refusals in words); (None, ...) when none does within the limit."""
        refused = []

        def attempt():
            for member in candidates:
                done = self.promote(member)
                if done.code == 0:
                    return member
                refused.append(f"{member.number}: exit {done.code}: {done.errors.strip()}")
            return None
        return harness.wait_for(attempt, limit_s, 0.1), refused

    def stop(self):
        """Faults of clean stops, followers first."""
        leader = self.leader()
        codes = {m.number: m.stop() for m in (*self.others(leader), leader)}
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
          "kafka": rig.Front("_kafka", Cluster, lambda cluster: cluster.leader().address)}

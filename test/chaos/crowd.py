# SPDX-License-Identifier: MIT
"""crowd: consumer groups under stress, and the judgement of what their members reported.

A Crowd is one group on a topic of its own, written to all the time, with members that join, leave,
are killed, stopped and let go again. Its members commit after every batch, so at the end every
record must have been processed. Watch asks the broker for committed offsets while all this goes on.

Judged from outside, from what the members said and when:
  1  In one generation of a classic group a partition has one owner.
  2  At one time a partition has one owner, from the moment a member says so until it says, before
     it tells the broker, that it gave it up. Exception: who was silent (stopped, killed, or without
     a broker) for a session may be succeeded, and must know of it RETURN_US after it is back.
  3  A committed offset is never behind what was acknowledged to a member, and never moves back.
  4  Every record was processed.
"""
import random
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "clients"))
import fleet
import harness
import membership

SESSION_MS, HEARTBEAT_MS = 3000, 500
# What a busy machine may be late by.
SLACK_US, RETURN_US = 1_000_000, 4_000_000
SETTLE_LIMIT_S, STREAM_LIMIT_S = 30.0, 70.0
# kauri and Apache Kafka alike: short sessions, no waiting for more members.
SETTINGS = {
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1000,
    "group.consumer.session.timeout.ms": SESSION_MS,
    "group.consumer.heartbeat.interval.ms": HEARTBEAT_MS,
}
# name: recipe, words of join
KINDS = {
    "range": (fleet.recipe_librdkafka, {"assignor": "range"}),
    "sticky": (fleet.recipe_librdkafka, {"assignor": "cooperative-sticky"}),
    "consumer": (fleet.recipe_librdkafka_2, {"model": "consumer"}),
}
FOREVER_US = 1 << 62


class Crowd:
    """One group. `alive` are those that are members now, `all` everybody who ever was."""

    def __init__(self, home, address, reference, kind, partitions, seed):
        recipe, self.words = KINDS[kind]
        self.command, self.env = recipe()
        self.home, self.address, self.reference = home, address, reference
        self.kind, self.partitions = kind, partitions
        self.group = self.topic = f"crowd-{kind}"
        self.random = random.Random(f"{seed} {kind}")
        self.alive, self.all, self.pauses, self.outages = [], [], {}, []
        reference.ask("create", topic=self.topic, partitions=partitions, config={})
        self.stream = fleet.Member(f"stream-{kind}", self.command, address, home, **self.env)
        self.stream.send("stream", topic=self.topic, partitions=partitions, pace_us=2000)
        self.stream.event("here")

    # ---- What happens to it ----------------------------------------------------------------------
    def join(self):
        member = membership.Joined(
            self.home, f"{self.kind}-{len(self.all)}", self.command, self.env, self.address,
            group=self.group, topic=self.topic, each=True, **{**self.words,
                                                             "session_ms": SESSION_MS,
                                                             "heartbeat_ms": HEARTBEAT_MS})
        self.alive.append(member)
        self.all.append(member)
        return member

    def pick(self):
        """A member that is not stopped at the moment, or None."""
        able = [m for m in self.alive if not self.stopped(m)]
        return self.random.choice(able) if able else None

    def stopped(self, member):
        return any(end is None for _, end in self.pauses.get(member.name, []))

    def leave(self):
        """A clean leave, not waited for."""
        member = self.pick()
        if member is not None:
            self.alive.remove(member)
            member.ask_to_leave()
            member.child.stdin.close()  # it ends when it has left

    def kill(self):
        member = self.pick()
        if member is not None:
            self.alive.remove(member)
            member.kill()

    def pause(self):
        member = self.pick()
        if member is not None:
            self.pauses.setdefault(member.name, []).append((time.time_ns() // 1000, None))
            member.pause()
        return member

    def resume(self, member):
        member.resume()
        begin, _ = self.pauses[member.name].pop()
        self.pauses[member.name].append((begin, time.time_ns() // 1000))

    def resume_all(self):
        for member in self.alive:
            if self.stopped(member):
                self.resume(member)

    # ---- Its state -------------------------------------------------------------------------------
    def settled(self, limit_s=SETTLE_LIMIT_S):
        """Waits until every partition has one owner among those alive. Words, or None."""
        wrong = membership.settled(self.alive, self.partitions, limit_s)
        return None if wrong is None else f"{self.group}: not settled after {limit_s:.0f} s: {wrong}"

    def processed(self, partition):
        return {o for m in self.all for p, o in list(m.got) if p == partition}

    def ends(self):
        return [max(self.processed(p), default=-1) + 1 for p in range(self.partitions)]

    def goes_on(self, limit_s=SETTLE_LIMIT_S):
        """Waits until something new was processed in every partition. Words, or None."""
        before = self.ends()
        good = harness.wait_for(lambda: all(a > b for a, b in zip(self.ends(), before)), limit_s, 0.2)
        return None if good else f"{self.group}: no progress in {limit_s:.0f} s: {before} {self.ends()}"

    def finish(self):
        """No more records; all that were written must be processed. Faults in words."""
        self.stream.send("stop")
        try:
            acked = self.stream.line(STREAM_LIMIT_S)["acked"]
        except fleet.Refused as why:
            return [f"{self.group}: the producer: {why}: {self.stream.log_path.read_text()[-600:]}"]
        wrong = self.settled()
        faults = [wrong] if wrong else []

        def missing():
            return {p: len(set(range(n)) - self.processed(p)) for p, n in enumerate(acked)}
        harness.wait_for(lambda: not any(missing().values()), SETTLE_LIMIT_S, 0.2)
        for p, count in missing().items():
            if count:
                lacking = sorted(set(range(acked[p])) - self.processed(p))
                faults.append(f"{self.group}-{p}: {count} of {acked[p]} never processed: {lacking[:5]}...")
        faults += [f"{self.group}: {m.name} ended by itself: {m.said()}" for m in self.alive if m.ended]
        return faults

    def quiet(self, seconds=2.0):
        """Whether the group leaves its members alone now. Words, or None."""
        before = [len(m.history) for m in self.alive]
        time.sleep(seconds)
        after = [len(m.history) for m in self.alive]
        return None if before == after else f"{self.group}: still rebalances: {before} {after}"

    def counts(self):
        records = sum(len(self.processed(p)) for p in range(self.partitions))
        again = sum(len(m.got) for m in self.all) - records
        changes = sum(len(m.history) for m in self.all)
        return f"{self.kind}: {len(self.all)} members, {changes} changes, {records} records, {again} again"

    # ---- Judgement -------------------------------------------------------------------------------
    def judge(self):
        return self.judge_generations() + self.judge_times()

    def judge_generations(self):
        """Rule 1; the epochs of the consumer model are each member's own."""
        if self.words.get("model") == "consumer":
            return []
        owner, faults = {}, []
        for m in self.all:
            for o in m.history:
                # -1: the client knew no generation any more when it was asked.
                for p in o.partitions if o.why == "assigned" and o.generation != -1 else ():
                    other = owner.setdefault((o.generation, p), m.name)
                    if other != m.name:
                        faults.append(f"{self.group}-{p}: {other} and {m.name} in generation {o.generation}")
        return faults

    def spans(self, member):
        """(partition, from, until, why) of all it owned."""
        since, out = {}, []
        for o in member.history:
            for p in o.partitions - since.keys():
                since[p] = o.at_us
            for p in list(since.keys() - o.partitions):
                out.append((p, since.pop(p), o.at_us, o.why))
        # One that leaves while there is no broker may end without having said that it gave up.
        end = member.killed_us or member.ended_us or FOREVER_US
        return out + [(p, begin, end, "ended") for p, begin in since.items()]

    def judge_times(self):
        """Rule 2."""
        spans, faults = [], []
        for m in self.all:
            spans += [(*span, m) for span in self.spans(m)]
        spans.sort(key=lambda s: s[:3])
        for i, (p, _, end, why, m) in enumerate(spans):
            for q, begin, _, _, other in spans[i + 1:]:
                if q != p:
                    break
                fault = None if other is m else self.overlap(m, end, begin)
                if fault:
                    faults.append(f"{self.group}-{p}: {other.name} after {m.name} ({why}): {fault}")
        return faults

    def overlap(self, m, end, begin):
        """m owned something until `end`; another says that it has it from `begin` on."""
        early = (SESSION_MS - HEARTBEAT_MS) * 1000 - SLACK_US
        if m.killed_us and end == m.killed_us:
            late = begin - end
            return None if late >= early else f"{late / 1e6:.2f} s after its death"
        if begin >= end:
            return None
        for paused, resumed in self.pauses.get(m.name, []) + self.long_outages(early):
            if paused + early <= begin and end <= (resumed or FOREVER_US) + RETURN_US:
                return None
        return f"{(min(end, FOREVER_US) - begin) / 1e6:.3f} s at the same time"


    def long_outages(self, early):
        """When the broker was away for so long that sessions may have ended with that alone."""
        return [(down, up) for down, up in self.outages if up - down >= early]


class Watch:
    """Rule 3, for all crowds: committed offsets as the broker tells them."""

    def __init__(self, crowds):
        self.crowds, self.faults, self.last, self.samples = crowds, [], {}, 0

    def sample(self, limit_s=SETTLE_LIMIT_S):
        """Asks once, through restarts, and compares with all that was acknowledged before."""
        for crowd in self.crowds:
            acked = self.acked(crowd)
            told = self.ask(crowd, limit_s)
            if told is None:
                self.faults.append(f"{crowd.group}: no offsets told in {limit_s:.0f} s")
                continue
            self.samples += 1
            for p, offset in acked.items():
                if told.get(p, -1) < offset:
                    self.faults.append(f"{crowd.group}-{p}: {offset} was acknowledged, {told.get(p)} is there")
            for p, offset in told.items():
                before = self.last.get((crowd.group, p), -1)
                if offset < before:
                    self.faults.append(f"{crowd.group}-{p}: moved back from {before} to {offset}")
                self.last[crowd.group, p] = offset

    @staticmethod
    def acked(crowd):
        out = {}
        for m in crowd.all:
            for _, offsets in list(m.commits):
                for p, o in offsets.items():
                    out[p] = max(out.get(p, -1), o)
        return out

    @staticmethod
    def ask(crowd, limit_s):
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            try:
                told = crowd.reference.ask("offsets", group=crowd.group, topic=crowd.topic,
                                           partitions=crowd.partitions)["offsets"]
                return {int(p): o for p, (o, _) in told.items()}
            except fleet.Refused:
                time.sleep(0.1)
        return None

    def run(self, stop, step_s=0.5):
        """In a thread of its own, until the event is set."""
        def go():
            while not stop.wait(step_s):
                self.sample()
        thread = threading.Thread(target=go, daemon=True)
        thread.start()
        return thread


def gather(home, address, kinds, partitions, seed):
    """The crowds that can be had here, and why the others cannot."""
    reference = fleet.Member("reference", fleet.recipe_librdkafka()[0], address, home)
    crowds, skipped = [], []
    for kind in kinds:
        try:
            crowds.append(Crowd(home, address, reference, kind, partitions, seed))
        except fleet.Missing as why:
            skipped.append(f"{kind}: {why}")
    return crowds, skipped


# ---- The judge is judged ---------------------------------------------------------------------------
class Told:
    """A member made of words: rows of (ms, why, generation, partitions)."""

    def __init__(self, name, *rows, killed_ms=None, ended_ms=None, got=(), commits=()):
        self.name, self.got, self.ended = name, list(got), False
        self.killed_us = killed_ms and killed_ms * 1000
        self.ended_us = ended_ms and ended_ms * 1000
        self.commits = [(0, offsets) for offsets in commits]
        self.history = [membership.Owns({"at_us": ms * 1000, "why": why, "generation": g, "partitions": ps})
                        for ms, why, g, ps in rows]


def told(*members, model="classic", pauses=None):
    made = Crowd.__new__(Crowd)
    made.group, made.all, made.words = "told", list(members), {"model": model}
    made.outages = []
    made.pauses = {k: [(a * 1000, b * 1000) for a, b in v] for k, v in (pauses or {}).items()}
    return made


def self_test():
    """What the judge must find, and what it must let pass. Faults in words."""
    a = Told("a", (0, "assigned", 1, [0, 1]), (5000, "revoked", 1, []), (5100, "assigned", 2, [0]))
    good = Told("b", (5100, "assigned", 2, [1]))
    twice = Told("b", (5100, "assigned", 2, [0, 1]))
    early = Told("b", (4900, "assigned", 2, [1]))
    dead = Told("a", (0, "assigned", 1, [0]), killed_ms=1000)
    heir, greedy = Told("b", (4000, "assigned", 2, [0])), Told("b", (2000, "assigned", 2, [0]))
    late = Told("a", (0, "assigned", 1, [0]), (20000, "lost", 1, []))
    gone = Told("a", (0, "assigned", 1, [0]), ended_ms=1500)
    cases = (("a move in order", told(a, good), False),
             ("two owners in a generation", told(a, twice), True),
             ("owned before it was given up", told(a, early), True),
             ("the same with member epochs", told(a, early, model="consumer"), True),
             ("an heir after a session", told(dead, heir), False),
             ("an heir before it", told(dead, greedy), True),
             ("an heir of one that ended without a word", told(gone, greedy), False),
             ("an heir before such an end", told(gone, Told("b", (1000, "assigned", 2, [0]))), True),
             ("an heir of one that stands still", told(late, heir, pauses={"a": [(500, 19000)]}), False),
             ("one that stood still and does not give up", told(late, heir, pauses={"a": [(500, 9000)]}), True))
    faults = [f"self-test: {what}: judged the other way" for what, made, bad in cases
              if bool(made.judge()) != bad]
    return faults + self_test_watch()


def self_test_watch():
    answers = iter(({0: 7}, {0: 5}, {0: 9}))
    watch = Watch([told(Told("a", commits=[{0: 6}]))])
    watch.ask = lambda crowd, limit_s: next(answers)
    counts = []
    for _ in range(3):
        watch.sample()
        counts.append(len(watch.faults))
    return [] if counts == [0, 2, 2] else [f"self-test: offsets that went back: {counts}"]

# SPDX-License-Identifier: MIT
"""group_checks: what every client is put through as a member, and as administrator, of groups.

A check gets a Trial: the row (a client and how it joins), the broker, and a reference (librdkafka
in C) of its own. It raises checks.Fault with the first thing that is wrong. CHECKS lists them with
what a client must not lack for each.
"""
import subprocess
import time

import checks
import fleet
import harness
import membership
from checks import equal, want

SESSION_S = membership.SESSION_MS / 1000
# How much sooner and later than a session a dead member may be found out.
EARLY_S, LATE_S = 2.0, 6.0
RESTART_SESSION_MS = 20000
REJOIN_LIMIT_S = 40.0
# A member that left is gone well within its session, also on a machine that has other work.
LEFT_LIMIT_S = 4.0
QUIET_S = 2.0
# kauri and Apache Kafka alike.
SETTINGS = {
    "group.initial.rebalance.delay.ms": 0,
    "group.consumer.session.timeout.ms": membership.SESSION_MS,
    "group.consumer.heartbeat.interval.ms": membership.HEARTBEAT_MS,
}


def patient(ask, limit_s=15.0):
    """(answer, None), or (None, the last refusal): a broker that has just begun may know no groups."""
    end = time.monotonic() + limit_s
    while True:
        try:
            return ask(), None
        except fleet.Refused as why:
            if time.monotonic() > end:
                return None, why
            time.sleep(0.1)


class Trial:
    """One check of one row."""

    def __init__(self, rig, row, check, turn=0):
        self.rig, self.row, self.client, self.lacks = rig, row, row.client, row.client.lacks
        self.reference, self.check = row.reference, check
        self.group = self.topic = f"{check}-{row.name}" + (f"-{turn}" if turn else "")
        self.members, self.sent = [], {}

    # ---- The topic -------------------------------------------------------------------------------
    def make(self, partitions):
        self.partitions = partitions
        equal("the reference creates a topic", self.reference.ask(
            "create", topic=self.topic, partitions=partitions, config={})["outcome"], "created")

    def produce(self, each):
        """So many records more in every partition."""
        for p in range(self.partitions):
            rows = [checks.rec(f"{p} {i}") for i in range(each)]
            self.reference.ask("produce", topic=self.topic, partition=p, records=rows, linger_ms=5)
            self.sent[p] = self.sent.get(p, 0) + each

    # ---- The members -----------------------------------------------------------------------------
    def join(self, **words):
        name = f"{self.check}-{self.row.name}-{len(self.members)}"
        member = membership.Joined(self.rig.home, name, self.client.command[:-1], self.client.env,
                                   self.rig.address, group=self.group, topic=self.topic,
                                   **{**self.row.words, **words})
        self.members.append(member)
        return member

    def close(self):
        for member in self.members:
            member.kill()

    def settled(self, *members, limit_s=REJOIN_LIMIT_S):
        wrong = membership.settled(members, self.partitions, limit_s)
        if wrong is not None:
            said = " / ".join(m.said()[-300:] for m in members)
            raise checks.Fault(f"each partition has one owner within {limit_s:.0f} s: {wrong}; {said}")

    def shared(self, first, second):
        """Two members have half each."""
        half = self.partitions // 2
        harness.wait_for(lambda: len(first.owned) == len(second.owned) == half, REJOIN_LIMIT_S)
        equal("half each", (len(first.owned), len(second.owned)), (half, half))
        self.settled(first, second)

    def all_read(self, *members, since=0, limit_s=REJOIN_LIMIT_S):
        """They have read, together, all from the record `since` of each partition on."""
        wanted = {(p, o) for p, end in self.sent.items() for o in range(since, end)}

        def missing():
            return wanted - {r for m in members for r in list(m.got)}
        harness.wait_for(lambda: not missing(), limit_s)
        want("every record is read", not missing(),
             f"{len(missing())} of {len(wanted)} missing: {sorted(missing())[:5]}; {members[0].said()}")

    # ---- What the broker says --------------------------------------------------------------------
    def offsets(self):
        told, why = patient(lambda: self.reference.ask(
            "offsets", group=self.group, topic=self.topic, partitions=self.partitions))
        want("the reference is told the offsets", told, why)
        return {int(p): (o, m) for p, (o, m) in told["offsets"].items()}

    def committed(self, limit_s=5.0):
        """Waits until everything sent is committed."""
        def at_end():
            return {p: o for p, (o, _) in self.offsets().items()} == self.sent
        good = harness.wait_for(at_end, limit_s, 0.1)
        want("the committed offsets are the ends", good, (self.offsets(), self.sent))

    def state(self):
        return self.reference.ask("groups")["groups"].get(self.group)

    def quiet(self, *members):
        """Until nothing changes any more: what joins set off may take a second round."""
        end, since, seen = time.monotonic() + REJOIN_LIMIT_S, time.monotonic(), None
        while time.monotonic() - since < QUIET_S:
            now = [len(m.history) for m in members]
            if now != seen:
                since, seen = time.monotonic(), now
            want("the group comes to rest", time.monotonic() < end, [m.history for m in members])
            time.sleep(0.05)

    def empty_within(self, limit_s):
        good = harness.wait_for(lambda: self.state() in ("Empty", None), limit_s, 0.05)
        want(f"the group is empty within {limit_s} s", good, self.state())


# ---- The checks ----------------------------------------------------------------------------------
def check_alone(t):
    """All is read, committed every second, and read on from there (G2, G4, D2)."""
    t.make(3)
    t.produce(10)
    first = t.join(auto_ms=1000)
    t.all_read(first)
    t.committed()
    took = first.leave()
    t.empty_within(LEFT_LIMIT_S)
    t.produce(2)
    second = t.join(auto_ms=1000)
    t.all_read(second, since=10)
    equal("nothing is read twice", sorted(second.got), [(p, o) for p in range(3) for o in (10, 11)])
    t.committed()
    second.leave()
    return f"leaves in {took:.1f} s"


def check_two(t):
    """Two divide; one leaves in order, the other has all at once (H8, H9)."""
    t.make(4)
    first, second = t.join(auto_ms=1000), t.join(auto_ms=1000)
    t.shared(first, second)
    t.produce(3)
    t.all_read(first, second)
    begin = time.monotonic()
    first.leave()
    t.settled(second)
    took = time.monotonic() - begin
    want("without waiting for a session to end", took < SESSION_S - 1, f"{took:.1f} s")
    t.produce(2)
    t.all_read(second, since=3)
    second.leave()
    return f"all after {took:.1f} s"


def check_manual(t):
    """Nothing is committed unasked; then what was read, with a note where the API has one (D7, G5)."""
    t.make(2)
    t.produce(4)
    member = t.join()
    t.all_read(member)
    equal("nothing is committed", t.offsets(), {})
    note = None if "metadata_in" in t.lacks else f"read by {t.client.name}"
    equal("committed", member.commit(note), t.sent)
    told = t.offsets()
    equal("as the broker has it", {p: o for p, (o, _) in told.items()}, t.sent)
    if note:  # some end it with a zero byte
        equal("with its note", {m.rstrip("\0") for _, m in told.values()}, {note})
    t.produce(3)
    t.all_read(member)
    member.leave()
    t.empty_within(LEFT_LIMIT_S)
    equal("leaving commits nothing", {p: o for p, (o, _) in t.offsets().items()}, {0: 4, 1: 4})
    again = t.join()
    t.all_read(again, since=4)
    equal("read on from the commit", sorted(again.got), [(p, o) for p in (0, 1) for o in (4, 5, 6)])
    again.leave()
    return t.lacks.get("metadata_in")


def check_killed(t):
    """kill -9 of one of two: after its session the other has all, from the last commit on (H7, G9)."""
    t.make(4)
    asked = "commit" not in t.lacks
    words = {} if asked else {"auto_ms": 1000}
    first, second = t.join(**words), t.join(**words)
    t.shared(first, second)
    t.produce(3)
    t.all_read(first, second)
    if asked:
        first.commit()
        second.commit()
    t.committed()
    lost = set(first.owned)
    t.produce(2)
    t.all_read(first, second)
    first.kill()
    begin, told = time.monotonic(), {p: o for p, (o, _) in t.offsets().items()}
    seen = len(second.got)
    t.settled(second, limit_s=SESSION_S + LATE_S + 5)
    took = time.monotonic() - begin
    want("after its session", SESSION_S - EARLY_S <= took <= SESSION_S + LATE_S, f"{took:.1f} s")
    t.produce(1)
    t.all_read(second, since=5)
    for p in lost:
        offsets = [o for q, o in second.got[seen:] if q == p]
        if asked:
            equal(f"partition {p} is read from the commit on", offsets[:3], [told[p], told[p] + 1, told[p] + 2])
        else:
            want(f"partition {p}: nothing is skipped", offsets and min(offsets) <= 5, offsets)
    second.leave()
    return f"{took:.1f} s after its death"


def check_static(t):
    """A static member goes and comes back within its session: nobody else hears of it (KIP-345)."""
    t.make(4)
    first = t.join(instance="one", auto_ms=1000)
    second = t.join(instance="two", auto_ms=1000)
    t.shared(first, second)
    t.quiet(first, second)
    had, generation, changes = first.owned, second.generation, len(second.history)
    if t.row.words.get("model") == "consumer":
        first.leave()  # only its word makes its instance free
    else:
        first.kill()
    back = t.join(instance="one", auto_ms=1000)
    want("it has its partitions again", back.wait(lambda: back.owned == had, REJOIN_LIMIT_S),
         (had, back.history, back.said()))
    t.produce(2)
    t.all_read(back, second)
    equal("the other kept its own", second.history[changes:], [])
    if t.row.words.get("model") != "consumer":
        equal("the generation", back.generation, generation)
    second.leave()
    back.leave()


def check_mixed(t):
    """A member of the consumer protocol and one of kauri's own share a group (KIP-848)."""
    t.make(4)
    member = t.join(auto_ms=1000)
    t.settled(member)
    broker = t.rig.broker
    own = subprocess.Popen([str(harness.KAURI), "consume", "-g", t.group, t.topic, "-o", "start",
                            "-f", "%p %o\n", "-s", broker.url], stdout=subprocess.PIPE, text=True,
                           env=harness.environment(t.rig.home.path), preexec_fn=harness.die_with_parent)
    t.rig.home.undo.append(own.kill)
    good = harness.wait_for(lambda: len(member.owned) == 2, REJOIN_LIMIT_S)
    want("the member keeps half", good, member.history)
    kept = sorted(member.owned)
    t.produce(3)
    lines = [own.stdout.readline().split() for _ in range(6)]
    equal("kauri's member reads the other half", sorted((int(p), int(o)) for p, o in lines),
          [(p, o) for p in range(4) if p not in kept for o in range(3)])
    harness.wait_for(lambda: len(member.got) >= 6, REJOIN_LIMIT_S)
    equal("the member its own", sorted(member.got), [(p, o) for p in kept for o in range(3)])
    t.committed()
    own.terminate()
    own.wait(REJOIN_LIMIT_S)
    t.settled(member)
    t.produce(1)
    t.all_read(member, since=3)
    member.leave()


def refused(work, *words):
    """work() must fail with one of the words."""
    try:
        work()
    except fleet.Refused as why:
        plain = "".join(str(why).lower().replace("_", "").split())
        want("the refusal says why", any(w in plain for w in words), why)
    else:
        raise checks.Fault(f"{words[0]} was not said")


def check_admin(t):
    """Groups listed, described and deleted, offsets listed, set and deleted, by this client."""
    t.make(3)
    t.produce(4)
    member = t.join(auto_ms=1000)
    t.all_read(member)
    t.committed()
    lacks, name = t.lacks, {"group": t.group, "topic": t.topic}
    if "groups" not in lacks:
        told = t.client.ask("groups")["groups"]
        want("the group is listed", t.group in told, sorted(told))
        want("as stable, where its state is told", told[t.group] in ("Stable", ""), told[t.group])
    if "group" not in lacks:
        admin_describe(t, t.client.ask("group", **name))
    if "delete_group" not in lacks:
        refused(lambda: t.client.ask("delete_group", **name), "nonempty", "notempty")
    if "forget" not in lacks:
        refused(lambda: t.client.ask("forget", offsets={"1": 0}, **name), "subscribed")
    member.leave()
    t.empty_within(LEFT_LIMIT_S)
    admin_offsets(t, name)
    if "delete_group" not in lacks:
        t.client.ask("delete_group", **name)
        equal("it is gone", t.state(), None)
        equal("with its offsets", t.offsets(), {})
        refused(lambda: t.client.ask("delete_group", **name), "notfound", "groupidnotfound",
                "wasnotfound", "notbefound", "notexist")
    return "but not " + ", ".join(sorted(ADMIN & lacks.keys())) if ADMIN & lacks.keys() else None


ADMIN = {"groups", "group", "offsets", "set_offsets", "forget", "delete_group"}


def admin_describe(t, told):
    equal("state", told["state"], "Stable")
    equal("members", len(told["members"]), 1)
    member = told["members"][0]
    want("the member has an id", member["id"], member)
    if member["partitions"] is not None:
        equal("and all partitions", sorted(member["partitions"]), [0, 1, 2])


def admin_offsets(t, name):
    def told():
        return {int(p): o for p, (o, _) in t.client.ask("offsets", **name)["offsets"].items()}
    if "offsets" not in t.lacks:
        equal("offsets", told(), t.sent)
    if "set_offsets" not in t.lacks:
        t.client.ask("set_offsets", offsets={"0": 1, "2": 0}, **name)
        equal("as the broker has them", {p: o for p, (o, _) in t.offsets().items()}, {0: 1, 1: 4, 2: 0})
    if "forget" not in t.lacks:
        t.client.ask("forget", offsets={"1": 0}, **name)
        want("it is forgotten", 1 not in t.offsets(), t.offsets())


class Restart:
    """All rows at once: two members each, then the broker dies; nobody joins again, nothing is lost."""

    def __init__(self, trial):
        self.trial = trial

    def begin(self):
        t = self.trial
        t.make(4)
        words = {"auto_ms": 1000, "session_ms": RESTART_SESSION_MS}
        self.pair = t.join(**words), t.join(**words)
        t.shared(*self.pair)
        t.produce(3)
        t.all_read(*self.pair)
        t.committed()
        t.quiet(*self.pair)
        self.before = [(len(m.history), m.owned, m.generation) for m in self.pair]

    def end(self):
        t = self.trial
        t.produce(3)
        t.all_read(*self.pair, since=3)
        for m, (changes, owned, generation) in zip(self.pair, self.before):
            if "stays" not in t.lacks:
                equal("no rebalance", m.history[changes:], [])
                equal("the generation", m.generation, generation)
        t.committed(8.0)
        again = sum(len(m.got) for m in self.pair) - sum(t.sent.values())
        want("what was committed is not read again", again <= 12, again)
        for m in self.pair:
            m.leave()
        t.empty_within(LEFT_LIMIT_S)
        return t.lacks.get("stays", f"{again} records again" if again else None)


# name, what a client must not lack, the check
CHECKS = (
    ("alone", (), check_alone),
    ("two", (), check_two),
    ("manual", ("commit",), check_manual),
    ("killed", (), check_killed),
    ("static", ("static",), check_static),
    ("admin", ("administer",), check_admin),
    ("mixed", ("mixed",), check_mixed),
)

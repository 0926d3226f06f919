#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""group_cases: what people are taught about consumer groups, case by case, with the Python clients.

Rows B1, C5, D2, G1 to G5, G8, G9, H2 to H9, K1 and K2. Every function case_... is one case with a
topic and a group of its own; a few run at a time on one broker without a wait for more members
(group.initial.rebalance.delay.ms=0), sessions of six seconds.

    test/clients/group_cases.py [--only RE] [--broker apache-3.9]

Members are kafka-python, or confluent-kafka where there are many. Exit 1 when a case failed.
"""
import argparse
import json
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import apache
import checks
import fleet
import group_checks
import harness
from checks import equal, want

AT_ONCE = 4


class Case(group_checks.Trial):
    """A Trial whose client is one of the Python ones."""

    class Row:
        def __init__(self, name, client, reference):
            self.name, self.client, self.reference, self.words = name, client, reference, {}

    def __init__(self, rig, name, client):
        command, env = fleet.recipe_librdkafka()
        reference = fleet.Member(f"{name}-reference", command, rig.address, rig.home, **env)
        super().__init__(rig, self.Row(name, client, reference), "case")
        self.group = self.topic = name.replace("_", "-")

    def crowd(self, count, **words):
        # One after the other: a child dies with the thread that started it.
        return [self.join(**words) for _ in range(count)]

    def divided(self, members, *sizes, limit_s=20.0):
        """The members have so many partitions each, in any order, and each partition one owner."""
        def have():
            return sorted(len(m.owned) for m in members)
        harness.wait_for(lambda: have() == sorted(sizes), limit_s)
        equal("partitions each", have(), sorted(sizes))
        self.settled(*members)

    def another(self, tail="-too"):
        """One more group on the same topic."""
        other = Case(self.rig, self.group + tail, self.client)
        other.topic, other.partitions, other.sent = self.topic, self.partitions, self.sent
        self.rig.cases.append(other)
        return other


# ---- Who has what ----------------------------------------------------------------------------------
def case_three_by_three(t):
    """H2: 3 partitions, 3 consumers: one each."""
    t.make(3)
    t.produce(2)
    members = t.crowd(3, auto_ms=1000)
    t.divided(members, 1, 1, 1)
    t.all_read(*members)


def case_six_by_three(t):
    """H3: 6 partitions, 3 consumers: the range assignor gives 0-1, 2-3, 4-5."""
    t.make(6)
    members = t.crowd(3, auto_ms=1000, assignor="range")
    t.divided(members, 2, 2, 2)
    equal("the ranges", sorted(sorted(m.owned) for m in members), [[0, 1], [2, 3], [4, 5]])


def case_four_by_four(t):
    """H4: 4 partitions, 4 consumers: one each."""
    t.make(4)
    t.divided(t.crowd(4, auto_ms=1000), 1, 1, 1, 1)


def case_four_by_two(t):
    """H4, H9: 4 partitions, 2 consumers: two each; a third makes them move over."""
    t.make(4)
    members = t.crowd(2, auto_ms=1000)
    t.divided(members, 2, 2)
    members.append(t.join(auto_ms=1000))
    t.divided(members, 2, 1, 1)


def case_four_by_six(t):
    """H4: 4 partitions, 6 consumers: two idle, which take over when others leave."""
    t.make(4)
    members = t.crowd(6, auto_ms=1000)
    t.divided(members, 1, 1, 1, 1, 0, 0)
    active = [m for m in members if m.owned]
    idle = [m for m in members if not m.owned]
    active[0].leave()
    active[1].leave()
    t.divided(active[2:] + idle, 1, 1, 1, 1)
    t.produce(2)
    t.all_read(*members)


def case_six_by_eight(t):
    """H5: 6 partitions, 8 consumers: two idle."""
    t.make(6)
    t.divided(t.crowd(8, auto_ms=1000), 1, 1, 1, 1, 1, 1, 0, 0, limit_s=30.0)


def case_twelve_by_twelve(t):
    """C5: 12 partitions, 12 consumers: one each."""
    t.make(12)
    t.produce(2)
    members = t.crowd(12, auto_ms=1000)
    t.divided(members, *[1] * 12, limit_s=30.0)
    t.all_read(*members)


def case_three_by_two(t):
    """H8: one of two fails, the other has all three until a replacement joins."""
    t.make(3)
    first, second = t.crowd(2, auto_ms=1000)
    t.divided([first, second], 2, 1)
    first.kill()
    t.settled(second)
    t.produce(2)
    t.all_read(first, second)
    third = t.join(auto_ms=1000)
    t.divided([second, third], 2, 1)


def case_two_groups(t):
    """H6: two groups each get everything, with offsets of their own."""
    t.make(3)
    t.produce(5)
    mine = t.crowd(2, auto_ms=1000)
    t.divided(mine, 2, 1)
    t.all_read(*mine)
    t.committed()
    other = t.another()
    equal("the other group has no offsets", other.offsets(), {})
    theirs = other.join(auto_ms=1000)
    other.all_read(theirs)
    other.committed()
    equal("each record once", sorted(theirs.got), [(p, o) for p in range(3) for o in range(5)])


def case_eight_by_eight(t):
    """B1: 8 producers, 8 groups, one topic: nothing lost, nothing mixed up."""
    t.make(2)
    command, env = fleet.recipe_librdkafka()
    members = [t.another(f"-{i}").join(auto_ms=1000) for i in range(8)]

    def write(number):
        writer = fleet.Member(f"{t.group}-writer-{number}", command, t.rig.address, t.rig.home, **env)
        for p in range(2):
            writer.ask("produce", topic=t.topic, partition=p, linger_ms=2,
                       records=[checks.rec(f"{number} {i}") for i in range(100)])
        writer.close()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    t.sent = {0: 800, 1: 800}
    for member in members:
        t.all_read(member)
        for p in range(2):
            equal("in order, each once", [o for q, o in member.got if q == p], list(range(800)))
    got = t.reference.ask("consume", topic=t.topic, partition=0, count=800, **{"from": 0})["records"]
    values = [bytes.fromhex(r["value"]).decode() for r in got]
    for number in range(8):
        equal(f"producer {number}'s records", [v for v in values if v.startswith(f"{number} ")],
              [f"{number} {i}" for i in range(100)])


# ---- Offsets ---------------------------------------------------------------------------------------
def case_five_hundred(t):
    """D2: of 1000 records 500 are done and committed; after a kill the next is 500."""
    t.make(1)
    t.produce(1000)
    member = t.join()
    t.all_read(member)
    member.commit(offsets={"0": 500})
    member.kill()
    again = t.join()
    t.all_read(again, since=500, limit_s=30.0)
    equal("the first", again.got[0], (0, 500))


def case_auto_commit(t):
    """G2: a new group reads from 0; 1.5 s later the committed offset is the end."""
    t.make(1)
    t.produce(10)
    member = t.join(auto_ms=1000)
    t.all_read(member)
    equal("from the beginning", member.got[0], (0, 0))
    t.committed(limit_s=2.5)


def case_manual_commit(t):
    """G5: commit() after each record; the third fails and is delivered again."""
    t.make(1)
    member = t.join()
    for n in (1, 2):
        t.produce(1)
        t.all_read(member)
        equal("committed", member.commit(), {0: n})
    t.produce(1)
    t.all_read(member)  # and here its handler raises
    member.leave()
    equal("committed", {p: o for p, (o, _) in t.offsets().items()}, {0: 2})
    again = t.join()
    t.all_read(again, since=2)
    equal("the third again", again.got, [(0, 2)])


def case_killed_between_commits(t):
    """G9, H7: killed within an auto-commit interval: since the last commit again, nothing skipped."""
    t.make(2)
    t.produce(3)
    member = t.join(auto_ms=60000)
    t.all_read(member)
    member.commit()
    t.produce(4)
    t.all_read(member)
    member.kill()
    heir = t.join(auto_ms=1000)
    t.all_read(heir, since=3, limit_s=20.0)
    equal("what was not committed, once", sorted(heir.got), [(p, o) for p in (0, 1) for o in range(3, 7)])


def case_busy(t):
    """G8: a handler slower than max.poll.interval.ms: its partitions move, its commit is refused."""
    t.make(2)
    t.produce(2)
    slow = t.join(poll_limit_ms=2000)
    t.all_read(slow)
    other = t.join(auto_ms=1000)
    t.divided([slow, other], 1, 1)
    t.produce(1)
    t.all_read(slow, other)
    slow.write({"op": "commit", "metadata": None, "after_ms": 7000})
    harness.wait_for(lambda: len(other.owned) == 2, 6.5)
    equal("the other has both", sorted(other.owned), [0, 1])
    slow.wait(lambda: slow.refused or slow.commits, 12.0)
    want("the late commit is refused", slow.refused and not slow.commits, (slow.refused, slow.commits))


def case_at_most_once(t):
    """K1: committed before the work: after a crash it does not come again."""
    t.make(1)
    t.produce(3)
    member = t.join()
    t.all_read(member)
    member.commit()
    member.kill()
    t.produce(1)
    again = t.join()
    t.all_read(again, since=3)
    equal("only what is new", again.got, [(0, 3)])


def case_at_least_once(t):
    """K2: committed after the work: after a crash before that it comes again."""
    t.make(1)
    t.produce(3)
    member = t.join()
    t.all_read(member)
    member.kill()
    again = t.join()
    t.all_read(again)
    equal("all again", again.got, [(0, 0), (0, 1), (0, 2)])


def case_program(t):
    """G1, G3, G4: a beginner's program prints what comes; Ctrl-C empties its group within a second."""
    t.topic = "user-events"
    t.make(1)
    python = t.client.command[0]
    child = subprocess.Popen([python, fleet.HERE / "consumer_program.py", t.rig.address, t.group],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             preexec_fn=harness.die_with_parent)
    t.rig.home.undo.append(child.kill)
    want("it has joined", harness.wait_for(lambda: t.state() == "Stable", 20.0, 0.1), t.state())
    events = [{"action": "page_view"}, {"action": "purchase", "amount": 99.99}]
    for event in events:
        t.reference.ask("produce", topic=t.topic, partition=0,
                        records=[checks.rec(json.dumps(event), "user_123")])
    lines = [child.stdout.readline().strip() for _ in range(3)]
    equal("it prints", lines, ["user-events 0 0 user_123 page_view", "user-events 0 1 user_123 purchase",
                               "Amount: 99.99"])
    begin = time.monotonic()
    child.send_signal(signal.SIGINT)
    t.empty_within(group_checks.LEFT_LIMIT_S)
    out, errors = child.communicate(timeout=10)
    equal("it ends well", (child.returncode, out.strip()), (0, "stopped"))
    t.sent = {0: 2}
    t.committed(1.0)
    return f"{time.monotonic() - begin:.1f} s from Ctrl-C to its end; {errors[-100:]}" if errors else None


MANY = ("twelve", "six_by_eight", "four_by_six", "eight_by_eight")


class Rig:
    def __init__(self, home, options):
        self.home, self.cases = home, []
        self.broker = apache.broker(options.broker, home, **group_checks.SETTINGS)
        self.address, self.check, self.lock = self.broker.address, harness.Checks(), threading.Lock()
        if self.broker.start() is None:
            raise RuntimeError(f"the broker does not start: {self.broker.errors()[-400:]}")
        self.few = self.client("kafka-python")
        self.many = self.client("confluent-kafka")

    def client(self, name):
        command, env = fleet.STAGE_ONE[name]()
        return fleet.Member(name, command, self.address, self.home, **env)

    def run(self, name, function):
        begin, fault, remark = time.monotonic(), None, None
        client = self.many if name.startswith(MANY) else self.few
        try:
            case = Case(self, name, client)
            self.cases.append(case)
            remark = function(case)
        except (checks.Fault, fleet.Refused) as why:
            fault = str(why)
        except Exception:
            fault = traceback.format_exc()
        for case in [c for c in self.cases if c.group.startswith(name.replace("_", "-"))]:
            case.close()
        with self.lock:
            took = f"{time.monotonic() - begin:.1f} s{f', {remark}' if remark else ''}"
            self.check.that(f"{name} ({took}): {function.__doc__.strip()}", fault is None, fault)


def main():
    parser = argparse.ArgumentParser(description="What people are taught about consumer groups.")
    parser.add_argument("--only", metavar="RE", default="", help="only such cases")
    apache.option(parser)
    options = parser.parse_args()
    home = harness.Home("group-cases")
    try:
        rig = Rig(home, options)
    except fleet.Missing as why:
        print(f"group cases: {why}")
        return harness.SKIP
    cases = [(key[5:], value) for key, value in globals().items() if key.startswith("case_")]
    cases = [row for row in cases if re.search(options.only, row[0])]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda row: rig.run(*row), cases))
    rig.check.that("the broker stops in order", rig.broker.running() and rig.broker.stop() == 0,
                   rig.broker.errors()[-400:])
    return rig.check.close("group cases")


if __name__ == "__main__":
    sys.exit(main())

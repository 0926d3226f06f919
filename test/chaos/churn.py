#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""churn: members come, go, die and stand still at random; a partition never has two owners.

Three groups read a topic each, which is written to all the time: classic with eager moves, classic
with cooperative ones, and the consumer model (KIP-848) where a librdkafka that has it can be had.
Members join, leave in order, are killed with -9, or stand still for less or more than a session.
Row H1; crowd.py says what is judged. Then the groups must settle by themselves, every record must
have been processed, and there must be no more rebalances.

    test/chaos/churn.py [--seed N] [--events N] [--members N] [--long] [--broker apache-4.1]

20 events with up to 8 members a group; 200 and 50 in the long run. Exit 1 when anything is wrong.
"""
import argparse
import random
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness
import crowd
import apache

EVENTS, MEMBERS = 20, 8
EVENTS_LONG, MEMBERS_LONG = 200, 50
PARTITIONS, PARTITIONS_LONG = 8, 32
ACTIONS = ("join",) * 4 + ("leave",) * 2 + ("kill",) + ("pause",) * 2


class Churn:
    """Chance at work on the crowds."""

    def __init__(self, crowds, chance, members):
        self.crowds, self.random, self.members = crowds, chance, members
        self.asleep = []  # (when to wake, crowd, member)
        self.done = dict.fromkeys(("join", "leave", "kill", "pause"), 0)

    def event(self):
        group = self.random.choice(self.crowds)
        action = self.random.choice(ACTIONS)
        if len(group.alive) <= 1:
            action = "join"
        elif len(group.alive) >= self.members and action == "join":
            action = "leave"
        self.done[action] += 1
        if action != "pause":
            getattr(group, action)()
            return
        member = group.pause()
        if member is not None:
            seconds = self.random.choice((0.3, 1.0, 1.6)) * crowd.SESSION_MS / 1000
            self.asleep.append((time.monotonic() + seconds, group, member))

    def wait(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for row in [row for row in self.asleep if row[0] <= time.monotonic()]:
                self.asleep.remove(row)
                if row[2] in row[1].alive and row[1].stopped(row[2]):
                    row[1].resume(row[2])
            time.sleep(0.02)


def run_on(broker, options, home, seed):
    """All of it; the faults in words, and the figures."""
    if broker.start() is None:
        raise RuntimeError(f"it does not start: {broker.errors()[-400:]}")
    chance, partitions = random.Random(seed), PARTITIONS_LONG if options.long else PARTITIONS
    crowds, skipped = crowd.gather(home, broker.address, crowd.KINDS, partitions, seed)
    churn, watch, stop = Churn(crowds, chance, options.members), crowd.Watch(crowds), threading.Event()
    for group in crowds:
        group.join()
        group.join()
    watcher = watch.run(stop)
    for _ in range(options.events):
        churn.event()
        churn.wait(chance.choice((0.02, 0.2, 0.6)))
    for group in crowds:
        group.resume_all()
    begin = time.monotonic()
    faults = crowd.self_test()
    faults += [fault for group in crowds for fault in [group.settled()] if fault]
    settled = time.monotonic() - begin
    faults += [fault for group in crowds for fault in group.finish()]
    faults += [fault for group in crowds for fault in [group.quiet()] if fault]
    stop.set()
    watcher.join()
    watch.sample()
    faults += watch.faults + [fault for group in crowds for fault in group.judge()]
    if not broker.running():
        faults.append(f"the broker ended: {broker.errors()[-800:]}")
    actions = ", ".join(f"{n} {word}" for word, n in churn.done.items())
    figures = (f"{options.events} events ({actions}); " + "; ".join(g.counts() for g in crowds) +
               f"; settled {settled:.1f} s after the last; {watch.samples} looks at the offsets")
    return faults, figures + "".join(f"; skipped {why}" for why in skipped)


def parse():
    parser = argparse.ArgumentParser(description="Members of groups at random, one owner always.")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--events", type=int)
    parser.add_argument("--members", type=int)
    parser.add_argument("--long", action="store_true", default=harness.LONG,
                        help=f"{EVENTS_LONG} events, {MEMBERS_LONG} members")
    apache.option(parser)
    options = parser.parse_args()
    if options.events is None:
        options.events = EVENTS_LONG if options.long else EVENTS
    if options.members is None:
        options.members = MEMBERS_LONG if options.long else MEMBERS
    return options


def main():
    options = parse()
    seed, home = harness.seed_of(options), harness.Home("churn")
    try:
        broker = apache.broker(options.broker, home, **crowd.SETTINGS)
        faults, figures = run_on(broker, options, home, seed)
        faults += [] if broker.stop() == 0 else [f"the broker does not stop in order: {broker.errors()[-400:]}"]
    except crowd.fleet.Missing as why:
        print(f"churn: {why}")
        return harness.SKIP
    for fault in faults[:40]:
        print(f"FAILED  {fault}")
    print(f"churn: {figures}; {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

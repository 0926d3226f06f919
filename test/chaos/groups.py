#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""groups: the broker dies at any moment of a rebalance and of a commit; no committed offset is lost.

Three groups (classic eager, classic cooperative, consumer model) read what is written all the time
and commit after every batch. Members join, leave and die, and at a random moment up to 0.6 s later
the broker is killed with -9 and started again. Judged from outside (crowd.py): an offset that was
acknowledged to a member is there after the restart and never moves back; a partition has one owner;
every few kills all groups must own everything again and go on within a bound; at the end every
record was processed.

    test/chaos/groups.py [--seed N] [--kills N] [--long] [--broker apache-4.1]     10 kills, 200 long

Exit 1 when anything is wrong.
"""
import argparse
import random
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness
import crowd
import apache

KILLS, KILLS_LONG = 10, 200
PARTITIONS, MEMBERS, LOOK_EVERY = 6, 4, 5
# At which moment: during what the last action set off, or later.
MOMENTS_S = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.6)


def act(group, chance):
    """One thing happens to a group."""
    action = chance.choice(("join", "join", "leave", "kill", "none"))
    if len(group.alive) <= 1:
        action = "join"
    elif len(group.alive) >= MEMBERS and action == "join":
        action = "leave"
    if action != "none":
        getattr(group, action)()


def one_kill(broker, crowds, watch, chance):
    for group in crowds:
        if chance.random() < 0.6:
            act(group, chance)
    time.sleep(chance.choice(MOMENTS_S) * chance.uniform(0.5, 1.0))
    down = time.time_ns() // 1000
    broker.kill()
    if broker.start() is None:
        raise RuntimeError(f"it does not start again: {broker.errors()[-400:]}")
    watch.sample()  # answered: groups are served again
    for group in crowds:
        group.outages.append((down, time.time_ns() // 1000))


def recovered(crowds, took):
    """All groups own all and go on. Faults in words."""
    begin = time.monotonic()
    faults = [fault for group in crowds for fault in [group.settled() or group.goes_on()] if fault]
    took.append(time.monotonic() - begin)
    return faults


def run_on(broker, options, home, seed):
    if broker.start() is None:
        raise RuntimeError(f"it does not start: {broker.errors()[-400:]}")
    chance = random.Random(seed)
    crowds, skipped = crowd.gather(home, broker.address, crowd.KINDS, PARTITIONS, seed)
    watch, faults, took = crowd.Watch(crowds), crowd.self_test(), []
    for group in crowds:
        group.join()
        group.join()
    faults += recovered(crowds, took)
    for n in range(options.kills):
        one_kill(broker, crowds, watch, chance)
        if n % LOOK_EVERY == LOOK_EVERY - 1:
            faults += recovered(crowds, took)
        if len(faults) + len(watch.faults) > 20:
            break
    faults += [fault for group in crowds for fault in group.finish()]
    watch.sample()
    faults += watch.faults + [fault for group in crowds for fault in group.judge()]
    commits = sum(len(m.commits) for group in crowds for m in group.all)
    refused = sum(len(m.refused) for group in crowds for m in group.all)
    figures = (f"{options.kills} kills; " + "; ".join(g.counts() for g in crowds) +
               f"; {commits} commits acknowledged, {refused} refused; all owned and going on after "
               f"{max(took):.1f} s at most")
    return faults, figures + "".join(f"; skipped {why}" for why in skipped)


def main():
    parser = argparse.ArgumentParser(description="kill -9 the broker while groups rebalance and commit.")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--kills", type=int)
    parser.add_argument("--long", action="store_true", help=f"{KILLS_LONG} kills")
    apache.option(parser)
    options = parser.parse_args()
    if options.kills is None:
        options.kills = KILLS_LONG if options.long or harness.LONG else KILLS
    seed, home = harness.seed_of(options), harness.Home("groups")
    try:
        broker = apache.broker(options.broker, home, **crowd.SETTINGS)
        faults, figures = run_on(broker, options, home, seed)
        faults += [] if broker.stop() == 0 else [f"the broker does not stop in order: {broker.errors()[-400:]}"]
    except crowd.fleet.Missing as why:
        print(f"groups: {why}")
        return harness.SKIP
    for fault in faults[:40]:
        print(f"FAILED  {fault}")
    print(f"groups: {figures}; {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

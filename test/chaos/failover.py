#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""failover: three brokers under load; one goes, another is promoted, the old one comes back and follows.

Round after round on the same three folders: two topics (replication 3, min.insync.replicas=2) are
written to with acks=all by idempotent producers, one over our client, one over librdkafka, which
know the list of addresses only. Then one of these happens, in an order by chance:

    kill the leader       kill -9, a survivor is promoted
    stop the leader       SIGSTOP; it wakes up as a leader that was deposed, and must find out
    kill a follower       kill -9; the load goes on without it
    hand over             a follower is promoted while the leader is well
    lose two              one follower stands still until it left the in-sync set, then leader and
                          the other follower are killed. The laggard alone must not lead: exit 7.
                          One of the dead comes back, and only then somebody takes over

The tool promotes as a person would: the survivor that refuses (exit 7) is passed by. At the end of
the round all three are in sync, the producers finish, and the judge wants everything acknowledged
to be there once and in order; the logs of the three are the same bytes.

With --acks 1 records may be lost, but only those that no follower had: the leader dies, often
behind followers that stand still. What the new leader has of the old one's log must be a prefix of
it, and no more may be missing than the old one had beyond that.

    test/chaos/failover.py [--seed N] [--rounds N] [--long] [--acks 1] [--only EVENT]

7 rounds (4 with --acks 1), 200 (40) with --long or KAURI_TEST_LONG=1. The last line gives the
figures; "silence" is the time from the kill to the first record that the new leader acknowledged,
the work of the tool within. Exit 1 when anything is wrong.
"""
import argparse
import random
import shutil
import struct
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import cluster
import harness
import rig

ROUNDS, ROUNDS_LONG = {-1: 7, 1: 4}, {-1: 200, 1: 40}
PARTITIONS = 2
LAG_MS = 1500
ACKED = 1  # history.h


def acked_twice(history):
    """How many offsets a producer was told twice (history.h)."""
    entries = [e for e in struct.iter_unpack("<IIQq", history.read_bytes()[24:]) if e[0] == ACKED]
    return len(entries) - len({(partition, offset) for _, partition, _, offset in entries})


class Round:
    """Two topics, their producers, one event and the verdict."""

    def __init__(self, group, number, event, acks, chance):
        self.group, self.event, self.chance, self.acks = group, event, chance, acks
        self.faults, self.silences, self.refused = [], [], []
        self.tail = self.unshipped = 0
        self.struck = None  # when the leader went; CLOCK_MONOTONIC
        self.kept = group.home.path / "kept"
        self.writers = cluster.Writers(group, f"{number:04d}", number + 1, acks=acks)

    # ---- what may happen ----
    def promote(self, candidates):
        """The new leader; the rounds end where nobody takes over."""
        leader, refused, wrong = self.group.promote_one(candidates)
        self.refused += refused
        if leader is None:
            raise RuntimeError(f"nobody took over: {refused[-3:]}: {self.group.told()}")
        self.faults += [f"promotion: {why}" for why in wrong]
        return leader

    def survivors(self):
        self.leader = self.group.leader()
        followers = self.group.others(self.leader)
        self.chance.shuffle(followers)
        return followers

    def kill_leader(self):
        followers = self.survivors()
        self.struck = time.monotonic()
        self.leader.kill()
        self.promote(followers)
        time.sleep(self.chance.uniform(0, 0.5))
        self.group.launch(self.leader)

    def stop_leader(self):
        followers = self.survivors()
        self.struck = time.monotonic()
        self.leader.pause()
        self.promote(followers)
        time.sleep(self.chance.uniform(0, 0.5))
        self.leader.resume()

    def kill_follower(self):
        victim = self.survivors()[0]
        victim.kill()
        time.sleep(self.chance.uniform(0, 2 * LAG_MS / 1000))
        self.group.launch(victim)

    def hand_over(self):
        followers = self.survivors()
        self.struck = time.monotonic()
        self.promote(followers)

    def alone_in_sync(self, laggard):
        """Whether no partition counts the laggard any more."""
        told = self.group.status(self.leader)
        return told and all(laggard.number not in p["in_sync"] for p in told["partitions"])

    def lose_two(self):
        laggard, other = self.survivors()
        laggard.pause()
        if not harness.wait_for(lambda: self.alone_in_sync(laggard), 20):
            self.faults.append(f"broker {laggard.number} stands still and is in sync: {self.group.told()}")
        self.leader.kill()
        other.kill()
        laggard.resume()
        done = self.group.promote(laggard)
        if done.code != cluster.REFUSED:
            self.faults.append(f"a laggard alone was not refused: {done}")
        back = self.chance.choice([self.leader, other])
        self.group.launch(back)
        self.promote(self.chance.sample([laggard, back], 2))
        self.group.launch(other if back is self.leader else self.leader)

    def kill_leader_of_laggards(self):
        """For acks=1: the followers stand still for a moment, so there is something to lose."""
        followers = self.survivors()
        if self.chance.random() < 0.7:
            for follower in followers:
                follower.pause()
            time.sleep(self.chance.uniform(0.1, 0.5))
        self.leader.kill()
        shutil.rmtree(self.kept, ignore_errors=True)
        self.kept.mkdir()
        for load in self.writers.loads:
            for i in range(PARTITIONS):
                shutil.copytree(self.leader.partition(load.topic, i), self.kept / f"{load.topic}-{i}")
        for follower in followers:
            if follower.stopped:
                follower.resume()
        self.promote(followers)
        self.group.launch(self.leader)

    # ---- the verdict ----
    def run(self, total):
        self.faults += self.writers.start()
        time.sleep(self.chance.uniform(0, 0.5))
        EVENTS[self.event](self)
        self.faults += self.writers.end()
        if self.acks == 1:
            for load in self.writers.loads:
                counts, words = load.judge("--server", load.front.address(self.group))
                total.add(counts, words)
                self.faults += [words] if counts is None else self.judge_tail(load, counts)
        else:
            self.faults += self.writers.judge(total)
        self.silences = [(to - self.struck) * 1000 for since, to in self.writers.silences()
                         if self.struck is not None and since <= self.struck <= to]
        self.writers.delete()

    def judge_tail(self, load, counts):
        """acks=1: the old leader's log, then the new one's: a prefix, and what is beyond it. Faults."""
        tail, faults = 0, []
        for i in range(PARTITIONS):
            old = cluster.read_batches(self.kept / f"{load.topic}-{i}")
            new = cluster.read_batches(self.leader.partition(load.topic, i))
            epoch = max((b.epoch for b in old), default=-1)
            shipped = [b.raw for b in new if b.epoch <= epoch]
            if shipped != [b.raw for b in old[:len(shipped)]]:
                faults.append(f"{load.topic}-{i}: what survived is no prefix of the old log")
            tail += sum(b.end - b.base for b in old[len(shipped):])
        self.unshipped += tail
        # Of an offset that was acknowledged by both leaders the judge says "wrong" twice.
        missing = counts["lost"] + counts["wrong"] - sum(map(acked_twice, load.histories))
        self.tail += missing
        if missing > tail or counts["phantom"] + counts["gaps"]:
            faults.append(f"{load.topic}: {missing} acknowledged are missing, the old leader had "
                          f"{tail} that nobody else had: {counts}")
        return faults


EVENTS = {"kill the leader": Round.kill_leader, "stop the leader": Round.stop_leader,
          "kill a follower": Round.kill_follower, "hand over": Round.hand_over,
          "lose two": Round.lose_two, "kill the leader of laggards": Round.kill_leader_of_laggards}
OF_ACKS = {-1: [name for name in EVENTS if "laggards" not in name], 1: ["kill the leader of laggards"]}


def events_of(options, chance):
    """One event for each round: all of them, in an order by chance, again and again."""
    known = [name for name in OF_ACKS[options.acks] if (options.only or "") in name]
    events = []
    while len(events) < options.rounds:
        events += chance.sample(known, len(known))
    return events[:options.rounds]


class Run:
    """All rounds on one cluster."""

    def __init__(self, options, seed):
        self.options, self.chance = options, random.Random(seed)
        self.total, self.faults, self.silences = rig.Total(), [], {}
        self.rounds = self.refused = self.tail = self.unshipped = 0

    def go(self):
        home = harness.Home("failover")
        group = cluster.Cluster(home, 3, replica_lag_time_max_ms=LAG_MS, log_segment_delete_delay_ms=0)
        try:
            why = group.start()
            self.faults += [why] if why else []
            for number, event in enumerate(events_of(self.options, self.chance)):
                self.one(group, number, event)
                if self.faults:
                    break
            self.faults += group.stop()
            for member in group.members:
                done = member.plain("verify", "--deep", member.data)
                self.faults += [f"broker {member.number}: verify --deep: {done}"] if done.code else []
        except RuntimeError as why:
            self.faults.append(str(why))
        home.close()

    def one(self, group, number, event):
        at = Round(group, number, event, self.options.acks, self.chance)
        begun = time.monotonic()
        try:
            at.run(self.total)
        finally:
            self.faults += [f"round {number}, {event}: {fault}" for fault in at.faults]
        self.rounds += 1
        self.refused += len(at.refused)
        self.tail += at.tail
        self.unshipped += at.unshipped
        self.silences.setdefault(event, []).extend(at.silences)
        if self.options.verbose:
            silence = ", ".join(f"{ms:.0f}" for ms in at.silences)
            print(f"round {number}: {event}: {time.monotonic() - begun:.1f} s, silence {silence} ms, "
                  f"{len(at.refused)} refusals", *at.refused, flush=True)

    def line(self):
        c = self.total.counts
        words = [f"{self.rounds} rounds", f"{c['acked']} acknowledged, {c['records']} in the logs, "
                 f"{c['failed']} failed"]
        if self.options.acks == 1:
            words.append(f"{self.unshipped} had not been shipped, {self.tail} acknowledged of them are "
                         f"missing, none other; {c['phantom']} phantom, {c['gaps']} gaps")
        else:
            words.append(", ".join(f"{c[k]} {k}" for k in rig.FAULTS))
        words.append(f"{self.refused} promotions refused and tried again or elsewhere")
        for event, ms in sorted(self.silences.items()):
            if ms:
                words.append(f"silence ({event}) p50 {harness.percentile(ms, 50):.0f} "
                             f"p99 {harness.percentile(ms, 99):.0f} max {max(ms):.0f} ms")
        return "; ".join(words)


def main():
    parser = argparse.ArgumentParser(description="Fail-over of three brokers under load.")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--acks", type=int, choices=(-1, 1), default=-1)
    parser.add_argument("--only", help="part of the name of the event")
    parser.add_argument("--long", action="store_true", help=f"{ROUNDS_LONG[-1]} rounds")
    parser.add_argument("--verbose", action="store_true", help="a line for each round")
    options = parser.parse_args()
    counts = ROUNDS_LONG if options.long or harness.LONG else ROUNDS
    options.rounds = options.rounds or counts[options.acks]
    run = Run(options, harness.seed_of(options))
    run.go()
    for fault in run.faults:
        print(f"FAILED  {fault}")
    if options.acks == 1 and run.unshipped == 0:
        print("FAILED  every record had been shipped: this run proves nothing")
        run.faults.append("nothing")
    print(f"failover, acks={'all' if options.acks < 0 else 1}: {run.line()}; "
          f"{'FAILED' if run.faults else 'ok'}")
    return 1 if run.faults else 0


if __name__ == "__main__":
    sys.exit(main())

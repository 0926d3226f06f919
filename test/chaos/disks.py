#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""disks: three brokers, each on an ext4 of its own, under load: power cuts, and a disk that is full.

    cut a follower   its power goes; the load goes on without it
    cut the leader   its power goes; a survivor is promoted, and what comes back follows
    cut two          a follower stands still until it left the in-sync set, then the power of both
                     others goes. The laggard alone is refused; with one of the two it leads
    full             a follower's disk fills up: it leaves the in-sync set and says why, and when
                     there is space again it comes back by itself

How a power cut is made, and what it proves, stands in power.py. Producers of both fronts write with
acks=all and min.insync.replicas=2; at the end of each the judge wants everything acknowledged to be
there once and in order, and the three logs to be the same bytes.

    test/chaos/disks.py [--seed N] [--rounds N] [--long] [--only NAME]

4 rounds, 60 with --long or KAURI_TEST_LONG=1. Needs root and a loop device: else exit 77 with the
reason.
"""
import argparse
import os
import random
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import cluster
import harness
import power
import rig

ROUNDS, ROUNDS_LONG = 4, 60
LAG_MS = 1500
IMAGE_SIZE = 384 << 20
LEFT = 64 << 10           # bytes that a full disk still has


class DiskMember(cluster.Member):
    """Its folder is on a file system of its own."""

    def __init__(self, home, number, **settings):
        super().__init__(home, number, **settings)
        self.disk = harness.Disk(home, f"disk{number}", IMAGE_SIZE)
        self.data = self.disk.folder / "data"

    def cut(self, chance):
        """The power goes; the file system is there again afterwards, the broker is not."""
        power.write_back(self.data, chance)
        self.freeze()
        self.disk.cut()
        self.kill()
        self.disk.unmount()
        self.disk.mount()


class Round:
    def __init__(self, group, number, chance):
        self.group, self.number, self.chance, self.faults = group, number, chance, []
        self.leader = group.leader()
        self.followers = group.others(self.leader)
        chance.shuffle(self.followers)

    def promote(self, candidates):
        leader, refused, wrong = self.group.promote_one(candidates)
        self.faults += [f"promotion: {why}" for why in wrong]
        if leader is None:
            raise RuntimeError(f"nobody took over: {refused[-3:]}: {self.group.told()}")

    def out_of_sync(self, member):
        told = self.group.status(self.leader)
        return told and all(member.number not in p["in_sync"] for p in told["partitions"])

    def leaves(self, member):
        if not harness.wait_for(lambda: self.out_of_sync(member), 30, 0.1):
            self.faults.append(f"broker {member.number} is still in sync: {self.group.told()}")

    def cut_a_follower(self):
        victim = self.followers[0]
        victim.cut(self.chance)
        time.sleep(self.chance.uniform(0, 2 * LAG_MS / 1000))
        self.group.launch(victim)

    def cut_the_leader(self):
        self.leader.cut(self.chance)
        self.promote(self.followers)
        self.group.launch(self.leader)

    def cut_two(self):
        laggard, other = self.followers
        laggard.pause()
        self.leaves(laggard)
        self.leader.cut(self.chance)
        other.cut(self.chance)
        laggard.resume()
        done = self.group.promote(laggard)
        if done.code != cluster.REFUSED:
            self.faults.append(f"a laggard alone was not refused: {done}")
        back = self.chance.choice([self.leader, other])
        self.group.launch(back)
        self.promote(self.chance.sample([laggard, back], 2))
        self.group.launch(other if back is self.leader else self.leader)

    def full(self):
        victim = self.followers[0]
        said = len(victim.errors())
        path = victim.disk.folder / "ballast"
        with open(path, "wb") as ballast:
            self.stuff(victim, ballast)
            if not harness.wait_for(lambda: self.stuff(victim, ballast) or self.out_of_sync(victim), 90, 0.1):
                self.faults.append(f"broker {victim.number} has no space and is in sync: {self.group.told()}")
        if "space" not in victim.errors()[said:] and "full" not in victim.errors()[said:]:
            self.faults.append(f"broker {victim.number} does not say that its disk is full: "
                               f"{victim.errors()[said:][-800:]}")
        path.unlink()
        if not victim.running():
            self.faults.append(f"broker {victim.number} ended: {victim.errors()[-800:]}")

    @staticmethod
    def stuff(member, ballast):
        """Leaves no space; False."""
        while (free := member.disk.free()) > LEFT:
            os.posix_fallocate(ballast.fileno(), os.fstat(ballast.fileno()).st_size, free - LEFT // 2)
        return False

    def run(self, name, total):
        rate = 3000 if name == "full" else 800
        writers = cluster.Writers(self.group, f"d-{self.number:04d}", self.number + 1, rate=rate)
        self.faults += writers.start()
        time.sleep(self.chance.uniform(0, 0.5))
        EVENTS[name](self)
        self.faults += writers.end()
        self.faults += writers.judge(total)
        writers.delete()


EVENTS = {"cut a follower": Round.cut_a_follower, "cut the leader": Round.cut_the_leader,
          "cut two": Round.cut_two, "full": Round.full}


def run(options, chance, total):
    """(rounds done, faults)."""
    home = harness.Home("disks")
    known = [name for name in EVENTS if (options.only or "") in name]
    faults, done = [], 0
    try:
        group = cluster.Cluster(home, 3, member=DiskMember, replica_lag_time_max_ms=LAG_MS,
                                log_segment_delete_delay_ms=0, disk_reserve_bytes=0,
                                log_segment_bytes=4 << 20, min_insync_replicas=2)
        why = group.start()
        faults += [why] if why else []
        names = []
        while len(names) < options.rounds:
            names += chance.sample(known, len(known))
        for number, name in enumerate(names[:options.rounds]):
            at, begun = Round(group, number, chance), time.monotonic()
            try:
                at.run(name, total)
            finally:
                faults += [f"round {number}, {name}: {fault}" for fault in at.faults]
            if faults:
                break
            done += 1
            print(f"ok      {name}: {time.monotonic() - begun:.1f} s", flush=True)
        faults += group.stop()
        for member in group.members:
            deep = member.plain("verify", "--deep", "--fix-index", member.data)
            faults += [f"broker {member.number}: verify --deep: {deep}"] if deep.code else []
    except RuntimeError as why:
        faults.append(str(why))
    home.close()
    return done, faults


def main():
    parser = argparse.ArgumentParser(description="Power cuts and a full disk, of brokers that replicate.")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", help="part of a name")
    parser.add_argument("--long", action="store_true", help=f"{ROUNDS_LONG} rounds")
    options = parser.parse_args()
    options.rounds = options.rounds or (ROUNDS_LONG if options.long or harness.LONG else ROUNDS)
    harness.own_mounts()
    why = harness.no_disks()
    if why is not None:
        print(f"skipped: {why}")
        return harness.SKIP
    total = rig.Total()
    done, faults = run(options, random.Random(harness.seed_of(options)), total)
    for fault in faults:
        print(f"FAILED  {fault}")
    print(f"disks: {done} rounds; {total.line()}; {'FAILED' if faults else 'ok'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

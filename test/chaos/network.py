#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""network: three brokers on three hosts of a network that is cut, slow or late, under load.

Each broker has a network namespace of its own; they share a secret, as brokers on other hosts must.
What happens, one after the other on the same three folders:

    cut one          the leader and one follower do not hear each other; or only one way
    cut off          the leader hears neither follower, or is not heard by them: nothing more is
                     acknowledged by it; a follower is promoted, and the old one follows when it can
    cut followers    the followers do not hear each other: nobody minds, also not a hand-over
    flap             a link comes and goes many times
    pauses           a follower stands still again and again
    slow             a link of 256 kbit/s: the follower leaves the in-sync set and comes back
    late             50 ms each way between the leader and a follower: it stays in sync
    limit            ship.bandwidth.max of a follower that copies everything is kept
    wipe             a follower's folder is gone: it copies everything
    grow             a third broker joins a cluster of two that holds a larger log and is written to

All the while producers of both fronts write with acks=all, and at the end of each the judge wants
everything acknowledged to be there once and in order, and the three logs to be the same bytes.

    test/chaos/network.py [--seed N] [--long] [--only NAME]

With --long or KAURI_TEST_LONG=1 each of them five times, and larger logs. Needs root, ip(8), nft(8)
and tc(8): else exit 77 with the reason.
"""
import argparse
import random
import shutil
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import cluster
import harness
import rig
import wires

LAG_MS = 1500
SECRET = "a secret of three brokers"
LIMIT = 2 << 20          # bytes a second
LONG_TIMES = 5
FILL, FILL_LONG = 200 << 20, 500 << 20
SETTINGS = {"replica_lag_time_max_ms": LAG_MS, "log_segment_delete_delay_ms": 0, "ship_secret": SECRET,
            "min_insync_replicas": 2}


class Scene:
    """One of the above, on the cluster as it stands."""

    def __init__(self, group, hosts, chance, long):
        self.group, self.hosts, self.chance, self.long = group, hosts, chance, long
        self.leader = group.leader()
        self.followers = group.others(self.leader)
        chance.shuffle(self.followers)
        self.faults, self.told = [], []

    def host(self, member):
        return self.hosts[member.number - 1]

    def heal(self):
        wires.heal(*self.hosts)

    def in_sync(self, member):
        """Of how many partitions it is counted; None when nobody tells."""
        told = self.group.status(self.group.leader())
        return told and sum(member.number in p["in_sync"] for p in told["partitions"])

    def leaves(self, member):
        """A fault, unless it left all in-sync sets by itself."""
        if not harness.wait_for(lambda: self.in_sync(member) == 0, 20, 0.1):
            self.faults.append(f"broker {member.number} is still in sync: {self.group.told()}")

    def take_over(self, candidates):
        leader, refused, wrong = self.group.promote_one(candidates)
        self.faults += [f"promotion: {why}" for why in wrong]
        if leader is None:
            self.faults.append(f"nobody took over: {refused[-3:]}: {self.group.told()}")

    # ---- the scenes ----
    def cut_one(self):
        follower = self.followers[0]
        ends = [self.host(self.leader), self.host(follower)]
        self.chance.shuffle(ends)
        how = self.chance.choice([wires.cut, wires.cut_both])
        how(*ends)
        self.leaves(follower)
        self.heal()

    def cut_off(self):
        here = self.host(self.leader)
        way = self.chance.randrange(3)
        for follower in self.followers:
            if way != 0:
                wires.cut(here, self.host(follower))
            if way != 1:
                wires.cut(self.host(follower), here)
        time.sleep(self.chance.uniform(0, 2 * LAG_MS / 1000))
        self.take_over(self.followers)
        time.sleep(self.chance.uniform(0, 2))
        self.heal()

    def cut_followers(self):
        wires.cut_both(*map(self.host, self.followers))
        time.sleep(LAG_MS / 1000)
        self.take_over(self.followers)
        time.sleep(LAG_MS / 1000)
        self.heal()

    def flap(self):
        ends = self.host(self.leader), self.host(self.followers[0])
        for _ in range(12):
            wires.cut_both(*ends)
            time.sleep(self.chance.uniform(0.05, 0.5))
            self.heal()
            time.sleep(self.chance.uniform(0.05, 0.5))

    def pauses(self):
        for _ in range(8):
            member = self.chance.choice(self.followers)
            member.pause()
            time.sleep(self.chance.uniform(0.05, 0.8))
            member.resume()
            time.sleep(self.chance.uniform(0.05, 0.3))

    def slow(self):
        follower = self.followers[0]
        self.host(follower).slow("256kbit")
        self.leaves(follower)
        self.host(follower).slow(None)

    def late(self):
        follower = self.followers[0]
        port = int(self.leader.url.rpartition(":")[2])
        relay = wires.Late(self.host(follower), self.host(self.leader), port, 0.05)
        follower.kill()  # its next connections go through the relay
        self.leaves(follower)
        self.group.launch(follower)
        why = self.group.caught_up()
        self.faults += [why] if why else []
        end = time.monotonic() + 2 * LAG_MS / 1000
        looks = []
        while time.monotonic() < end:
            looks.append(self.in_sync(follower))
            time.sleep(0.1)
        out = looks.count(0)
        self.told.append(f"out of sync at {out} of {len(looks)} looks")
        if out > len(looks) / 2:  # a busy machine may be late by itself
            self.faults.append(f"50 ms away, broker {follower.number} was out of sync at {out} of "
                               f"{len(looks)} looks")
        relay.close()

    def size_of(self, member):
        """Bytes of its batches; the files are longer, for they have space ahead."""
        return sum(len(batch.raw) for load in self.filled.loads for i in range(load.partitions)
                   for batch in cluster.read_batches(member.partition(load.topic, i)))

    def fill(self, size):
        """A topic of about so many bytes."""
        self.filled = cluster.Filled(self.group, f"filled-{self.chance.randrange(1 << 40)}", size)
        self.faults += self.filled.write()

    def empty(self, member):
        """It is gone, and known to be; its folder is empty."""
        member.kill()
        shutil.rmtree(member.data)
        self.leaves(member)

    def heard(self, member):
        """Whether the leader knows it, in this life of it."""
        told = self.group.status(self.group.leader())
        return told and any(b["id"] == member.number and 0 <= b["silent_ms"] < 1000 for b in told["brokers"])

    def copies(self, member):
        """Starts it; the seconds from its registration until it has everything. One with another
        folder is let in once the former has been silent for ten seconds."""
        self.group.launch(member)
        if not harness.wait_for(lambda: self.heard(member), 30):
            self.faults.append(f"broker {member.number} is not let in: {self.group.told()}")
        begun = time.monotonic()
        why = self.group.caught_up()
        self.faults += [why] if why else []
        return time.monotonic() - begun

    def wipe(self):
        follower = self.followers[0]
        follower.kill()
        shutil.rmtree(follower.data)
        self.group.launch(follower)

    def limit(self):
        follower = self.followers[0]
        self.fill(16 << 20)
        self.empty(follower)
        follower.settings["ship.bandwidth.max"] = LIMIT
        rate = self.size_of(self.leader) / self.copies(follower)
        del follower.settings["ship.bandwidth.max"]
        self.told.append(f"{rate / 1e6:.2f} MB/s where {LIMIT / 1e6:.2f} are allowed")
        if not 0.5 * LIMIT < rate < 1.1 * LIMIT:
            self.faults.append(f"a limit of {LIMIT} bytes a second, and it was {rate:.0f}")
        follower.kill()
        self.group.launch(follower)

    def grow(self):
        """The third broker is a new one."""
        newcomer = self.followers[0]
        self.empty(newcomer)
        self.fill(FILL_LONG if self.long else FILL)
        seconds = self.copies(newcomer)
        self.told.append(f"{self.size_of(newcomer) >> 20} MB copied in {seconds:.1f} s under load")

    # ---- one run of one ----
    def run(self, name, number, total):
        self.filled = None
        rate = 200 if name in ("limit", "late") else 800
        writers = cluster.Writers(self.group, f"{name}-{number:04d}".replace(" ", "-"), number + 1, rate=rate)
        self.faults += writers.start()
        time.sleep(self.chance.uniform(0, 0.3))
        SCENES[name](self)
        self.heal()
        self.faults += writers.end()
        self.faults += writers.judge(total)
        if self.filled is not None:
            self.faults += self.group.differences(self.filled.topics)
            self.faults += self.filled.judge(total)
            self.filled.delete()
        silence = max(to - since for since, to in writers.silences())
        if name in QUIET and silence > QUIET[name]:
            self.faults.append(f"nothing was acknowledged for {silence:.1f} s")
        self.told.append(f"longest silence {silence * 1000:.0f} ms")
        writers.delete()


SCENES = {name.replace("_", " "): getattr(Scene, name) for name in
          ("cut_one", "cut_off", "cut_followers", "flap", "pauses", "slow", "late", "limit", "wipe", "grow")}
# Seconds without an acknowledgement that are too many: where nobody should wait for anybody.
QUIET = {"wipe": 5.0, "grow": 5.0, "limit": 5.0}


def run(options, chance, total):
    home = harness.Home("network")
    long = options.long or harness.LONG
    names = [name for name in SCENES if (options.only or "") in name] * (LONG_TIMES if long else 1)
    chance.shuffle(names)
    hosts = [wires.Host(i + 1) for i in range(3)]
    members = iter(hosts)

    def member(home, number, **settings):
        host = next(members)
        return cluster.Member(home, number, host=host.address, wrap=host.wrap, **settings)
    group = cluster.Cluster(home, 3, member=member, **SETTINGS)
    faults = []
    try:
        why = group.start()
        faults += [why] if why else []
        for number, name in enumerate(names):
            begun = time.monotonic()
            scene = Scene(group, hosts, chance, long)
            try:
                scene.run(name, number, total)
            finally:
                faults += [f"{name}: {fault}" for fault in scene.faults + total.words]
            print(f"{'FAILED' if faults else 'ok    '}  {name}: {time.monotonic() - begun:.1f} s, "
                  f"{', '.join(scene.told)}", flush=True)
            if faults:
                break
        faults += group.stop()
    except RuntimeError as why:
        faults.append(str(why))
    home.close()
    return len(names), faults


def main():
    parser = argparse.ArgumentParser(description="Three brokers on a bad network, under load.")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only", help="part of a name")
    parser.add_argument("--long", action="store_true", help=f"each {LONG_TIMES} times, larger logs")
    options = parser.parse_args()
    wires.own_network()
    why = wires.no_network()
    if why is not None:
        print(f"skipped: {why}")
        return harness.SKIP
    total = rig.Total()
    count, faults = run(options, random.Random(harness.seed_of(options)), total)
    for fault in faults:
        print(f"FAILED  {fault}")
    print(f"network: {count} scenes; {total.line()}; {'FAILED' if faults else 'ok'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""failover: real Kafka clients that only know a list of three addresses, while leaders go.

Every client writes to a topic of its own (replication factor 3, min.insync.replicas 2, acks=all,
idempotent where it can) and reads it in a group, all at once, while

    the leader dies (kill -9) and another one is promoted; the old one comes back and follows
    a third one is promoted with the leader alive: a planned hand-over

Nobody tells the clients. Then of each: nothing acknowledged is lost, each record is where its
acknowledgement said, none is there twice (where idempotent), its group has read everything, and a
new member goes on from the offset that was committed; what was committed is never less afterwards.
At last all logs are the same bytes, and every broker stops in order with files that verify.

    test/clients/failover.py [--stage 1|2] [--only RE] [--rounds N] [--seed N]

Clients that cannot run here are skipped with the reason. Exit 1 when a check failed.
"""
import argparse
import random
import re
import sys
import time
import traceback
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import checks
import cluster
import fleet
import harness
import membership

COUNT, PACE_US, MORE = 400, 12000, 5
AUTO_MS = 200


class Pair:
    """One client: its producer, and its reader in a group."""

    def __init__(self, rig, name, recipe):
        self.rig, self.name, self.topic = rig, name, f"run-{name}"
        self.command, self.env = recipe()
        self.producer = self.member(f"{name}-producer")
        self.idempotent = "idempotent" not in self.producer.lacks
        self.placed = self.reader = None
        self.commits = []  # what its group had committed when leaders went

    def member(self, name):
        return fleet.Member(name, self.command, self.rig.cluster.bootstrap, self.rig.home, **self.env)

    def join(self, name):
        return membership.Joined(self.rig.home, name, self.command, self.env,
                                 self.rig.cluster.bootstrap, group=f"g-{self.name}",
                                 topic=self.topic, auto_ms=AUTO_MS)

    def begin(self):
        done = self.rig.cluster.kauri("topic", "create", self.topic, "-p", "1")
        checks.equal("the topic is made", done.code, 0)
        self.reader = self.join(f"{self.name}-reader")
        self.producer.send("run", topic=self.topic, count=COUNT, pace_us=PACE_US,
                           idempotent=self.idempotent)
        self.producer.event("acked")

    def moves(self, by=30):
        """The reader gets more than it had."""
        now = len(self.reader.got)
        end = min(COUNT, now + by)
        checks.want("what was committed stays", harness.wait_for(self.kept, 20.0), self.commits)
        checks.want("the reader goes on", self.reader.wait(lambda: len(self.reader.got) >= end, 30),
                    f"{now}, {len(self.reader.got)} of {end}: {self.reader.said()}")

    def end(self):
        """What became of it; Fault or Refused when it is not as it should be."""
        self.placed = self.producer.line(fleet.LIMIT_S * 2)["placed"]
        count = self.rig.end(self.topic)
        got = self.rig.reference.ask("consume", topic=self.topic, partition=0, count=count,
                                     **{"from": 0})["records"]
        values = [bytes.fromhex(r["value"]).decode() for r in got]
        sent = [f"run {i}" for i in range(COUNT)]
        checks.equal("lost", sorted(set(sent) - set(values)), [])
        for value, offset in zip(sent, self.placed):
            checks.equal(f"{value} is where the ack said", values[offset], value)
        if self.idempotent:
            checks.equal("each once, in order", values, sent)
        return len(values) - COUNT

    def read(self):
        """The reader has everything, and who comes after it goes on where it was."""
        end = self.rig.end(self.topic)
        whole = set(range(end))
        self.reader.wait(lambda: {o for _, o in self.reader.got} >= whole or self.reader.ended, 60)
        offsets = [o for _, o in self.reader.got]
        checks.equal(f"not read ({self.reader.said()})", sorted(whole - set(offsets)), [])
        checks.want("the reader commits by itself",
                    harness.wait_for(lambda: self.committed() == end, 20.0), self.committed())
        self.reader.leave()
        self.rig.reference.ask("produce", topic=self.topic, partition=0, codec="none",
                               records=[checks.rec(f"more {i}") for i in range(MORE)])
        after = self.join(f"{self.name}-after")
        after.wait(lambda: len(after.got) >= MORE or after.ended, 30)
        checks.equal(f"the next member goes on ({after.said()})", [o for _, o in after.got],
                     list(range(end, end + MORE)))
        after.leave()
        fallen = [b for a, b in zip(offsets, offsets[1:]) if b <= a]
        checks.want("it goes back no further than it had committed",
                    all(b >= self.commits[0] for b in fallen), (fallen, self.commits))
        return len(offsets) - len(whole)

    def committed(self):
        told = self.rig.reference.ask("offsets", group=f"g-{self.name}", topic=self.topic,
                                      partitions=1)["offsets"]
        return told.get("0", [None])[0]

    def kept(self):
        return not self.commits or (self.committed() or 0) >= self.commits[-1]

    def close(self):
        for one in (self.producer.close, self.reader.kill if self.reader else None):
            if one is not None:
                one()


class Rig:
    def __init__(self, home, options, seed):
        self.home, self.options, self.random = home, options, random.Random(seed)
        self.cluster = cluster.Cluster(home, min_insync_replicas=2).start_all()
        self.check, self.pairs, self.missing = harness.Checks(), [], {}
        command, env = fleet.recipe_librdkafka()
        self.reference = fleet.Member("reference", command, self.cluster.bootstrap, home, **env)

    def gather(self, recipes):
        for name, recipe in recipes.items():
            try:
                pair = Pair(self, name, recipe)
                print(f"client  {name} {pair.producer.about['version']}", flush=True)
                if "failover" in pair.producer.lacks:
                    raise fleet.Missing(pair.producer.lacks["failover"])
                self.pairs.append(pair)
            except (fleet.Missing, fleet.Refused) as why:
                self.missing[name] = str(why)
                print(f"skip    {name}: {why}", flush=True)

    def end(self, topic):
        """The high watermark of its partition."""
        return self.cluster.partitions(topic)[0]["end"]

    def attempt(self, what, work):
        """work()'s word, as a check; False when it failed."""
        begin = time.monotonic()
        try:
            said = work()
            took = time.monotonic() - begin
            return self.check.that(f"{what}{'' if said is None else f': {said}'} ({took:.1f} s)", True)
        except (checks.Fault, fleet.Refused) as why:
            return self.check.that(what, False, why)
        except Exception:
            return self.check.that(what, False, traceback.format_exc())

    def kill(self, successor):
        """The leader dies; a moment later somebody says who leads now."""
        was = self.cluster.leader
        self.note_commits()
        self.cluster[was].kill()
        time.sleep(self.random.uniform(0.1, 1.0))
        begin = time.monotonic()
        done = self.cluster.promote(successor)
        self.check.that(f"broker {was} is killed, {successor} leads", done.code == 0, done)
        print(f"        promoted in {time.monotonic() - begin:.2f} s", flush=True)
        for pair in self.pairs:
            self.attempt(f"{pair.name} goes on", pair.moves)
        self.cluster.start(was)
        self.cluster.settle()

    def note_commits(self):
        for pair in self.pairs:
            pair.commits.append(pair.committed() or 0)

    def hand_over(self, successor):
        self.note_commits()
        done = self.cluster.promote(successor)
        self.check.that(f"a planned hand-over to {successor}", done.code == 0, done)
        self.cluster.settle()

    def others(self):
        return [n for n in self.cluster.brokers if n != self.cluster.leader]

    def run(self):
        self.pairs = [p for p in self.pairs if self.attempt(f"{p.name} begins", p.begin)]
        for _ in range(self.options.rounds):
            for pair in self.pairs:
                pair.moves()
            self.kill(self.random.choice(self.others()))
            self.hand_over(self.random.choice(self.others()))
        for pair in self.pairs:
            self.attempt(f"{pair.name}: nothing lost, doubled", pair.end)
        for pair in self.pairs:
            self.attempt(f"{pair.name}: its group goes on, records read again", pair.read)

    def close(self):
        topics = [p.topic for p in self.pairs] + ["__consumer_offsets"]
        for pair in self.pairs:
            pair.close()
        self.cluster.settle()
        self.check.equal("all stop in order", self.cluster.stop(), [0] * len(self.cluster.brokers))
        for topic in topics:
            self.check.that(f"{topic}: the same bytes everywhere", self.cluster.same_logs(topic),
                            {n: len(v) for n, v in self.cluster.logs(topic).items()})
        for number, broker in self.cluster.brokers.items():
            done = broker.plain("verify", "--deep", broker.data)
            self.check.that(f"broker {number}: verify --deep", done.code == 0, done)
        for name, why in self.missing.items():
            print(f"skipped {name}: {why}")
        return self.check.close("failover")


def main():
    parser = argparse.ArgumentParser(description="Real Kafka clients through fail-overs.")
    parser.add_argument("--stage", type=int, choices=(1, 2), default=1)
    parser.add_argument("--only", metavar="RE", default="", help="only clients with such a name")
    parser.add_argument("--rounds", type=int, default=3 if harness.LONG else 1)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    seed = harness.seed_of(options)
    home, start = harness.Home("failover"), time.monotonic()
    recipes = {name: recipe for name, recipe in fleet.STAGES[options.stage].items()
               if re.search(options.only, name)}
    try:
        rig = Rig(home, options, seed)
    except fleet.Missing as why:
        print(why)
        return harness.SKIP
    rig.gather(recipes)
    if not rig.pairs:
        print("no client can run here: " + "; ".join(f"{n}: {w}" for n, w in rig.missing.items()))
        return harness.SKIP
    rig.run()
    print(f"{time.monotonic() - start:.1f} s")
    return rig.close()


if __name__ == "__main__":
    sys.exit(main())

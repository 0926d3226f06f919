# SPDX-License-Identifier: MIT
"""cluster: several `kauri serve` on loopback that replicate, as Kafka clients see them: one list of
bootstrap addresses, of which the leader's comes last, so that clients ask followers first.
"""
import harness

WAIT = ("--timeout", "60s")


class Cluster:
    """Brokers 1 to `count`; the first that starts leads. `racks` names theirs, by number."""

    def __init__(self, home, count=3, racks=None, name="n", **settings):
        self.brokers = {}
        for number in range(1, count + 1):
            more = {"broker_rack": racks[number]} if racks and number in racks else {}
            broker = harness.KafkaBroker(home, f"{name}{number}", **settings, **more)
            broker.url = f"tcp://127.0.0.1:{harness.free_port()}"
            self.brokers[number] = broker
        self.leader = 1
        self.born = False

    @property
    def bootstrap(self):
        ordered = sorted(self.brokers, key=lambda number: number == self.leader)
        return ",".join(self.brokers[number].address for number in ordered)

    @property
    def urls(self):
        return ",".join(broker.url for broker in self.brokers.values())

    def __getitem__(self, number):
        return self.brokers[number]

    def start(self, number):
        """Starts it, to follow whoever leads."""
        broker = self.brokers[number]
        seeds = ",".join(b.url for n, b in self.brokers.items() if n != number)
        more = ("--replica-of", seeds) if self.born else ()
        if broker.start("--broker-id", str(number), *more) is None:
            raise RuntimeError(f"broker {number} does not start: {broker.errors()[-600:]}")
        self.born = True

    def start_all(self):
        for number in self.brokers:
            self.start(number)
        self.settle()
        return self

    def settle(self, count=None):
        """Until every replica is in sync."""
        done = self.brokers[self.leader].plain("cluster", "wait", "--caught-up", "--brokers",
                                               count or len(self.brokers), *WAIT, "-s", self.urls,
                                               limit_s=90)
        if done.code != 0:
            said = "\n".join(f"{n}: {b.errors()[-900:]}" for n, b in self.brokers.items())
            raise RuntimeError(f"not caught up: {done}\n{said}")

    def promote(self, number, *more):
        """Has it lead; a Done."""
        done = self.brokers[number].run("cluster", "promote", *WAIT, *more, limit_s=90)
        if done.code == 0:
            self.leader = number
        return done

    def kauri(self, *words, **more):
        """kauri WORDS, sent to all of them."""
        return self.brokers[self.leader].plain(*words, "-s", self.urls, **more)

    def partitions(self, topic):
        """What the leader says of the topic's partitions, in their order."""
        told = self.brokers[self.leader].run("cluster", "status", "-p", "--json").json()
        return sorted((p for p in told["partitions"] if p["topic"] == topic),
                      key=lambda p: p["partition"])

    def in_sync(self, topic, number=0):
        return sorted(self.partitions(topic)[number]["in_sync"])

    def logs(self, topic, number=0):
        """The bytes of each broker's log of a partition, without the space ahead: {broker: bytes}."""
        return {n: b"".join(path.read_bytes().rstrip(b"\0")
                            for path in sorted(b.partition(topic, number).glob("*.log")))
                for n, b in self.brokers.items()}

    def same_logs(self, topic, number=0):
        """Whether all have the same bytes by and by."""
        return harness.wait_for(lambda: len(set(self.logs(topic, number).values())) == 1, 20.0)

    def stop(self):
        """Every one that runs stops in order, the leader last; their exit codes."""
        ordered = sorted(self.brokers, key=lambda number: number == self.leader)
        return [self.brokers[n].stop() for n in ordered if self.brokers[n].running()]

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run: kauri from outside, as a person would use it: the acceptance rows over the command line.

Every function `case_...` of the modules below is one case: it gets a Bench, starts brokers in
folders of its own, types commands, and says what it found (one line per check, ok or FAILED). A case
that raises has failed; the others run on. The last line counts. Exit 1 when anything failed.

    test/e2e/run.py [--seed N] [--only RE] [--list]
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
import harness

MODULES = ("records", "topics", "reading", "groups", "acks", "retention", "compact", "input", "folders",
           "names", "cluster", "tools", "http", "damage", "disk", "snapshot", "service", "watch", "shell")


class Bench:
    """What a case gets: check (harness.Checks), random (seeded for this case alone), broker()."""

    def __init__(self, name, home, check, seed):
        self.name, self.home, self.check = name, home, check
        self.random = random.Random(f"{seed} {name}")
        self.brokers = []

    def idle(self, name="", data=None, **settings):
        """A broker that was not started."""
        broker = harness.Broker(self.home, f"{self.name}{name}", data, **settings)
        self.brokers.append(broker)
        return broker

    def broker(self, name="", **settings):
        """A started one."""
        broker = self.idle(name, **settings)
        if broker.start() is None:
            raise RuntimeError(f"the broker does not start: {broker.errors()[-400:]}")
        return broker

    def close(self):
        """Every broker that still runs must stop in order."""
        for broker in self.brokers:
            if broker.child is not None:
                code = broker.stop()
                self.check.that(f"{broker.folder.name}: stops in order", code == 0,
                                f"exit {code}: {broker.errors()[-400:]}")


def cases():
    """(name, function) of all."""
    for name in MODULES:
        module = __import__(f"cases_{name}")
        for key, value in list(vars(module).items()):
            if key.startswith("case_"):
                yield f"{name}.{key[5:]}", value


def run_case(name, function, home, check, seed):
    print(f"--- {name}", flush=True)
    start = time.monotonic()
    bench = Bench(name, home, check, seed)
    try:
        function(bench)
        bench.close()
    except Exception:
        check.that(f"{name}: ended by itself", False, traceback.format_exc())
    for broker in bench.brokers:
        broker.kill()
    return time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description="The acceptance rows, from outside.")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only", metavar="RE", default="", help="only cases with such a name")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    options = parser.parse_args()
    if options.list:
        print("\n".join(name for name, _ in cases()))
        return 0
    harness.own_mounts()
    seed = harness.seed_of(options)
    home, check = harness.Home("e2e"), harness.Checks()
    seconds = {name: run_case(name, function, home, check, seed)
               for name, function in cases() if re.search(options.only, name)}
    slowest = sorted(seconds, key=seconds.get)[-3:]
    print("slowest: " + ", ".join(f"{name} {seconds[name]:.1f} s" for name in reversed(slowest)))
    return check.close("e2e")


if __name__ == "__main__":
    sys.exit(main())

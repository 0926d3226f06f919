#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""groups: real Kafka clients as members and administrators of consumer groups.

A row is a client and how it joins: classic with eager or cooperative moves, or the consumer model
(KIP-848). Every row goes through the checks of group_checks.py, a few rows at a time; at last all
rows have members at once and the broker is killed under them (restart). The table is row x check:
ok, FAILED, or n.a. with its reason below.

    test/clients/groups.py [--stage 1|2] [--only RE] [--checks RE] [--broker apache-3.9]

Stage 1 has what Debian offers, and kafkajs; stage 2 what other registries do. Clients that cannot
run here are skipped with the reason; when none can, so is the suite. Exit 1 when a check failed.
"""
import argparse
import re
import sys
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

AT_ONCE = 6
STICKY, CONSUMER = {"assignor": "cooperative-sticky"}, {"model": "consumer"}
# row: the client's recipe, how it joins
ROWS = {
    1: {
        "librdkafka": ("librdkafka", {"assignor": "range"}),
        "librdkafka-sticky": ("librdkafka", STICKY),
        "kcat": ("kcat", {}),
        "kafka-python": ("kafka-python", {}),
        "confluent-kafka": ("confluent-kafka", {}),
        "kafkajs": ("kafkajs", {}),
    },
    2: {
        "java-3.9": ("java-3.9", {"assignor": "range"}),
        "java-4-sticky": ("java-4", STICKY),
        "java-4-consumer": ("java-4", CONSUMER),
        "kafka-python-3": ("kafka-python-3", {}),
        "kafka-python-3-sticky": ("kafka-python-3", STICKY),
        "kafka-python-2.2": ("kafka-python-2.2", {}),
        "confluent-kafka-2": ("confluent-kafka-2", STICKY),
        "confluent-kafka-2-consumer": ("confluent-kafka-2", CONSUMER),
        "franz-go": ("franz-go", {}),
        "sarama": ("sarama", {}),
        "platformatic": ("platformatic", {}),
    },
}


class Row:
    """A client, how it joins, and a reference beside it."""

    def __init__(self, rig, name, recipe, words):
        self.name, self.words = name, words
        try:
            command, env = fleet.recipe_librdkafka_2()
        except fleet.Missing:
            command, env = fleet.recipe_librdkafka()
        self.reference = fleet.Member(f"{name}-reference", command, rig.address, rig.home, **env)
        command, env = recipe()
        self.client = fleet.Member(name, command, rig.address, rig.home, **env)
        if words.get("model") != "consumer":
            self.client.lacks["mixed"] = "joins by the classic protocol"
        elif rig.options.broker != "kauri":
            self.client.lacks["mixed"] = "only kauri has a protocol of its own"


class Rig:
    """The broker, the rows, and what came of them."""

    def __init__(self, home, options):
        self.home, self.options = home, options
        self.broker = apache.broker(options.broker, home, **group_checks.SETTINGS)
        self.address = self.broker.address
        if self.broker.start() is None:
            raise RuntimeError(f"the broker does not start: {self.broker.errors()[-400:]}")
        self.rows, self.cells, self.missing = [], {}, {}

    def gather(self, rows):
        for name, (client, words) in rows.items():
            recipe = fleet.STAGES[self.options.stage][client]
            try:
                self.rows.append(Row(self, name, recipe, words))
                print(f"client  {name} {self.rows[-1].client.about['version']}", flush=True)
            except (fleet.Missing, fleet.Refused) as why:
                self.missing[name] = str(why)
                print(f"skip    {name}: {why}", flush=True)

    def warm(self):
        """Until the broker has groups to offer."""
        def able():
            try:
                self.rows[0].reference.ask("offsets", group="warm", topic="warm", partitions=1)
                return True
            except fleet.Refused:
                return False
        harness.wait_for(able, 30.0, 0.2)

    def cell(self, row, check, word, remark=None):
        self.cells[row.name, check] = word, remark
        print(f"{word:7} {row.name}: {check}{f': {remark}' if remark else ''}", flush=True)

    def attempt(self, row, check, work):
        try:
            self.cell(row, check, "ok", work())
            return True
        except (checks.Fault, fleet.Refused) as why:
            self.cell(row, check, "FAILED", str(why))
        except Exception:
            self.cell(row, check, "FAILED", traceback.format_exc())
        return False

    def one_row(self, row):
        for name, needs, function in group_checks.CHECKS:
            lack = next((row.client.lacks[n] for n in needs if n in row.client.lacks), None)
            if lack:
                self.cell(row, name, "n.a.", lack)
            elif re.search(self.options.checks, name):
                # A client that is known to stand still with any broker is asked again.
                for turn in range(3 if "steady" in row.client.lacks else 1):
                    trial = group_checks.Trial(self, row, name, turn)
                    good = self.attempt(row, name, lambda: function(trial))
                    trial.close()
                    if good:
                        break

    def run(self):
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self.one_row, self.rows))
        if re.search(self.options.checks, "restart"):
            self.restart()

    def restart(self):
        trials = {row: group_checks.Restart(group_checks.Trial(self, row, "restart")) for row in self.rows}

        def begin(row):
            try:
                trials[row].begin()
                return True
            except Exception as why:
                self.cell(row, "restart", "FAILED", f"before the broker died: {why}")
                return False
        with ThreadPoolExecutor(AT_ONCE) as pool:
            begun = [row for row, good in zip(self.rows, pool.map(begin, self.rows)) if good]
            self.broker.kill()
            if self.broker.start() is None:
                raise RuntimeError(f"it does not start again: {self.broker.errors()[-400:]}")
            list(pool.map(lambda row: self.attempt(row, "restart", trials[row].end), begun))
        for trial in trials.values():
            trial.trial.close()

    def table(self):
        columns = [name for name, _, _ in group_checks.CHECKS] + ["restart"]
        width = max(len(row.name) for row in self.rows)
        print("\n" + " ".join([" " * width] + [f"{c:8}" for c in columns]))
        for row in self.rows:
            words = [self.cells.get((row.name, c), ("-", None))[0] for c in columns]
            print(" ".join([f"{row.name:{width}}"] + [f"{w:8}" for w in words]))
        for (name, check), (word, remark) in self.cells.items():
            if word == "n.a." or (remark or "").startswith("but not"):
                print(f"{word:7} {name}: {check}: {remark}")
        for name, why in self.missing.items():
            print(f"skipped {name}: {why}")

    def close(self):
        failed = sum(word == "FAILED" for word, _ in self.cells.values())
        good = sum(word == "ok" for word, _ in self.cells.values())
        code = self.broker.stop() if self.broker.running() else -1
        if code != 0:
            failed += 1
            print(f"FAILED  the broker: exit {code}: {self.broker.errors()[-800:]}")
        self.table()
        missing = f", {len(self.missing)} skipped" if self.missing else ""
        print(f"groups: {good + failed} checks of {len(self.rows)} rows, {failed} failed{missing}")
        return 1 if failed or not good else 0


def main():
    parser = argparse.ArgumentParser(description="Real Kafka clients in consumer groups.")
    parser.add_argument("--stage", type=int, choices=(1, 2), default=1)
    parser.add_argument("--only", metavar="RE", default="", help="only rows with such a name")
    parser.add_argument("--checks", metavar="RE", default="", help="only such checks")
    apache.option(parser)
    options = parser.parse_args()
    home, start = harness.Home("groups"), time.monotonic()
    rows = {name: row for name, row in ROWS[options.stage].items() if re.search(options.only, name)}
    try:
        rig = Rig(home, options)
        rig.gather(rows)
    except fleet.Missing as why:
        print(why)
        return harness.SKIP
    if not rig.rows:
        print("no client can run here: " + "; ".join(f"{n}: {w}" for n, w in rig.missing.items()))
        return harness.SKIP
    rig.warm()
    rig.run()
    print(f"{time.monotonic() - start:.1f} s")
    return rig.close()


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""admin_checks: admin clients of kafka-python, confluent-kafka, kafkajs and franz-go's kadm.

Each has a program that asks what its library can and prints the answers as JSON (admin_python.py
says how); here they are compared with what they must be. Errors are told by their number. Apache
answers a change before every broker knows of it: what is asked at once may still say the old value
there, and must not here.

    test/clients/admin_checks.py [--only RE] [--broker apache-3.9]
"""
import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import apache
import checks
import fleet
import harness

HERE = Path(__file__).resolve().parent
LIMIT_S = 90
WANTED = {
    "set": "7200000",            # of retention.ms
    "append": ("delete,compact", "compact,delete"),
    "whole": "-1",               # AlterConfigs took back what it did not name
    "bad": 40,                   # INVALID_CONFIG
    "deleted": 4,                # the low watermark
    "beyond": 1,                 # OFFSET_OUT_OF_RANGE
    "dirs": 1,                   # brokers that told their folder
    "producers": 0,
    "election": 84,              # ELECTION_NOT_NEEDED
    "move": 39,                  # INVALID_REPLICA_ASSIGNMENT
    "moves": 0,
    "acls": 54,                  # SECURITY_DISABLED
    "resources": True,
    "partitions": None,          # the topic
    "quota": 0,
    "quotas": 2000,
    "no quota": 42,              # INVALID_REQUEST
}


def python(name, library):
    (interpreter, *_), _ = fleet.recipe_pypi(name)
    return [interpreter, HERE / "admin_python.py", library], {}


def kafkajs():
    return [fleet.tool("node"), HERE / "admin_kafkajs.js"], fleet.recipe_kafkajs()[1]


CLIENTS = {
    "kafka-python-3": lambda: python("kafka-python-3", "kafka"),
    "confluent-kafka-2": lambda: python("confluent-kafka-2", "confluent"),
    "kafkajs": kafkajs,
    "franz-go": lambda: fleet.recipe_go("admin"),
}


def ask(found, name, recipe, broker, reference):
    """Runs one client's program and looks at what it says."""
    topic = f"asked-{name}"
    reference.ask("create", topic=topic, partitions=1, config={"retention.ms": "-1"})
    reference.ask("produce", topic=topic, partition=0, records=[checks.rec(f"{i}") for i in range(10)])
    command, env = recipe()
    done = subprocess.run([*map(str, command), broker.address, topic], capture_output=True, text=True,
                          timeout=LIMIT_S, env={**harness.environment(broker.home.path), **env})
    if not found.that(f"{name}: asks", done.returncode == 0, (done.stdout + done.stderr)[-800:]):
        return
    answers = json.loads(done.stdout.splitlines()[-1])
    if not isinstance(broker, apache.KauriBroker):
        answers.pop("resources", None)  # 3.9 has none but metrics of clients
    for word, said in answers.items():
        wanted = [topic] if word == "partitions" else WANTED[word]
        good = said in wanted if isinstance(wanted, tuple) else said == wanted
        found.that(f"{name}: {word}", good, f"got {said!r}, wanted {wanted!r}")


def parse():
    parser = argparse.ArgumentParser(description="Admin clients.")
    parser.add_argument("--only", metavar="RE", default="", help="only clients with such a name")
    apache.option(parser)
    return parser.parse_args()


def main():
    options = parse()
    home, found = harness.Home("admin-checks"), harness.Checks()
    broker = apache.broker(options.broker, home)
    if broker.start() is None:
        raise RuntimeError(f"the broker does not start: {broker.errors()[-400:]}")
    broker.home = home
    try:
        command, env = fleet.recipe_librdkafka()
    except fleet.Missing as why:
        print(f"no client to write with: {why}")
        return harness.SKIP
    reference = fleet.Member("admin-reference", command, broker.address, home, **env)
    for name, recipe in CLIENTS.items():
        if not re.search(options.only, name):
            continue
        try:
            ask(found, name, recipe, broker, reference)
        except fleet.Missing as why:
            found.skip(name, why)
    if not found.good and not found.bad:
        print("no client can run here: " + "; ".join(found.skipped))
        return harness.SKIP
    found.equal("the broker stops", broker.stop(), 0)
    return found.close("admin-checks")


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""admin_tool: Apache's tools for topics, settings, records, folders and leaders, of 3.9 and of 4.x.

kafka-topics, kafka-configs (topics, brokers, clients), kafka-delete-records, kafka-get-offsets,
kafka-log-dirs, kafka-leader-election, kafka-reassign-partitions and kafka-acls against the broker.
What a tool prints is looked through for what it must say.

    test/clients/admin_tool.py [--only RE] [--broker apache-3.9]
"""
import argparse
import json
import re
import subprocess
import sys
import time
import traceback
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import apache
import checks
import fleet
import harness
from checks import equal, want

VERSIONS = {"tools-3.9": "3.9.1", "tools-4": "4.1.0"}
TOOLS = {
    "topics": "org.apache.kafka.tools.TopicCommand",
    "configs": "kafka.admin.ConfigCommand",
    "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "election": "org.apache.kafka.tools.LeaderElectionCommand",
    "reassign": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
}
TOOL_LIMIT_S = 60
RATE = 20_000


def jars(version):
    folder = fleet.cache("maven", f"admin-{version}")
    if not (folder / "done").exists():
        fleet.maven(folder, ("org.apache.kafka", "kafka-tools", version),
                    ("org.apache.kafka", "kafka_2.13", version))
    return folder / "lib"


class Tools:
    """One release of the tools, a topic of its own, and the reference."""

    def __init__(self, name, broker, home):
        self.name, self.broker, self.home = name, broker, home
        self.topic = f"admin-{name}"
        self.java = [fleet.tool("java"), *fleet.JVM, "-cp", f"{jars(VERSIONS[name])}/*"]
        command, env = fleet.recipe_librdkafka()
        self.reference = fleet.Member(f"{name}-reference", command, broker.address, home, **env)

    def type(self, tool, *words):
        """Exit code, and what it said, with its complaints behind."""
        done = subprocess.run([*self.java, TOOLS[tool], "--bootstrap-server", self.broker.address,
                               *map(str, words)], capture_output=True, text=True, timeout=TOOL_LIMIT_S)
        noise = ("SLF4J", "log4j", "WARNING")
        lines = [l for l in (done.stdout + done.stderr).splitlines() if not l.startswith(noise)]
        return done.returncode, "\n".join(lines)

    def says(self, tool, words, *wanted):
        """It works, and says each of these (regular expressions)."""
        code, text = self.type(tool, *words)
        equal(f"{tool} {words}: exit code ({text[-400:]})", code, 0)
        for one in wanted:
            want(f"{tool} {words} says {one!r}", re.search(one, text), text)
        return text

    def refuses(self, tool, words, *wanted):
        """It says each of these, and does not say that it worked."""
        code, text = self.type(tool, *words)
        want(f"{tool} {words}: fails", code != 0 or re.search("(?i)error|exception", text), text)
        for one in wanted:
            want(f"{tool} {words} says {one!r}", re.search(one, text), text)

    def file(self, what, content):
        path = self.home.path / f"{self.name}-{what}.json"
        path.write_text(json.dumps(content))
        return path


def check_topics(t):
    """kafka-topics: made, told, grown, told once more."""
    t.says("topics", ("--create", "--topic", t.topic, "--partitions", 2, "--config", "retention.ms=-1"),
           "Created topic")
    t.says("topics", ("--list",), rf"(?m)^{t.topic}$")
    t.says("topics", ("--alter", "--topic", t.topic, "--partitions", 3))
    t.says("topics", ("--describe", "--topic", t.topic), "PartitionCount: 3", r"retention\.ms=-1",
           r"Partition: 2\s+Leader: 1\s+Replicas: 1\s+Isr: 1")
    t.refuses("topics", ("--create", "--topic", t.topic), "already exists")


def check_topic_configs(t):
    """kafka-configs of a topic."""
    who = ("--entity-type", "topics", "--entity-name", t.topic)
    t.says("configs", ("--alter", *who, "--add-config", "segment.bytes=1048576,cleanup.policy=[compact,delete]"),
           "Completed updating")
    t.says("configs", ("--describe", *who), r"segment\.bytes=1048576 .*DYNAMIC_TOPIC_CONFIG:segment\.bytes=1048576",
           r"cleanup\.policy=(compact,delete|delete,compact)", r"DEFAULT_CONFIG:log\.segment\.bytes=1073741824")
    t.says("configs", ("--alter", *who, "--delete-config", "cleanup.policy,segment.bytes"))
    text = t.says("configs", ("--describe", *who))
    want("settings that were taken back", "segment.bytes=1048576" not in text, text)
    t.says("configs", ("--describe", "--all", *who), r"segment\.bytes=1073741824", r"max\.message\.bytes=1048588")
    t.refuses("configs", ("--alter", *who, "--add-config", "retention.mss=1"), "retention.mss")
    t.refuses("configs", ("--alter", *who, "--add-config", "retention.ms=soon"), "retention.ms")


def check_broker_configs(t):
    """kafka-configs of the broker, by number and for all."""
    one, every = ("--entity-type", "brokers", "--entity-name", 1), ("--entity-type", "brokers", "--entity-default")
    t.says("configs", ("--alter", *every, "--add-config", "log.retention.ms=7200000"), "Completed updating")
    t.says("configs", ("--alter", *one, "--add-config", "log.retention.ms=3600000"), "Completed updating")
    t.says("configs", ("--describe", *every), "log.retention.ms=7200000 .*DYNAMIC_DEFAULT_BROKER_CONFIG")
    t.says("configs", ("--describe", *one),
           "log.retention.ms=3600000 .*DYNAMIC_BROKER_CONFIG:log.retention.ms=3600000, "
           "DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=7200000")
    t.says("configs", ("--alter", *one, "--delete-config", "log.retention.ms"))
    t.says("configs", ("--alter", *every, "--delete-config", "log.retention.ms"))
    t.refuses("configs", ("--alter", *one, "--add-config", "node.id=7"))


def check_quotas(t):
    """kafka-configs of clients and users: quotas."""
    who = ("--entity-type", "clients", "--entity-name", "slow")
    t.says("configs", ("--alter", *who, "--add-config", f"producer_byte_rate={RATE},request_percentage=200"),
           "Completed updating")
    t.says("configs", ("--describe", *who), rf"producer_byte_rate={RATE}\.0", r"request_percentage=200\.0")
    t.says("configs", ("--alter", "--entity-type", "users", "--entity-default", "--entity-type", "clients",
                       "--entity-default", "--add-config", "consumer_byte_rate=1000000000"))
    t.says("configs", ("--describe", "--entity-type", "users", "--entity-default", "--entity-type", "clients",
                       "--entity-default"), "consumer_byte_rate")
    t.refuses("configs", ("--alter", *who, "--add-config", "producer_byte_rate=-5"))
    t.says("configs", ("--alter", *who, "--delete-config", "producer_byte_rate,request_percentage"))
    t.says("configs", ("--alter", "--entity-type", "users", "--entity-default", "--entity-type", "clients",
                       "--entity-default", "--delete-config", "consumer_byte_rate"))
    text = t.says("configs", ("--describe", *who))
    want("quotas that were taken back", "byte_rate" not in text, text)


def check_records(t):
    """kafka-delete-records and kafka-get-offsets."""
    rows = [checks.rec(f"{i}") for i in range(10)]
    for p in range(2):
        t.reference.ask("produce", topic=t.topic, partition=p, records=rows)

    def trim(*pairs):
        return t.file("records", {"version": 1, "partitions": [
            {"topic": t.topic, "partition": p, "offset": o} for p, o in pairs]})

    t.says("delete-records", ("--offset-json-file", trim((0, 4), (1, -1))),
           rf"partition: {t.topic}-0\s+low_watermark: 4", rf"partition: {t.topic}-1\s+low_watermark: 10")
    _, text = t.type("delete-records", "--offset-json-file", trim((0, 11)))
    want("beyond the end", "OffsetOutOfRange" in text.replace(" ", "") or "out of range" in text, text)
    t.says("get-offsets", ("--topic", t.topic, "--time", "earliest"), f"{t.topic}:0:4", f"{t.topic}:1:10",
           f"{t.topic}:2:0")
    t.says("get-offsets", ("--topic", t.topic, "--time", "latest"), f"{t.topic}:0:10")
    t.says("topics", ("--create", "--topic", f"{t.topic}-keys", "--config", "cleanup.policy=compact"))
    _, text = t.type("delete-records", "--offset-json-file",
                     t.file("keys", {"version": 1, "partitions": [
                         {"topic": f"{t.topic}-keys", "partition": 0, "offset": 0}]}))
    want("of a compacted topic", "policy" in text.lower(), text)


def check_log_dirs(t):
    """kafka-log-dirs: one folder, every partition, a size."""
    text = t.says("log-dirs", ("--describe", "--topic-list", t.topic), "Received log directory")
    told = json.loads(next(l for l in text.splitlines() if l.startswith("{")))
    equal("brokers", [b["broker"] for b in told["brokers"]], [1])
    folders = told["brokers"][0]["logDirs"]
    equal("folders", len(folders), 1)
    sizes = {p["partition"]: p["size"] for p in folders[0]["partitions"] if p["partition"].startswith(f"{t.topic}-")}
    want("three partitions", {f"{t.topic}-{i}" for i in range(3)} <= sizes.keys(), sizes)
    want("a size", sizes[f"{t.topic}-0"] > 0, sizes)


def check_leaders(t):
    """kafka-leader-election and kafka-reassign-partitions: nothing to do, nowhere to go."""
    t.says("election", ("--election-type", "preferred", "--topic", t.topic, "--partition", 0),
           "(?i)Valid replica already elected|not needed|Successfully")
    t.says("election", ("--election-type", "preferred", "--all-topic-partitions"))

    def plan(node):
        return t.file("plan", {"version": 1, "partitions": [
            {"topic": t.topic, "partition": 0, "replicas": [node]}]})

    t.says("reassign", ("--execute", "--reassignment-json-file", plan(1)),
           "Successfully started partition reassignment")
    t.says("reassign", ("--verify", "--reassignment-json-file", plan(1)), "is (complete|completed)")
    t.says("reassign", ("--list",), "No partition reassignments found")
    t.refuses("reassign", ("--execute", "--reassignment-json-file", plan(7)))


def check_end(t):
    """kafka-topics deletes."""
    t.says("topics", ("--delete", "--topic", t.topic))
    text = t.says("topics", ("--list",))
    want("the topic is gone", t.topic not in text.split(), text)


CHECKS = (check_topics, check_topic_configs, check_broker_configs, check_quotas, check_records,
          check_log_dirs, check_leaders, check_end)


def parse():
    parser = argparse.ArgumentParser(description="Apache's admin tools.")
    parser.add_argument("--only", metavar="RE", default="", help="only releases with such a name")
    apache.option(parser)
    return parser.parse_args()


def main():
    options = parse()
    home, found = harness.Home("admin-tool"), harness.Checks()
    broker = apache.broker(options.broker, home)
    if broker.start() is None:
        raise RuntimeError(f"the broker does not start: {broker.errors()[-400:]}")
    begin = time.monotonic()
    for name in VERSIONS:
        if not re.search(options.only, name):
            continue
        try:
            tools = Tools(name, broker, home)
        except (fleet.Missing, fleet.Refused) as why:
            found.skip(name, why)
            continue
        for check in CHECKS:
            what, why = f"{name}: {check.__doc__.strip()}", ""
            try:
                check(tools)
            except (checks.Fault, fleet.Refused, subprocess.TimeoutExpired) as fault:
                why = str(fault)
            except Exception:
                why = traceback.format_exc()
            found.that(what, not why, why)
    print(f"{time.monotonic() - begin:.1f} s")
    if not found.good and not found.bad:
        print("no tools can run here: " + "; ".join(found.skipped))
        return harness.SKIP
    found.equal("the broker stops", broker.stop(), 0)
    return found.close("admin-tool")


if __name__ == "__main__":
    sys.exit(main())

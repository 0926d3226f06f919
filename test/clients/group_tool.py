#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""group_tool: Apache's kafka-consumer-groups, of 3.9 and of 4.x, against the broker.

List, describe (offsets, members, state), every kind of --reset-offsets, refused while the group has
a member, then --delete-offsets and --delete. What a tool prints is compared in columns.

    test/clients/group_tool.py [--only RE] [--broker apache-3.9]
"""
import argparse
import datetime
import re
import subprocess
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
from checks import equal, want

TOOL = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
STEP_MS, RECORDS = 600_000, 10
TOOL_LIMIT_S = 60


def tools(name):
    """The folder of the jars that the tool has in Apache's own distribution, and no others."""
    package = fleet.JAVA[name][0]
    folder = fleet.cache("maven", "tools-" + package[2])
    if not (folder / "done").exists():
        fleet.maven(folder, package)
    return folder / "lib"


class Tool(group_checks.Trial):
    """One version of the tool, and a group for it."""

    class Row:
        def __init__(self, name, client, reference):
            self.name, self.client, self.reference, self.words = name, client, reference, {}

    def __init__(self, rig, name):
        command, env = fleet.recipe_librdkafka()
        member = fleet.Member(f"{name}-reference", command, rig.address, rig.home, **env)
        super().__init__(rig, self.Row(name, member, member), "tool")
        self.java = [fleet.tool("java"), *fleet.JVM, "-cp", f"{tools(name)}/*", TOOL,
                     "--bootstrap-server", rig.address]

    def type(self, *words):
        """Exit code, and what it said, with its complaints behind."""
        done = subprocess.run([*self.java, *map(str, words)], capture_output=True, text=True,
                              timeout=TOOL_LIMIT_S)
        noise = ("SLF4J", "log4j")  # of the logging libraries
        lines = [l for l in (done.stdout + done.stderr).splitlines() if not l.startswith(noise)]
        return done.returncode, "\n".join(lines)

    def rows(self, *words):
        """The table it prints: a dict a line, by the heads of its columns."""
        code, text = self.type(*words)
        equal(f"{words}: exit code ({text[-300:]})", code, 0)
        # The only words with a blank within: COORDINATOR (ID), and what stands below it.
        lines = [re.sub(r" +\((ID|\d+)\)", r"(\1)", line).split() for line in text.splitlines()]
        heads = next((i for i, line in enumerate(lines) if line[:1] == ["GROUP"]), None)
        want(f"{words}: a table", heads is not None, text)
        rows = [dict(zip(lines[heads], line)) for line in lines[heads + 1:] if line[:1] == [self.group]]
        return sorted(rows, key=lambda row: row.get("PARTITION", ""))

    def reset(self, *how, run="--execute", topic=None):
        code, text = self.type("--group", self.group, "--topic", topic or self.topic, "--reset-offsets",
                               *how, run)
        want(f"{how}: a table", code == 0 and "NEW-OFFSET" in text, text)
        # 3.9 puts the whole table on one line.
        cells, out = text.split("NEW-OFFSET", 1)[1].split(), {}
        while cells[:1] == [self.group]:
            out[int(cells[2])], cells = int(cells[3]), cells[4:]
        return out

    def told(self):
        return {p: o for p, (o, _) in self.offsets().items()}


def prepare(t):
    """Ten records in each of two partitions, ten minutes apart; all committed by a member."""
    t.make(2)
    t.begin_ms = int(time.time() * 1000) - RECORDS * STEP_MS * 10
    for p in range(2):
        rows = [checks.rec(f"{p} {i}", None, (), t.begin_ms + i * STEP_MS) for i in range(RECORDS)]
        t.reference.ask("produce", topic=t.topic, partition=p, records=rows)
    t.sent = {0: RECORDS, 1: RECORDS}
    member = t.join(auto_ms=500, assignor="range")
    t.all_read(member)
    t.committed()
    return member


def while_active(t):
    """With a member in the group."""
    code, text = t.type("--list")
    want("listed", code == 0 and t.group in text.split(), text)
    code, text = t.type("--list", "--state")
    line = next((l.split() for l in text.splitlines() if l.startswith(t.group)), [])
    want("listed as stable", "Stable" in line, text)
    rows = t.rows("--describe", "--group", t.group)
    equal("offsets", [(r["PARTITION"], r["CURRENT-OFFSET"], r["LOG-END-OFFSET"], r["LAG"]) for r in rows],
          [("0", "10", "10", "0"), ("1", "10", "10", "0")])
    want("with their owner", all(r["CONSUMER-ID"].startswith("rdkafka-") and r["HOST"] == "/127.0.0.1"
                                 for r in rows), rows)
    rows = t.rows("--describe", "--group", t.group, "--members", "--verbose")
    want("one member, two partitions", len(rows) == 1 and rows[0]["#PARTITIONS"] == "2", rows)
    rows = t.rows("--describe", "--group", t.group, "--state")
    equal("state", (rows[0]["STATE"], rows[0]["#MEMBERS"], rows[0]["ASSIGNMENT-STRATEGY"]),
          ("Stable", "1", "range"))
    code, text = t.type("--group", t.group, "--topic", t.topic, "--reset-offsets", "--to-earliest", "--execute")
    want("no reset while it is active", "Stable" in text and t.told() == t.sent, (code, text))
    code, text = t.type("--delete", "--group", t.group)
    want("no deletion while it is active", "GroupNotEmpty" in text and t.state() == "Stable", (code, text))


def resets(t):
    """Every kind; each does what it says, and the broker has it."""
    equal("dry run", t.reset("--to-earliest", run="--dry-run"), {0: 0, 1: 0})
    equal("which changes nothing", t.told(), t.sent)
    at = datetime.datetime.utcfromtimestamp((t.begin_ms + 4 * STEP_MS - 1) / 1000)
    age_s = (int(time.time() * 1000) - t.begin_ms - 6 * STEP_MS) // 1000 + STEP_MS // 2000
    plan = t.home_file("plan.csv", f'"{t.topic}",0,2\n"{t.topic}",1,8\n')
    kinds = (("--to-earliest", {0: 0, 1: 0}), ("--to-latest", {0: 10, 1: 10}),
             (("--to-offset", 3), {0: 3, 1: 3}), (("--shift-by", 4), {0: 7, 1: 7}),
             (("--shift-by", -2), {0: 5, 1: 5}), ("--to-current", {0: 5, 1: 5}),
             (("--to-offset", 99), {0: 10, 1: 10}),
             (("--to-datetime", at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}"), {0: 4, 1: 4}),
             (("--by-duration", f"PT{age_s}S"), {0: 6, 1: 6}), (("--from-file", plan), {0: 2, 1: 8}))
    for how, wanted in kinds:
        how = (how,) if isinstance(how, str) else how
        equal(f"{how[0]}", t.reset(*how), wanted)
        equal(f"{how[0]}, as the broker has it", t.told(), wanted)
    equal("one partition alone", t.reset("--to-offset", 1, topic=f"{t.topic}:1"), {1: 1})
    equal("and the other stays", t.told(), {0: 2, 1: 1})


def deletions(t):
    code, text = t.type("--delete-offsets", "--group", t.group, "--topic", f"{t.topic}:0")
    want("offsets deleted", code == 0 and "Successful" in text, text)
    equal("one is left", t.told(), {1: 1})
    code, text = t.type("--delete", "--group", t.group)
    want("deleted", code == 0 and "successful" in text, text)
    equal("gone", (t.state(), t.told()), (None, {}))
    code, text = t.type("--describe", "--group", t.group)
    want("what is not there is not described",
         re.search("does not exist|not found|GroupIdNotFound", text), (code, text))


def run_tool(t):
    member = prepare(t)
    while_active(t)
    member.leave()
    t.empty_within(4.0)
    rows = t.rows("--describe", "--group", t.group)
    equal("no owners", {r["CONSUMER-ID"] for r in rows}, {"-"})
    resets(t)
    deletions(t)


class Rig:
    def __init__(self, home, options):
        self.home, self.check = home, harness.Checks()
        self.broker = apache.broker(options.broker, home, **group_checks.SETTINGS)
        self.address = self.broker.address
        if self.broker.start() is None:
            raise RuntimeError(f"the broker does not start: {self.broker.errors()[-400:]}")

    def run(self, name):
        fault, tool, begin = None, None, time.monotonic()
        try:
            tool = Tool(self, name)
            tool.home_file = lambda word, text: self.file(f"{name}-{word}", text)
            run_tool(tool)
        except fleet.Missing as why:
            self.check.skip(name, str(why))
            return
        except (checks.Fault, fleet.Refused) as why:
            fault = str(why)
        except Exception:
            fault = traceback.format_exc()
        if tool is not None:
            tool.close()
        self.check.that(f"kafka-consumer-groups of {name} ({time.monotonic() - begin:.1f} s)", fault is None, fault)

    def file(self, name, text):
        path = self.home.path / name
        path.write_text(text)
        return path


def main():
    parser = argparse.ArgumentParser(description="Apache's kafka-consumer-groups.")
    parser.add_argument("--only", metavar="RE", default="", help="only such versions")
    apache.option(parser)
    options = parser.parse_args()
    home = harness.Home("group-tool")
    try:
        rig = Rig(home, options)
    except fleet.Missing as why:
        print(f"group tool: {why}")
        return harness.SKIP
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(rig.run, [name for name in fleet.JAVA if re.search(options.only, name)]))
    rig.check.that("the broker stops in order", rig.broker.running() and rig.broker.stop() == 0,
                   rig.broker.errors()[-400:])
    if len(rig.check.skipped) == len(fleet.JAVA):
        print(f"no tool can run here: {rig.check.skipped[0]}")
        return harness.SKIP
    return rig.check.close("group tool")


if __name__ == "__main__":
    sys.exit(main())

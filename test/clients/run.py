#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run: real Kafka clients against `kauri serve --kafka`, all through the same checks.

Each client library has one small program that speaks the protocol of session.py; checks.py has the
checks, written once. Then all producers run while the broker is killed (kill), and each once loses
the answer to a request (lost): what is idempotent must be there once, all else at least once. At
last what each client wrote is read by every other, and by kauri's own client, and the other way
round (written, reads). The table is client x check: ok, FAILED, or n.a. with its reason below.

    test/clients/run.py [--stage 1|2] [--only RE] [--checks RE] [--seed N]
    test/clients/run.py --against HOST:PORT --logs DIR     a foreign broker, for comparison

Stage 1 has what Debian offers, and kafkajs; stage 2 what other registries do. Clients that cannot
run here are skipped with the reason; when none can, so is the suite. Exit 1 when a check failed.
"""
import argparse
import itertools
import random
import re
import sys
import time
import traceback
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import checks
import fleet
import harness
import proxy

KILLS, RUN_COUNT, RUN_PACE_US = 3, 500, 4000
CROSS_CHECKS = ("kill", "lost", "written", "reads")


class Rig:
    """The broker, the clients, and the matrix of what came of it."""

    def __init__(self, home, options, seed):
        self.home, self.options = home, options
        self.random = random.Random(seed)
        self.cells = {}
        self.why_missing = {}
        if options.against:
            self.broker, self.address, self.logs = None, options.against, Path(options.logs)
        else:
            self.broker = harness.KafkaBroker(home)
            self.address, self.logs = self.broker.address, self.broker.data
            if self.broker.start() is None:
                raise RuntimeError(f"the broker does not start: {self.broker.errors()[-400:]}")

    wait_for = staticmethod(harness.wait_for)

    def member(self, name, recipe):
        command, env = recipe()
        return fleet.Member(name, command, self.address, self.home, **env)

    def kauri(self):
        env = {"KAURI": str(harness.KAURI), "KAURI_NATIVE": self.broker.url}
        return [fleet.PYTHON, fleet.HERE / "kauri_client.py"], env

    def gather(self, recipes):
        """Starts the reference and every client that can run here."""
        self.reference = self.member("reference", fleet.STAGE_ONE["librdkafka"])
        self.clients = []
        for name, recipe in recipes.items():
            try:
                self.clients.append(self.member(name, recipe))
                print(f"client  {name} {self.clients[-1].about['version']}", flush=True)
            except (fleet.Missing, fleet.Refused) as why:
                self.why_missing[name] = str(why)
                print(f"skip    {name}: {why}", flush=True)

    def lay_places(self):
        """The topic that every client reads from everywhere: five batches, ten seconds a record."""
        rows = [checks.rec(f"place {i}", f"k{i}", [], checks.T0_MS + i * checks.PLACES_STEP_MS)
                for i in range(checks.PLACES)]
        self.reference.ask("create", topic="places", partitions=1, config={"retention.ms": "-1"})
        for at in range(0, checks.PLACES, checks.PLACES_BATCH):
            self.reference.ask("produce", topic="places", partition=0, codec="gzip", linger_ms=100,
                               records=rows[at:at + checks.PLACES_BATCH])
        self.places = "places", rows
        layout = [b.count for b in checks.segments.batches(self.logs / "places-0")]
        assert layout == [checks.PLACES_BATCH] * 5, layout

    # ---- Cells ---------------------------------------------------------------------------------
    def cell(self, client, check, word, remark=None):
        self.cells[client, check] = (word, remark)
        print(f"{word:7} {client}: {check}{f': {remark}' if remark else ''}", flush=True)

    def attempt(self, client, check, work):
        """Runs work() and writes down what came of it."""
        try:
            client.revive()
            self.cell(client.name, check, "ok", work())
        except (checks.Fault, fleet.Refused) as why:
            self.cell(client.name, check, "FAILED", str(why))
        except Exception:
            self.cell(client.name, check, "FAILED", traceback.format_exc())

    def wanted(self, check):
        return re.search(self.options.checks, check)

    def one_by_one(self):
        for client in self.clients:
            for name, needs, function in checks.CHECKS:
                lack = next((client.lacks[n] for n in needs if n in client.lacks), None)
                if not self.wanted(name):
                    continue
                if lack:
                    self.cell(client.name, name, "n.a.", lack)
                else:
                    self.attempt(client, name, lambda: function(checks.Trial(self, client)))

    # ---- Kill: all producers at once, the broker killed under them -------------------------------
    def kill(self):
        able = []
        for client in self.clients:
            if self.broker is None or "run" in client.lacks:
                self.cell(client.name, "kill", "n.a.", client.lacks.get("run", "a foreign broker"))
                continue
            try:
                client.revive()
                self.reference.ask("create", topic=f"run-{client.name}", partitions=1)
                client.send("run", topic=f"run-{client.name}", count=RUN_COUNT, pace_us=RUN_PACE_US,
                            idempotent="idempotent" not in client.lacks)
                able.append(client)
            except fleet.Refused as why:
                self.cell(client.name, "kill", "FAILED", str(why))
        begun = [c for c in able if self.begun(c)]
        for _ in range(KILLS if begun else 0):
            time.sleep(self.random.uniform(0.2, 0.6))
            self.broker.kill()
            if self.broker.start() is None:
                raise RuntimeError(f"it does not start again: {self.broker.errors()[-400:]}")
        for client in begun:
            self.attempt(client, "kill", lambda: self.after_kill(client))

    def begun(self, client):
        try:
            client.event("acked")
            return True
        except fleet.Refused as why:
            self.cell(client.name, "kill", "FAILED", str(why))
            return False

    def after_kill(self, client):
        placed = client.line(fleet.LIMIT_S * 2)["placed"]
        topic = f"run-{client.name}"
        stored = checks.segments.count(self.logs / f"{topic}-0")
        got = self.reference.ask("consume", topic=topic, partition=0, count=stored,
                                 **{"from": 0})["records"]
        values = [bytes.fromhex(r["value"]).decode() for r in got]
        sent = [f"run {i}" for i in range(RUN_COUNT)]
        checks.equal("lost", sorted(set(sent) - set(values)), [])
        for value, offset in zip(sent, placed):
            checks.equal(f"{value} is where the ack said", values[offset], value)
        doubled = len(values) - len(set(values))
        if "idempotent" in client.lacks:
            return f"0 lost, {doubled} doubled; {client.lacks['idempotent']}"
        checks.equal("each once, in order", values, sent)
        return f"0 lost, 0 doubled of {RUN_COUNT} over {KILLS} kills"

    # ---- Lost: the answer to a produce request is lost on the way ---------------------------------
    def lost(self):
        """On a broker of its own that tells clients to come through the proxy."""
        if self.broker is None:
            for client in self.clients:
                self.cell(client.name, "lost", "n.a.", "a foreign broker")
            return
        broker = harness.KafkaBroker(self.home, name="lost")
        host, port = broker.address.rsplit(":", 1)
        wire = proxy.Proxy(lambda: (host, int(port)))
        broker.settings["advertised.listeners"] = f"PLAINTEXT://{wire.address}"
        if broker.start() is None:
            raise RuntimeError(f"the broker behind the proxy does not start: {broker.errors()[-400:]}")
        for client in self.clients:
            if "run" in client.lacks:
                self.cell(client.name, "lost", "n.a.", client.lacks["run"])
            else:
                self.attempt(client, "lost", lambda: self.lose_one(client, broker, wire))
        wire.close()
        checks.equal("the broker behind the proxy stops", broker.stop(), 0)

    def lose_one(self, client, broker, wire):
        """The client sends again what the broker has: once is enough (E7)."""
        topic, count = f"lost-{client.name}", 20
        again = fleet.Member(f"{client.name}-lost", client.command[:-1], wire.address, self.home,
                             **client.env)
        try:
            done = broker.run("topic", "create", topic)
            checks.equal("the topic is made", done.code, 0)
            wire.arm()
            again.send("run", topic=topic, count=count, pace_us=1000,
                       idempotent="idempotent" not in client.lacks)
            again.event("acked")
            again.line()
        finally:
            again.close()
        checks.equal("answers lost", wire.lost, 1)
        values = broker.run("consume", topic, "-o", "start", "-e").lines()
        sent = [f"run {i}" for i in range(count)]
        checks.equal("missing", sorted(set(sent) - set(values)), [])
        if "idempotent" in client.lacks:
            return f"{len(values) - count} doubled; {client.lacks['idempotent']}"
        checks.equal("each once, in order", values, sent)
        return None

    # ---- Cross reading -------------------------------------------------------------------------
    def cross(self):
        """Everybody writes; everybody reads everything, and all read the same."""
        everybody = list(self.clients)
        if self.broker is not None:
            everybody.append(self.member("kauri", self.kauri))
        written = {}
        for writer in everybody:
            self.attempt(writer, "written", lambda: written.update({writer.name: self.write(writer)}))
        whole = {}
        for name, sent in written.items():
            whole[name] = self.reference.ask("consume", topic=f"cross-{name}", partition=0,
                                             count=len(sent), **{"from": 0})["records"]
        for reader in everybody:
            if "consume" in reader.lacks:
                self.cell(reader.name, "reads", "n.a.", reader.lacks["consume"])
            else:
                self.attempt(reader, "reads", lambda: self.read(reader, written, whole))

    def write(self, writer):
        """The sample once per codec, those last that some cannot read; what was sent of each."""
        trial, sent = checks.Trial(self, writer), []
        topic = trial.topic("cross")
        for codec in sorted(writer.codecs, key=("none", "gzip", "lz4", "snappy", "zstd").index):
            records = checks.sample(writer)
            trial.produce(topic, records, codec=codec, linger_ms=20)
            sent += [(codec, r) for r in records]
        got = trial.consume(topic, len(sent), client=self.reference)
        trial.same("read by the reference", got, [r for _, r in sent])
        return sent

    def read(self, reader, written, whole):
        """Who cannot read a codec reads batch by batch up to the first of it."""
        trial, count = checks.Trial(self, reader), 0
        unread = [lack for lack in reader.lacks if lack.startswith("read_")]
        more = {"partition_bytes": 1} if unread else {}
        for name, sent in written.items():
            rows = [r for _, r in itertools.takewhile(lambda row: f"read_{row[0]}" not in unread, sent)]
            got = trial.consume(f"cross-{name}", len(rows), **more)
            trial.same(f"written by {name}", got, rows)
            for g, w in zip(got, whole[name]):
                checks.equal(f"written by {name}", g, w)
            count += len(got)
        why = "; ".join(reader.lacks[lack] for lack in unread)
        return f"{count} records of {len(written)} writers{'; ' if why else ''}{why}"

    # ---- The end -------------------------------------------------------------------------------
    def table(self):
        # A check that made sense for nobody here is left out.
        columns = [c for c in [name for name, _, _ in checks.CHECKS] + list(CROSS_CHECKS)
                   if any(check == c and word != "n.a." for (_, check), (word, _) in self.cells.items())]
        names = [c.name for c in self.clients] + (["kauri"] if ("kauri", "reads") in self.cells else [])
        width = max(map(len, names), default=0)
        print("\n" + " ".join([" " * width] + [f"{c:8}" for c in columns]))
        for name in names:
            words = [self.cells.get((name, c), ("-", None))[0] for c in columns]
            print(" ".join([f"{name:{width}}"] + [f"{w:8}" for w in words]))
        reasons = {}
        for (name, check), (word, remark) in self.cells.items():
            if word == "n.a." and check in columns:
                reasons.setdefault((check, remark), []).append(name)
        for (check, remark), who in reasons.items():
            print(f"n.a.    {check}: {remark} ({', '.join(who)})")
        for name, why in self.why_missing.items():
            print(f"skipped {name}: {why}")

    def close(self):
        """Clean stop, and the last line; the exit code."""
        failed = sum(word == "FAILED" for word, _ in self.cells.values())
        good = sum(word == "ok" for word, _ in self.cells.values())
        if self.broker is not None:
            code = self.broker.stop() if self.broker.running() else self.broker.wait()
            done = self.broker.plain("verify", "--deep", self.broker.data)
            if code != 0 or done.code != 0:
                failed += 1
                print(f"FAILED  the broker: exit {code}; {done}; {self.broker.errors()[-800:]}")
        self.table()
        missing = f", {len(self.why_missing)} clients skipped" if self.why_missing else ""
        print(f"clients: {good + failed} checks of {len(self.clients)} clients, {failed} failed{missing}")
        return 1 if failed or not good else 0


def parse():
    parser = argparse.ArgumentParser(description="Real Kafka clients against kauri.")
    parser.add_argument("--stage", type=int, choices=(1, 2), default=1)
    parser.add_argument("--only", metavar="RE", default="", help="only clients with such a name")
    parser.add_argument("--checks", metavar="RE", default="", help="only such checks")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--against", metavar="HOST:PORT", help="a broker that runs already")
    parser.add_argument("--logs", metavar="DIR", help="where that one has its partition folders")
    return parser.parse_args()


def main():
    options = parse()
    recipes = {name: recipe for name, recipe in fleet.STAGES[options.stage].items()
               if re.search(options.only, name)}
    seed = harness.seed_of(options)
    home = harness.Home("clients")
    start = time.monotonic()
    rig = Rig(home, options, seed)
    try:
        rig.gather(recipes)
    except fleet.Missing as why:
        print(f"no client to compare with: {why}")
        return harness.SKIP
    if not rig.clients:
        print("no client can run here: " + "; ".join(f"{n}: {w}" for n, w in rig.why_missing.items()))
        return harness.SKIP
    rig.lay_places()
    rig.one_by_one()
    if rig.wanted("kill"):
        rig.kill()
    if rig.wanted("lost"):
        rig.lost()
    if rig.wanted("cross"):
        rig.cross()
    print(f"{time.monotonic() - start:.1f} s")
    return rig.close()


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: MIT
"""watch: doctor, check, top (rows P6, P9, I8)."""
import json
import re
import tarfile
import tempfile

import harness


def findings(done):
    return {(row["check"], row["status"]): row for row in done.json()["checks"]} if done.code == 0 else {}


def case_doctor(t):
    """A sound broker has no findings but good ones; each fault is named."""
    broker = t.broker()
    broker.run("produce", "a", data="1\n2\n")
    done = broker.run("doctor", "--watch", "100ms", "--json")
    t.check.that("a sound broker", done.code == 0 and done.json()["failed"] == 0, done)
    found = findings(done)
    for name in ("broker", "clock", "fs", "files", "disk", "growth", "retention", "balance", "groups"):
        t.check.that(f"it looks at {name}", any(key[0] == name for key in found), list(found))
    t.check.that("it measures a sync", ("sync", "ok") in found or ("sync", "warning") in found, list(found))
    t.check.equal("and leaves nothing there", list(broker.data.glob(".doctor*")), [])
    broker.run("topic", "create", "kept", "-c", "retention.ms=-1")
    broker.run("topic", "create", "quick", "-c", "durability=os")
    broker.run("topic", "create", "skew", "-p", "4")
    broker.run("produce", "skew", "-p", "1", "-z", "none", data=("x" * 99999 + "\n") * 200)
    broker.run("config", "set", "message.max.bytes", "1M")
    broker.run("consume", "a", "-g", "readers", "-o", "start", "-n", "1")
    found = findings(broker.run("doctor", "--watch", "100ms", "--json"))
    t.check.that("I8: a topic without retention", "kept kept for ever" in found[("retention", "warning")]["text"],
                 list(found))
    t.check.that("durability=os", "quick" in found.get(("durability", "warning"), {}).get("text", ""), list(found))
    t.check.that("P6: a hot partition", "partition 1 of skew" in found.get(("balance", "warning"), {}).get("text", ""),
                 list(found))
    t.check.that("P6: no group has too many members", ("planning", "ok") in found, list(found))
    pair = [broker.open("consume", "a", "-g", "pair", "-o", "start", "-q", stdout=harness.subprocess.DEVNULL)
            for _ in range(2)]
    harness.wait_for(lambda: ("planning", "warning") in findings(broker.run("doctor", "--watch", "0s", "--json")), 20)
    found = findings(broker.run("doctor", "--watch", "0s", "--json"))
    t.check.that("P6: two members, one partition", "pair: 2 members share 1 " in found.get(
        ("planning", "warning"), {}).get("text", ""), list(found))
    for child in pair:
        child.terminate()
        child.wait(20)
    feed = broker.open("produce", "a", "-q", stdin=harness.subprocess.PIPE)
    for _ in range(50):
        feed.stdin.write(b"0123456789" * 1000 + b"\n")
    feed.stdin.flush()
    harness.wait_for(lambda: broker.describe("a")["partitions"][0]["end"] > 2)
    done = broker.run("doctor", "--watch", "0s")
    t.check.that("as text", re.search(r"^(ok|warning|failed) +growth ", done.text, re.M)
                 and re.search(r"\d+ ok, \d+ warnings, \d+ failed\n$", done.text), done)
    feed.stdin.close()
    feed.wait(20)
    done = broker.plain("doctor", "-s", f"ipc://{broker.folder}/nobody")
    t.check.equal("no broker", done.code, 4)


def case_doctor_places(t):
    """Data in memory, an address that nobody can reach."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as there:
        port = harness.free_port()
        broker = t.idle(data=there, advertised_listeners=f"PLAINTEXT://127.0.0.1:{port}")
        broker.start("--kafka", f"127.0.0.1:{harness.free_port()}")
        done = broker.run("doctor", "--watch", "0s")
        t.check.that("memory is no disk", done.code == 1 and re.search(r"^failed +fs .*memory", done.text, re.M), done)
        t.check.that("the address", re.search(rf"^failed +advertised .*:{port} ", done.text, re.M), done)
        broker.stop()


def members(path):
    with tarfile.open(path) as tar:
        return {m.name: tar.extractfile(m).read().decode(errors="replace") for m in tar.getmembers()}


def case_bundle(t):
    """What a report needs, in one file; no record, no password; also where nobody answers."""
    port = harness.free_port()
    broker = t.idle()
    broker.start("--http", f"127.0.0.1:{port}")
    broker.run("produce", "a", "-K", ":", data="key-of-a:text-of-a\n")
    broker.run("consume", "a", "-g", "readers", "-o", "start", "-e")
    broker.run("snapshot", broker.folder / "snap")  # of which its log tells
    with open(broker.folder / "stderr", "ab") as log:
        log.write(b"somebody else writes ssl.keystore.password=geheim1\n")
    path = broker.folder / "report.tar"
    done = broker.run("doctor", "--watch", "0s", "--bundle", path)
    t.check.that("it is told", done.code == 0
                 and re.search(rf"^{path}: \d+ files, .*look through", done.text, re.M), done)
    t.check.equal("for nobody else", path.stat().st_mode & 0o777, 0o600)
    files = members(path)
    t.check.equal("files", sorted(files), ["README", "config.txt", "doctor.json", "groups.json", "log.txt",
                                           "machine.txt", "metrics.txt", "state.json", "topics.json", "version.txt"])
    for name, word in (("version.txt", "broker       kauri "), ("config.txt", "log.retention.hours="),
                       ("metrics.txt", "kauri_"), ("machine.txt", "Max open files"), ("log.txt", "snapshot "),
                       ("README", "topics, their partitions")):
        t.check.that(f"{name} has it", word in files[name], files[name][:300])
    t.check.equal("the topic", [row["partitions"][0]["end"] for row in json.loads(files["topics.json"])
                                if row["topic"] == "a"], [1])
    t.check.equal("the group", [row["group"] for row in json.loads(files["groups.json"])], ["readers"])
    t.check.that("the findings", any(row["check"] == "disk" for row in json.loads(files["doctor.json"])))
    t.check.that("the state", "topics" in json.loads(files["state.json"]), files["state.json"][:300])
    whole = "".join(files.values())
    t.check.that("no record is in it", "text-of-a" not in whole and "key-of-a" not in whole)
    t.check.that("no password", "geheim1" not in whole and "********" in whole)
    done = broker.run("doctor", "--watch", "0s", "--bundle", path)
    t.check.that("never over a file", done.code == 3 and "exists" in done.errors.lower(), done)
    done = broker.run("doctor", "--watch", "0s", "--json", "--bundle", broker.folder / "two.tar")
    t.check.that("JSON stays JSON", done.code == 0 and done.json()["failed"] == 0, done)
    broker.stop()
    done = broker.plain("doctor", "--bundle", broker.folder / "three.tar", "-s", f"ipc://{broker.folder}/nobody")
    files = members(broker.folder / "three.tar")
    t.check.that("nobody answers", done.code == 4 and "does not answer" in files["version.txt"]
                 and "could not be had" in files["README"] and "machine.txt" in files, done)


def case_check(t):
    """One line, figures, and the codes of Nagios."""
    broker = t.broker()
    broker.run("produce", "a", data="".join(f"{i}\n" for i in range(100)))
    broker.run("consume", "a", "-g", "readers", "-o", "start", "-n", "40")
    line = r"^KAURI {} {} - .+ \| \w+=[\d.]+(ms|%)?;\d*:?;\d*:?;0.*\n$"
    for words, code, level in ((("alive",), 0, "OK"), (("ready",), 0, "OK"), (("lag",), 0, "OK"),
                               (("lag", "--warn", "60"), 1, "WARNING"),
                               (("lag", "--warn", "10", "--crit", "60"), 2, "CRITICAL"),
                               (("lag", "-g", "readers", "--warn", "61"), 0, "OK"),
                               (("disk", "--warn", "0", "--crit", "0"), 0, "OK"),
                               (("disk", "--warn", "100%", "--crit", "0%"), 1, "WARNING"),
                               (("disk", "--warn", "100", "--crit", "100"), 2, "CRITICAL"),
                               (("alive", "--warn", "0s", "--crit", "1m"), 1, "WARNING")):
        done = broker.run("check", *words)
        t.check.that(f"check {' '.join(words)}", done.code == code
                     and re.match(line.format(words[0], level), done.text), done)
    t.check.equal("no such group", broker.run("check", "lag", "-g", "none").code, 3)
    t.check.equal("no such check", broker.run("check", "weather").code, 3)
    t.check.equal("no number", broker.run("check", "lag", "--warn", "x").code, 3)
    done = broker.plain("check", "alive", "-s", f"ipc://{broker.folder}/nobody")
    t.check.that("nobody there", done.code == 2 and done.text.startswith("KAURI alive CRITICAL"), done)


def case_top(t):
    """Rates and lag, as a table and as JSON."""
    broker = t.broker()
    broker.run("topic", "create", "quiet")
    broker.run("produce", "a", data="1\n2\n3\n")
    broker.run("consume", "a", "-g", "readers", "-o", "start", "-n", "1")
    feed = harness.subprocess.Popen(["yes"], stdout=harness.subprocess.PIPE, preexec_fn=harness.die_with_parent)
    sender = broker.open("produce", "a", "-q", "--rate", "5000", stdin=feed.stdout)
    harness.wait_for(lambda: broker.describe("a")["partitions"][0]["end"] > 3)
    done = broker.run("top", "--once", "--every", "500ms", "--json")
    rows = {row["topic"]: row for row in done.json()["topics"]}
    t.check.that("a rate near what is sent", 1000 < rows["a"]["in_per_s"] < 20000, rows)
    t.check.equal("none where nothing is", rows["quiet"]["in_per_s"], 0)
    t.check.that("lag of the group", done.json()["groups"][0]["lag"] >= 2 and rows["a"]["groups"] == 1, done)
    done = broker.run("top", "--once", "--every", "200ms")
    t.check.that("as a table", re.search(r"^TOPIC +PARTS +RECORDS +BYTES +IN/S +GROUPS +LAG$", done.text, re.M)
                 and re.search(r"^quiet +1 +0 ", done.text, re.M) and "__consumer_offsets" not in done.text, done)
    done = broker.run("top", "--once", "--every", "200ms", "--internal")
    t.check.that("the broker's own on request", "__consumer_offsets" in done.text, done)
    for child in (sender, feed):
        child.kill()
        child.wait()

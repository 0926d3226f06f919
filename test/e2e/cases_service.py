# SPDX-License-Identifier: MIT
"""service: kauri under a service manager: what it tells, where it looks, and its unit."""
import os
import re
import shutil
import socket
import subprocess

import harness

UNIT = harness.ROOT / "cli" / "kauri.service"


def case_notify(t):
    """READY, signs of life, STOPPING, by the protocol of sd_notify."""
    broker = t.idle()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(broker.folder / "notify"))
        manager.settimeout(20)
        os.environ["NOTIFY_SOCKET"] = str(broker.folder / "notify")
        os.environ["WATCHDOG_USEC"] = "200000"
        try:
            broker.start()
        finally:
            del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]
        heard = [manager.recv(600).decode()]
        while "READY=1" not in heard[-1] and len(heard) < 10:
            heard.append(manager.recv(600).decode())
        t.check.that("more time while it opens, then READY", "EXTEND_TIMEOUT_USEC" in heard[0]
                     and heard[-1] == f"READY=1\nSTATUS=serving {broker.data}", heard)
        signs = [manager.recv(600) for _ in range(5)]
        t.check.equal("signs of life while nothing happens", signs, [b"WATCHDOG=1"] * 5)
        broker.signal(15)
        last = b""
        while b"STOPPING" not in last:
            last = manager.recv(600)
        t.check.that("STOPPING", last.startswith(b"STOPPING=1\nSTATUS="), last)
        t.check.equal("and it stops", broker.wait(), 0)


def case_journal(t):
    """Lines with their level when stderr is the journal, plain ones else."""
    broker = t.idle()
    read, write = os.pipe()
    info = os.fstat(write)
    env = {**harness.environment(t.home.path), "JOURNAL_STREAM": f"{info.st_dev}:{info.st_ino}"}
    words = broker.command("--config", broker.folder / "none")
    code = subprocess.run([str(w) for w in words], stderr=write, env=env).returncode
    os.close(write)
    with open(read, encoding="utf-8") as lines:
        said = lines.read()
    t.check.that("errors are level 3", code == 2 and said.startswith("<3>error: cannot read"), said)
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True,
                          env={**env, "JOURNAL_STREAM": "1:1"})
    t.check.that("not for another stream", done.stderr.startswith("error: cannot read"), done.stderr)


def case_places(t):
    """Data, socket and settings where the manager says."""
    broker = t.idle()
    for name in ("state", "run", "etc"):
        (broker.folder / name).mkdir()
    (broker.folder / "etc" / "kauri.conf").write_text("num.partitions = 5\n")
    env = {**harness.environment(t.home.path), "STATE_DIRECTORY": str(broker.folder / "state"),
           "RUNTIME_DIRECTORY": str(broker.folder / "run"), "CONFIGURATION_DIRECTORY": str(broker.folder / "etc")}
    child = subprocess.Popen([str(harness.KAURI), "serve", "--kafka", "off"], env=env, stdout=subprocess.PIPE,
                             preexec_fn=harness.die_with_parent)
    t.home.undo.append(child.kill)
    words = b""
    while b"ready in" not in words:
        got = os.read(child.stdout.fileno(), 65536)
        if not got:
            break
        words += got
    url = f"ipc://{broker.folder}/run/kauri.sock"
    done = broker.plain("topic", "create", "t", "-s", url)
    t.check.that("settings of the place count", done.code == 0 and "5 partitions" in done.text, (done, words))
    t.check.that("data there", (broker.folder / "state" / "format").exists())
    (broker.folder / "etc" / "kauri.conf").write_text("num.partitions = 7\n")
    child.send_signal(1)
    t.check.that("SIGHUP reads them again", harness.wait_for(
        lambda: "7" in broker.plain("config", "get", "num.partitions", "-s", url).text.split()), "")
    child.terminate()
    t.check.equal("it stops in order", child.wait(20), 0)
    (broker.folder / "etc" / "kauri.conf").write_text("num.partitons = 7\n")
    done = subprocess.run([str(harness.KAURI), "serve", "--check-config"], env=env, capture_output=True, text=True)
    t.check.that("--check-config names the file and the line", done.returncode == 2
                 and re.search(r"etc/kauri.conf:1: .*num.partitions", done.stderr), done)


def case_files(t):
    """config import makes ours of Kafka's file; the template names every key and is good as it is."""
    broker = t.idle()
    kafka = broker.folder / "server.properties"
    kafka.write_text("broker.id=7\nlog.retention.hours=48\nzookeeper.connect=z:2181\nnum.partitions=3\n"
                     "listeners=PLAINTEXT://127.0.0.1:9092\n")
    done = broker.plain("config", "import", kafka)
    t.check.that("import", done.code == 0 and "num.partitions = 3\n" in done.text
                 and "log.retention.hours = 48\n" in done.text
                 and re.search(r"^# passed over, line 3: .*zookeeper", done.text, re.M), done)
    ours = broker.folder / "kauri.conf"
    ours.write_text(done.text)
    t.check.equal("and it checks", broker.plain("config", "check", ours).code, 0)
    done = broker.plain("config", "import", kafka, "--json")
    t.check.that("import --json", done.code == 0 and done.json()["settings"]["num.partitions"] == "3"
                 and len(done.json()["passed_over"]) == 1, done)
    kafka.write_text("num.partitions=many\n")
    done = broker.plain("config", "import", kafka)
    t.check.that("a bad one", done.code == 2 and not done.text and "server.properties:1" in done.errors, done)
    done = broker.plain("config", "template")
    ours.write_text(done.text)
    t.check.equal("the template checks", broker.plain("config", "check", ours).code, 0)
    bare = re.sub(r"^#(\S+ = \S)", r"\1", done.text, flags=re.M)
    ours.write_text(bare)
    done = broker.plain("config", "check", ours)
    t.check.that("and without the comments, too", done.code == 0 and bare.count(" = ") > 30, done)


def case_unit(t):
    """The unit is well formed, and shut in."""
    if not shutil.which("systemd-analyze"):
        t.check.skip("the unit", "no systemd-analyze here")
        return
    here = t.home.path / "kauri.service"
    here.write_text(UNIT.read_text().replace("/usr/bin/kauri", str(harness.KAURI)))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(here)], capture_output=True, text=True)
    t.check.that("systemd-analyze verify", done.returncode == 0 and not done.stderr, done)
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=15", str(here)],
                          capture_output=True, text=True)
    t.check.that("systemd-analyze security", done.returncode == 0, done.stdout[-600:])

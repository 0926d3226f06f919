# SPDX-License-Identifier: MIT
"""lab: what the scenarios work with: a folder to measure in, the C programs, and brokers.

A Broker is one `kauri serve` on a data folder of its own. Every program that fails ends the run: a
measurement that went wrong in the middle is none.
"""
import contextlib
import json
import os
import re
import resource
import shutil
import socket
import signal
import subprocess
import tempfile
import time
from pathlib import Path

START_S = 30  # a broker that is not ready by then never will be
STOP_S = 60
READY = re.compile(r"ready in (\d+) ms")


class Failed(Exception):
    """One line for people."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Broker:
    def __init__(self, program, data, url, settings=(), descriptors=None, port=None, more=()):
        self.data, self.url = data, url
        self.log = data.with_suffix(".log")
        self.port = port or free_port()
        command = [program, "serve", "--data", data, "--native", url,
                   "--kafka", f"127.0.0.1:{self.port}", "--http", "off", *more]
        for setting in settings:
            command += ["--set", setting]

        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        with open(self.log, "wb") as out:
            self.begin_ns = time.monotonic_ns()
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT,
                                            preexec_fn=limit if descriptors else None)

    def ready(self):
        """Waits until it says so: ms since its start, as seen from here."""
        until = time.monotonic() + START_S
        while not READY.search(self.log.read_text()):
            if self.process.poll() is not None or time.monotonic() > until:
                raise Failed(f"the broker did not start:\n{self.log.read_text()}")
            time.sleep(0.0005)
        return (time.monotonic_ns() - self.begin_ns) / 1e6

    def said_ms(self):
        return int(READY.search(self.log.read_text())[1])

    def memory(self):
        """RssAnon and RssFile in bytes. Summed over the mappings: /proc/PID/status rounds by up to
        some hundred kB per core."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        rss, anon = (int(re.search(rf"^{key}:\s+(\d+) kB", text, re.M)[1]) * 1024
                     for key in ("Rss", "Anonymous"))
        return anon, rss - anon

    def cpu_s(self):
        """Processor time it has used, of all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wakeups(self):
        """How often its threads waited and went on again."""
        count = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.M)
            count += int(found[1])
        return count

    def descriptors(self):
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def stop(self):
        """Seconds that a clean stop took."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(STOP_S) != 0:
            code = self.process.returncode
            raise Failed(f"the broker ended with {code}:\n{self.log.read_text()}")
        return time.monotonic() - begin

    def kill(self):
        self.process.kill()
        self.process.wait(STOP_S)


class Lab:
    """build: the build folder; folder: where data goes, removed at the end."""

    def __init__(self, build, folder, quick, records, report):
        self.build, self.quick, self.records, self.report = build, quick, records, report
        self.folder = folder
        self.sockets = Path(tempfile.mkdtemp(prefix="kauri-bench-"))  # a socket's path is short
        self.count = 0
        self.running = []
        self.known = {}  # rows of the limits of this run

    def close(self):
        for broker in self.running:
            if broker.process.poll() is None:
                broker.kill()
        shutil.rmtree(self.sockets, ignore_errors=True)

    def seconds(self, full, quick=1):
        return quick if self.quick else full

    # ---- the C programs ----

    def run(self, program, *arguments):
        """Its lines: row -> figures."""
        command = [str(self.build / "bench" / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"{' '.join(command)}\n{done.stderr.strip()}")
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        return {row.pop("row"): row for row in rows}

    @contextlib.contextmanager
    def scratch(self):
        folder = Path(tempfile.mkdtemp(prefix="raw-", dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    def engine(self, mode, *arguments):
        with self.scratch() as folder:
            return self.run("bench_engine", mode, "--dir", folder, *arguments)

    def limits(self):
        """The raw limits, measured once in this run."""
        if not self.known:
            count = self.records or (60000 if self.quick else 200000)
            self.known = self.engine("limits", "--records", count)
        return self.known

    def disk_us(self):
        """p50 of a write of 170 B with fdatasync, now: disks have moods."""
        return self.engine("disk")["raw.disk"]["p50_us"]

    def client(self, mode, row, broker, topic, **options):
        arguments = ["--row", row, "--server", broker.url, "--topic", topic]
        for name, value in options.items():
            arguments += ["--" + name.replace("_", "-"), value]
        return self.run("bench_client", mode, *arguments)[row]

    def kafka(self, mode, broker, topic, **options):
        arguments = ["--row", "row", "--port", broker.port, "--topic", topic]
        for name, value in options.items():
            arguments += ["--" + name.replace("_", "-"), value]
        return self.run("bench_kafka", mode, *arguments)["row"]

    @contextlib.contextmanager
    def groups(self, mode, says, **options):
        """A load of groups that has said `says`: calling what is given waits for its figures."""
        command = [str(self.build / "bench" / "bench_groups"), mode]
        for name, value in options.items():
            command += ["--" + name.replace("_", "-"), str(value)]
        load = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        def figures():
            out, problem = load.stdout.read(), load.stderr.read()
            if load.wait() != 0:
                raise Failed(f"{' '.join(command)}\n{problem.strip()}")
            return json.loads(out)

        try:
            if says and load.stdout.readline() != says + "\n":
                figures()
            yield figures
        finally:
            if load.poll() is None:
                load.kill()
            load.wait()

    # ---- brokers ----

    def start(self, data=None, settings=(), descriptors=None, port=None, url=None, more=()):
        """A new broker, on a new folder unless `data` is one; `more`: words of its command line."""
        self.count += 1
        data = data or self.folder / f"data-{self.count}"
        url = url or f"ipc://{self.sockets}/{self.count}.sock"
        broker = Broker(self.build / "cli" / "kauri", data, url, settings, descriptors, port, more)
        self.running.append(broker)
        return broker

    @contextlib.contextmanager
    def broker(self, *settings):
        """A broker that is ready, on a folder that goes with it."""
        broker = self.start(settings=settings)
        broker.ready()
        try:
            yield broker
            broker.stop()
        finally:
            self.remove(broker)

    def remove(self, broker):
        if broker.process.poll() is None:
            broker.kill()
        shutil.rmtree(broker.data, ignore_errors=True)

    def kauri(self, broker, *words):
        command = [self.build / "cli" / "kauri", *map(str, words), "-s", broker.url]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"kauri {' '.join(map(str, words))}: {done.stderr.strip()}")
        return done.stdout

    def topic(self, broker, name, partitions=1, **configs):
        sets = [word for k, v in configs.items() for word in ("-c", f"{k.replace('_', '.')}={v}")]
        self.kauri(broker, "topic", "create", name, "-p", partitions, *sets)

    def first(self, data=None, topic="first", settings=()):
        """Starts a broker beside a client that waits for it: the broker, and ms from its start to
        the first acknowledged record."""
        client = subprocess.Popen(
            [self.build / "bench" / "bench_client", "first", "--row", "first", "--topic", topic,
             "--server", f"ipc://{self.sockets}/{self.count + 1}.sock"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if client.stdout.readline() != "waiting\n":
            raise Failed(client.communicate()[1].strip())
        broker = self.start(data, settings)
        out, problem = client.communicate()
        if client.returncode != 0:
            raise Failed(f"no first record: {problem.strip()}\n{broker.log.read_text()}")
        return broker, (json.loads(out)["acked_ns"] - broker.begin_ns) / 1e6

# SPDX-License-Identifier: MIT
"""names: Apache's names for the server's tools, and its configuration file."""
import socket
import subprocess

import harness

FILE = """process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://:{port},CONTROLLER://:{next}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
num.network.threads=3
log.dirs={data}
"""


def called(t, name, *words):
    """The program under another name."""
    path = t.home.path / name
    if not path.exists():
        path.symlink_to(harness.KAURI)
    done = subprocess.run([path, *map(str, words)], capture_output=True, text=True, timeout=30,
                          env=harness.environment(t.home.path))
    return done.returncode, done.stdout, done.stderr


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Started(harness.Broker):
    """kafka-server-start with Apache's file."""

    def command(self, *more):
        return [str(self.home.path / "kafka-server-start.sh"), str(self.file),
                "--override", f"listeners=PLAINTEXT://:{self.port},NANO://{self.url}",
                "--override", "log.retention.hours=5", "--override", "http.listen=off"]


def case_apache(t):
    """kafka-storage and kafka-server-start with a server.properties."""
    broker = Started(t.home, "apache")
    broker.port, broker.file = free_port(), t.home.path / "server.properties"
    broker.file.write_text(FILE.format(port=broker.port, next=broker.port + 1, data=broker.data))
    code, out, _ = called(t, "kafka-storage", "random-uuid")
    ident = out.strip()
    t.check.that("random-uuid", code == 0 and len(ident) == 22, out)
    code, out, _ = called(t, "kafka-storage", "format", "-t", ident, "-c", broker.file)
    t.check.that("format", code == 0 and "Formatting" in out, out)
    t.check.that("the id is in the folder", ident in (broker.data / "format").read_text())
    code, _, err = called(t, "kafka-storage", "format", "-t", ident, "-c", broker.file)
    t.check.that("format again: refused", code == 1 and "already formatted" in err, err)
    called(t, "kafka-server-start.sh")
    t.check.that("it starts", broker.start() is not None, broker.errors())
    t.check.that("what cannot be honoured is told",
                 "process.roles" in broker.errors() and "localhost only" in broker.errors())
    got = broker.run("config", "get", "log.retention.ms", "--json").json()
    t.check.that("an override counts", "18000000" in str(got), got)
    with socket.create_connection(("127.0.0.1", broker.port), 5) as s:
        s.sendall(bytes.fromhex("00000011 0012 0000 00000007 0007") + b"unknown")
        t.check.equal("Kafka's protocol answers", s.recv(8)[4:8], b"\0\0\0\7")
    t.check.equal("and it stops", broker.stop(), 0)

# SPDX-License-Identifier: MIT
"""apache: Apache Kafka itself as the broker of a test, so that the test can be checked first.

One node (KRaft) on loopback from the jars of Maven Central, which stay in fleet.cache. An
ApacheBroker starts, dies and stops like a harness.Broker with Kafka's port; it takes the same
settings. A test that accepts `--broker apache-3.9` must pass against it: what then fails against
kauri is kauri's.
"""
import socket
import subprocess
import time

import fleet
import harness

VERSIONS = {"apache-3.9": "3.9.1", "apache-4.1": "4.1.0"}
START_LIMIT_S = 60
CLUSTER = "kauri-comparison-0-000"
PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{inside}
listeners=PLAINTEXT://{address},CONTROLLER://127.0.0.1:{inside}
controller.listener.names=CONTROLLER
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
group.coordinator.rebalance.protocols=classic,consumer
group.consumer.min.session.timeout.ms=1000
group.consumer.min.heartbeat.interval.ms=100
{more}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class KauriBroker(harness.Broker):
    """kauri with Kafka's port, the same after each start."""

    def __init__(self, home, name="b", **settings):
        super().__init__(home, name, **settings)
        self.address = f"127.0.0.1:{free_port()}"
        self.logs = self.data

    def command(self, *more):
        return super().command("--kafka", self.address, *more)


class ApacheBroker:
    """One node of Apache Kafka in a folder of its own."""

    def __init__(self, home, version, name="a", **settings):
        self.home, self.folder = home, home.path / name
        self.folder.mkdir()
        self.settings = {k.replace("_", "."): v for k, v in settings.items()}
        self.address, self.logs = f"127.0.0.1:{free_port()}", self.folder / "logs"
        self.child, self.inside = None, free_port()
        self.java = [fleet.tool("java"), "-Xmx512m", *fleet.JVM[1:], "-cp", f"{jars(version)}/*"]
        home.undo.append(self.kill)
        self.format()

    def format(self):
        more = "\n".join(f"{k}={v}" for k, v in self.settings.items())
        self.file = self.folder / "server.properties"
        self.file.write_text(PROPERTIES.format(address=self.address, inside=self.inside,
                                               data=self.logs, more=more))
        harness.shell(*self.java, "kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", self.file)

    def start(self):
        """Starts it and waits until it takes connections; the seconds, or None when it ended."""
        self.log, born = open(self.folder / "stderr", "ab"), time.monotonic()
        self.child = subprocess.Popen([*self.java, "kafka.Kafka", self.file], stdout=self.log,
                                      stderr=self.log, stdin=subprocess.DEVNULL,
                                      preexec_fn=harness.die_with_parent)
        if harness.wait_for(lambda: not self.running() or self.answers(), START_LIMIT_S) and self.running():
            return time.monotonic() - born
        self.kill()
        return None

    def answers(self):
        host, port = self.address.rsplit(":", 1)
        try:
            socket.create_connection((host, int(port)), 1).close()
            return True
        except OSError:
            return False

    def errors(self):
        return (self.folder / "stderr").read_text(errors="replace")

    def running(self):
        return self.child is not None and self.child.poll() is None

    def wait(self):
        code = self.child.wait(harness.READY_LIMIT_S)
        self.child = None
        self.log.close()
        return code

    def kill(self):
        if self.child is not None:
            self.child.kill()
            self.wait()

    def stop(self):
        """Its exit code; 143 is how Java ends after SIGTERM."""
        self.child.terminate()
        code = self.wait()
        return 0 if code in (0, 143) else code


def jars(version):
    folder = fleet.cache("maven", f"broker-{version}")
    if not (folder / "done").exists():
        fleet.maven(folder, ("org.apache.kafka", "kafka_2.13", version))
    return folder / "lib"


def broker(word, home, **settings):
    """The broker that `--broker WORD` names, not started."""
    if word == "kauri":
        return KauriBroker(home, **settings)
    return ApacheBroker(home, VERSIONS[word], **settings)


def option(parser):
    parser.add_argument("--broker", choices=("kauri", *VERSIONS), default="kauri",
                        help="what to test; Apache's only to check the test itself")

# SPDX-License-Identifier: MIT
"""fleet: the client programs as child processes that are asked, and which of them can run here.

A Member speaks the protocol of session.py. A recipe says how one is started, or why it cannot be.
Nothing but the answer decides: a client that dies, or says nothing within its limit, is a Refused.
"""
import contextlib
import functools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import harness

HERE = Path(__file__).resolve().parent
# Debian's modules belong to Debian's interpreter.
PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable
LIMIT_S = 45.0
INSTALL_LIMIT_S = 600


class Refused(Exception):
    """The client's {"error": ...}, its death, or its silence."""


def cache(*parts):
    """A folder for what package managers bring, outside the repository; it stays."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base).joinpath("kauri-test-clients", *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Member:
    """One client program that runs. `asked` names the request that is still open."""

    def __init__(self, name, command, bootstrap, home, **env):
        self.name = name
        self.log_path = home.path / f"client-{name}.log"
        self.command, self.env, self.home = [*map(str, command), bootstrap], env, home
        self.start()
        home.undo.append(self.close)
        self.about = self.ask("hello")
        self.lacks, self.codecs = self.about["lacks"], self.about["codecs"]
        if "CONSOLE_PRODUCER" not in env:
            self.lacks["console"] = "only Java brings console programs"
        if "EVENTS_PROGRAM" not in env:
            self.lacks["program"] = "the program is for kafka-python"

    def start(self):
        """Also after it died, for the next check."""
        self.held, self.log = b"", open(self.log_path, "ab")
        self.child = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=self.log,
                                      env={**harness.environment(self.home.path), **self.env},
                                      preexec_fn=harness.die_with_parent)

    def revive(self):
        if self.child.poll() is not None:
            self.close()
            self.start()

    def line(self, limit_s=LIMIT_S):
        """The next line it says, as an object."""
        end = time.monotonic() + limit_s
        while b"\n" not in self.held:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.child.stdout], [], [], left)[0]:
                self.close()
                raise Refused(f"{self.name} says nothing for {limit_s:.0f} s")
            piece = os.read(self.child.stdout.fileno(), 1 << 20)
            if not piece:
                raise Refused(f"{self.name} died: {self.log_path.read_text(errors='replace')[-500:]}")
            self.held += piece
        text, self.held = self.held.split(b"\n", 1)
        answer = json.loads(text)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer

    def send(self, op, **words):
        """A request whose answers are read with line()."""
        try:
            self.child.stdin.write(json.dumps({"op": op, **words}).encode() + b"\n")
            self.child.stdin.flush()
        except OSError as why:
            raise Refused(f"{self.name} is gone: {why}") from why

    def ask(self, op, **words):
        self.send(op, **words)
        return self.line()

    def event(self, name):
        """The next line, which must be this event."""
        said = self.line()
        if said.get("event") != name:
            raise Refused(f"{self.name} says {str(said)[:200]}, not {name}")
        return said

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        for pipe in (self.child.stdin, self.child.stdout, self.log):
            with contextlib.suppress(BrokenPipeError):  # what was never read
                pipe.close()


# ---- Recipes: command and environment, or Missing ------------------------------------------------
class Missing(Exception):
    """Why a client cannot run on this machine."""


def install(*words, cwd=None, env=None):
    """Runs a package manager; Missing when it cannot do it."""
    try:
        done = subprocess.run([str(w) for w in words], cwd=cwd, capture_output=True, text=True,
                              timeout=INSTALL_LIMIT_S, stdin=subprocess.DEVNULL,
                              env={**os.environ, **(env or {})})
    except (OSError, subprocess.TimeoutExpired) as why:
        raise Missing(f"{words[0]}: {why}") from why
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Missing(f"{Path(str(words[0])).name}: {' / '.join(said[-3:])[:300]}")
    return done.stdout


def tool(name):
    path = shutil.which(name)
    if path is None:
        raise Missing(f"no {name} here")
    return path


def debian_python(script, module, package):
    if subprocess.run([PYTHON, "-c", f"import {module}"], capture_output=True).returncode != 0:
        raise Missing(f"{package} is not installed")
    return [PYTHON, HERE / script], program_of(PYTHON, module)


def program_of(python, module):
    """The program of events_program.py is for kafka-python alone."""
    return {"EVENTS_PROGRAM": f"{python} {HERE / 'events_program.py'}"} if module == "kafka" else {}


def recipe_kcat():
    tool("kcat")
    return [PYTHON, HERE / "kcat_client.py"], {}


def recipe_librdkafka():
    program = harness.BUILD / "test" / "clients" / "client_rdkafka"
    if not program.exists():
        raise Missing("librdkafka-dev was not there when kauri was built")
    return [program], {}


def recipe_kafka_python():
    return debian_python("kafka_python_client.py", "kafka", "python3-kafka")


def recipe_confluent():
    return debian_python("confluent_client.py", "confluent_kafka", "python3-confluent-kafka")


def node_modules(name, version):
    """A folder in which npm has installed the package."""
    folder = cache("npm", f"{name.replace('/', '+')}-{version}")
    if not (folder / "node_modules" / name / "package.json").exists():
        (folder / "package.json").write_text('{"private": true}\n')
        install(tool("npm"), "install", "--no-audit", "--no-fund", f"{name}@{version}",
                cwd=folder)
    install(tool("node"), "-e", f"require('{name}')", cwd=folder)  # it may want a newer Node.js
    return folder / "node_modules"


def recipe_platformatic():
    modules = node_modules("@platformatic/kafka", "1.35.0")
    return [tool("node"), HERE / "platformatic_client.js"], {"NODE_PATH": str(modules)}


def recipe_kafkajs():
    modules = node_modules("kafkajs", "2.2.4")
    return [tool("node"), HERE / "kafkajs_client.js"], {"NODE_PATH": str(modules)}


STAGE_ONE = {
    "librdkafka": recipe_librdkafka,
    "kcat": recipe_kcat,
    "kafka-python": recipe_kafka_python,
    "confluent-kafka": recipe_confluent,
    "kafkajs": recipe_kafkajs,
}

# What other registries have; each in a version of its own, so that a run can be repeated.
PYPI = {
    "kafka-python-3": ("kafka_python_client.py", ("kafka-python==3.0.12", "lz4", "python-snappy", "zstandard")),
    "kafka-python-2.2": ("kafka_python_client.py", ("kafka-python==2.2.21", "lz4", "python-snappy", "zstandard")),
    "confluent-kafka-2": ("confluent_client.py", ("confluent-kafka==2.16.1",)),
}


def recipe_pypi(name):
    """A venv with the packages; `done` in it says that it is whole."""
    script, packages = PYPI[name]
    folder = cache("pypi", "+".join(packages).replace("==", "-"))
    if not (folder / "done").exists():
        install(PYTHON, "-m", "venv", folder)
        install(folder / "bin" / "pip", "install", "-q", "--only-binary", ":all:", *packages)
        (folder / "done").touch()
    python = folder / "bin" / "python3"
    module = "kafka" if script.startswith("kafka") else "confluent_kafka"
    return [python, HERE / script], program_of(python, module)


def recipe_librdkafka_2():
    """The same program in C on the library that confluent-kafka's wheel brings: it has the consumer
    model (KIP-848)."""
    command, _ = recipe_librdkafka()
    recipe_pypi("confluent-kafka-2")
    folder = cache("pypi", "+".join(PYPI["confluent-kafka-2"][1]).replace("==", "-"))
    found = sorted(folder.glob("lib/python3*/site-packages/confluent_kafka.libs/librdkafka-*.so.1"))
    if not found:
        raise Missing("confluent-kafka's wheel brings no librdkafka of its own")
    link = cache("pypi", "librdkafka-2") / "librdkafka.so.1"
    link.unlink(missing_ok=True)
    link.symlink_to(found[0])
    return command, {"LD_LIBRARY_PATH": f"{link.parent}:{found[0].parent}"}


def recipe_go(name):
    """go build knows by itself what is new."""
    program = cache("go") / name
    install(tool("go"), "build", "-p", "2", "-o", program, f"./{name}", cwd=HERE / "go")
    return [program], {}


POM = """<project><modelVersion>4.0.0</modelVersion>
<groupId>kauri</groupId><artifactId>clients</artifactId><version>1</version><dependencies>%s
</dependencies></project>"""
DEPENDENCY = """
<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>"""
# The console programs are in kafka-tools; the producer of 3.9 is still in the broker's package.
JACKSON = ("com.fasterxml.jackson.core", "jackson-databind", "2.16.2")
JAVA = {
    "java-3.9": (("org.apache.kafka", "kafka-tools", "3.9.1"), ("org.apache.kafka", "kafka_2.13", "3.9.1")),
    "java-4": (("org.apache.kafka", "kafka-tools", "4.1.0"),),
}
CONSOLE = {
    "java-3.9": "kafka.tools.ConsoleProducer",
    "java-4": "org.apache.kafka.tools.ConsoleProducer",
}
CONSOLE_CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer"
# Short lives: no time for the second compiler.
JVM = ("-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


def maven(folder, *packages):
    """The jars of the packages, and of what they need, in FOLDER/lib; `done` says that all are."""
    (folder / "pom.xml").write_text(POM % "".join(DEPENDENCY % row for row in packages))
    install(tool("mvn"), "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime",
            f"-DoutputDirectory={folder / 'lib'}", cwd=folder)
    (folder / "done").touch()


def recipe_java(name):
    """The jars by Maven, and Client.java compiled against them."""
    folder = cache("maven", name + "-" + JAVA[name][0][2])
    if not (folder / "done").exists():
        maven(folder, *JAVA[name], JACKSON)
    path = f"{folder / 'classes'}:{folder / 'lib'}/*"
    sources = [HERE / "java" / "Client.java", HERE / "java" / "Groups.java"]
    stamp, state = folder / "classes.stamp", "".join(p.read_text() for p in sources)
    if stamp.exists() and stamp.read_text() == state:
        return java_commands(name, path)
    install(tool("javac"), "-cp", path, "-d", folder / "classes", *sources)
    stamp.write_text(state)
    return java_commands(name, path)


def java_commands(name, path):
    java = [tool("java"), *JVM, "-cp", path]
    return [*java, "Client"], {"CONSOLE_PRODUCER": " ".join([*java, CONSOLE[name]]),
                               "CONSOLE_CONSUMER": " ".join([*java, CONSOLE_CONSUMER])}


STAGE_TWO = {
    **{name: functools.partial(recipe_pypi, name) for name in PYPI},
    "franz-go": functools.partial(recipe_go, "franz"),
    **{name: functools.partial(recipe_java, name) for name in JAVA},
    "sarama": functools.partial(recipe_go, "sarama"),
    "platformatic": recipe_platformatic,
}

STAGES = {1: STAGE_ONE, 2: STAGE_TWO}

# SPDX-License-Identifier: MIT
"""harness: a broker as a child process, and `kauri` as a person would type it.

KAURI_BUILD names the build folder. Everything lies in one temporary folder (Home), which is gone at
the end, also after an exception or SIGTERM: the children that were started here are killed, mounts
are taken away, the folder is removed. Nothing is awaited by sleeping: `wait_for` asks a question
until it is answered, within a limit.
"""
import atexit
import ctypes
import fcntl
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("KAURI_BUILD", ROOT / "build")).resolve()
KAURI = BUILD / "cli" / "kauri"
LONG = os.environ.get("KAURI_TEST_LONG", "") not in ("", "0")
READY_LIMIT_S = 60
COMMAND_LIMIT_S = 60
PR_SET_PDEATHSIG = 1
SKIP = 77
SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2  # _IOR('X', 125, __u32)
INSIDE = "KAURI_TEST_MOUNTS"


def die_with_parent():
    """In a child. A shell has its background jobs, and all below them, ignore SIGINT: not this one."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def environment(home):
    """The caller's, without what steers kauri, and with a home of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("KAURI_", "XDG_"))}
    return {**kept, "HOME": str(home), "NO_COLOR": "1", "TZ": "UTC"}


def wait_for(question, limit_s=30.0, step_s=0.02):
    """What question() answered when it was first true; its last answer when time is up."""
    end = time.monotonic() + limit_s
    while True:
        answer = question()
        if answer or time.monotonic() > end:
            return answer
        time.sleep(step_s)


def sanitized():
    """Whether the program carries AddressSanitizer: its memory says nothing then."""
    return b"__asan_init" in KAURI.read_bytes()


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0.0


class Done:
    """How a command ended: code, out and err as bytes; text and errors as str."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err
        self.text = out.decode(errors="replace")
        self.errors = err.decode(errors="replace")

    def lines(self):
        return self.text.splitlines()

    def json(self):
        if self.code != 0:
            raise RuntimeError(str(self))
        return json.loads(self.text)

    def envelopes(self):
        return [json.loads(line) for line in self.lines()]

    def __str__(self):
        return f"exit {self.code}, stdout {self.text[:400]!r}, stderr {self.errors[:400]!r}"


class Home:
    """The temporary folder, and what must be undone at the end."""

    def __init__(self, name):
        if not KAURI.exists():
            sys.exit(f"{KAURI} is not built; KAURI_BUILD names the build folder")
        self.path = Path(tempfile.mkdtemp(prefix=f"kauri-{name}-"))
        self.undo = []
        atexit.register(self.close)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def close(self):
        while self.undo:
            self.undo.pop()()
        shutil.rmtree(self.path, ignore_errors=True)


def thread_state(task):
    """The letter of /proc: R running, T stopped, D in the kernel."""
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def free_port():
    """A TCP port of the loopback that nobody listens on. Below those that connections get by
    themselves: a client that dials a dead broker's port could be given that very port, be connected
    to itself, and keep the broker from it."""
    with socket.socket() as s:
        for _ in range(100):
            port = random.SystemRandom().randrange(15000, 32000)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise RuntimeError("no TCP port is free")


class Broker:
    """One data folder, one ipc address and, between start and stop, the process that serves them."""

    def __init__(self, home, name="b", data=None, program=KAURI, **settings):
        self.home, self.program = home, program
        self.folder = home.path / name
        self.folder.mkdir(exist_ok=True)
        self.data = Path(data) if data else self.folder / "data"
        self.url = f"ipc://{self.folder}/s"
        self.settings = {k.replace("_", "."): v for k, v in settings.items()}
        self.child = None
        home.undo.append(self.kill)

    def command(self, *more):
        sets = [word for k, v in self.settings.items() for word in ("--set", f"{k}={v}")]
        return [str(self.program), "serve", "--data", str(self.data), "--native", self.url,
                "--kafka", "off", "--http", "off", *sets, *more]  # of two addresses the later holds

    def spawn(self, *more, wrap=(), **popen):
        """Starts the process and does not wait."""
        assert self.child is None
        self.log = open(self.folder / "stderr", "ab")
        self.born = time.monotonic()
        self.child = subprocess.Popen([*wrap, *self.command(*more)], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=self.log,
                                      env=environment(self.home.path),
                                      preexec_fn=die_with_parent, **popen)

    def start(self, *more, **popen):
        """Starts it and waits until it is ready; the seconds that took. None: it ended instead."""
        self.spawn(*more, **popen)
        return self.await_ready()

    def await_ready(self):
        self.words = b""
        while b"ready in " not in self.words:
            got = os.read(self.child.stdout.fileno(), 65536)
            if not got:
                self.wait()
                return None
            self.words += got
        return time.monotonic() - self.born

    def errors(self):
        """All it ever said on stderr."""
        path = self.folder / "stderr"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait(self, limit_s=READY_LIMIT_S):
        """Its exit code, once it has ended."""
        code = self.child.wait(limit_s)
        self.words = getattr(self, "words", b"") + self.child.stdout.read()
        self.child.stdout.close()
        self.log.close()
        self.child = None
        self.code = code
        return code

    def running(self):
        return self.child is not None and self.child.poll() is None

    def signal(self, number):
        self.child.send_signal(number)

    def kill(self):
        """kill -9; fine when there is none."""
        if self.child is not None:
            self.child.kill()
            self.wait()

    def freeze(self):
        """Every thread stands still, as when the power goes: what is said after this was not said.
        A thread in the kernel (D) may end its call, but acts on nothing any more."""
        self.signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{self.child.pid}/task")
        end = time.monotonic() + 10
        while any(state not in "TtDXZ" for state in map(thread_state, tasks.iterdir())):
            if time.monotonic() > end:
                raise RuntimeError("the broker cannot be frozen")
            time.sleep(0.0005)

    def stop(self):
        """A clean stop; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def fail_to_start(self, *more):
        """Starts it where it must not start: a Done; code None when it did start."""
        before = len(self.errors())
        self.spawn(*more)
        if self.await_ready() is not None:
            self.kill()
            return Done(None, self.words, b"it started")
        return Done(self.code, self.words, self.errors()[before:].encode())

    def run(self, *words, data=None, limit_s=COMMAND_LIMIT_S):
        """kauri WORDS -s URL, with data (bytes or str) or nothing on stdin."""
        return self.plain(*words, "-s", self.url, data=data, limit_s=limit_s)

    def plain(self, *words, data=None, limit_s=COMMAND_LIMIT_S):
        """kauri WORDS, as typed."""
        feed = data.encode() if isinstance(data, str) else data
        try:
            done = subprocess.run([str(self.program), *map(str, words)], input=feed or b"",
                                  capture_output=True, timeout=limit_s, cwd=self.folder,
                                  env=environment(self.home.path))
        except subprocess.TimeoutExpired as late:
            code = self.child.poll() if self.child else "none"
            raise RuntimeError(f"kauri {words} did not end in {limit_s} s; the broker's exit: {code}; "
                               f"it said: {self.errors()[-1500:]}") from late
        return Done(done.returncode, done.stdout, done.stderr)

    def open(self, *words, **popen):
        """kauri WORDS -s URL in the background: the Popen."""
        child = subprocess.Popen([str(self.program), *map(str, words), "-s", self.url],
                                 env=environment(self.home.path), cwd=self.folder,
                                 preexec_fn=die_with_parent, **popen)
        self.home.undo.append(child.kill)
        return child

    def partition(self, topic, number=0):
        return self.data / f"{topic}-{number}"

    def describe(self, topic):
        """kauri topic describe --json."""
        return self.run("topic", "describe", topic, "-p", "--json").json()


class KafkaBroker(Broker):
    """A Broker that also speaks Kafka's protocol, at the same port after each start."""

    def __init__(self, home, *more, **settings):
        super().__init__(home, *more, **settings)
        self.address = f"127.0.0.1:{free_port()}"

    def command(self, *more):
        return super().command("--kafka", self.address, *more)


class Checks:
    """Counts and prints what was found out."""

    def __init__(self):
        self.good = self.bad = 0
        self.skipped = []

    def that(self, what, held, why=""):
        """One check; why (anything printable) tells more when it failed."""
        if held:
            self.good += 1
            print(f"ok      {what}", flush=True)
        else:
            self.bad += 1
            print(f"FAILED  {what}: {why}", flush=True)
        return bool(held)

    def equal(self, what, got, wanted):
        return self.that(what, got == wanted, f"got {str(got)[:600]!r}, wanted {str(wanted)[:600]!r}")

    def skip(self, what, why):
        self.skipped.append(f"{what}: {why}")
        print(f"skip    {what}: {why}", flush=True)

    def close(self, name):
        tail = f", {len(self.skipped)} skipped" if self.skipped else ""
        print(f"{name}: {self.good + self.bad} checks, {self.bad} failed{tail}", flush=True)
        return 1 if self.bad or not self.good else 0


def seed_of(options):
    """The seed asked for, or a new one; printed, so that a run can be repeated."""
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}  (repeat: --seed {seed})", flush=True)
    return seed


# ---- Disks of one's own: ext4 in a file -----------------------------------------------------------
def shell(*words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")


def own_mounts():
    """Starts the running script again with mounts of its own, so that none outlives it. Without
    root or unshare(1), or in a chroot whose root is no mount, it goes on as it is."""
    own = ["unshare", "-m", "--propagation", "private"]
    if os.geteuid() != 0 or os.environ.get(INSIDE) == "1" or not shutil.which("unshare"):
        return
    if subprocess.run([*own, "true"], capture_output=True).returncode == 0:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", [*own, sys.executable, *sys.argv])


def no_disks():
    """Why there can be no Disk here; None when there can."""
    if os.geteuid() != 0:
        return "an ext4 of one's own needs root (mount, loop device)"
    if os.environ.get(INSIDE) != "1":
        return "no mounts of one's own here: no unshare(1), or it may not"
    home = Home("probe")
    try:
        disk = Disk(home, "disk", 16 << 20)
        disk.cut()
        disk.unmount()
        return None
    except (OSError, RuntimeError) as e:
        return f"no ext4 on a loop device here: {e}"
    finally:
        home.close()


class Disk:
    """An ext4 in a file, mounted. Only behind own_mounts."""

    def __init__(self, home, name, size, block_size=4096):
        self.image = home.path / f"{name}.img"
        self.folder = home.path / name
        self.folder.mkdir()
        self.mounted = False
        with open(self.image, "wb") as f:
            f.truncate(size)
        shell("mkfs.ext4", "-qF", "-m", "0", "-b", block_size, self.image)
        home.undo.append(self.remove)
        self.mount()

    def mount(self):
        shell("mount", "-o", "loop", self.image, self.folder)
        self.mounted = True

    def remount(self, how):
        """how: ro or rw."""
        shell("mount", "-o", f"remount,{how}", self.folder)

    def unmount(self):
        shell("umount", self.folder)
        self.mounted = False

    def cut(self):
        """Cuts the power: from here on nothing reaches the image, nothing un-synced is in it."""
        fd = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def free(self):
        info = os.statvfs(self.folder)
        return info.f_bavail * info.f_frsize

    def remove(self):
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], capture_output=True)
        self.image.unlink(missing_ok=True)

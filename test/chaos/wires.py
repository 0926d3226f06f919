# SPDX-License-Identifier: MIT
"""wires: a network of one's own: hosts on a switch, links that are cut, slow or late.

Behind own_network() the script runs in network and mount namespaces of its own: nothing of it is
seen outside, and nothing outlives it. Each Host is a network namespace on one bridge; the script
itself stands on the switch, and sees all hosts whatever is cut between them.

    cut(a, b)       packets from a to b are dropped where they arrive (nftables)
    slow(a, rate)   all that goes to and from a, by a token bucket (tc tbf)
    Late(a, b, s)   connections from a to a port of b go through a relay that holds every byte for
                    s seconds, each way: tc's netem is not in every kernel
"""
import asyncio
import ctypes
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness

INSIDE = "KAURI_TEST_NETWORK"
NET = "10.77.0"
SWITCH = f"{NET}.254"
MARK = 1            # of the relay's own packets, which are not sent to the relay again
CHUNK = 65536
CLONE_NEWNET = 0x40000000
TABLE = """table ip kauri {
  chain arrives {
    type filter hook input priority 0
  }
  chain leaves {
    type nat hook output priority -100
  }
}
"""


def own_network():
    """Starts the running script again with a network of its own; where that cannot be, it goes on as
    it is, and no_network says why."""
    own = ["unshare", "-m", "-n", "--propagation", "private"]
    if os.geteuid() != 0 or os.environ.get(INSIDE) == "1" or not shutil.which("unshare"):
        return
    if subprocess.run([*own, "true"], capture_output=True).returncode == 0:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", [*own, sys.executable, *sys.argv])


def no_network():
    """Why there can be none here; None when there is one now."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("ip", "nft", "tc", "nsenter"):
        if not shutil.which(tool):
            return f"no {tool}(8) here"
    if os.environ.get(INSIDE) != "1":
        return "no namespaces of one's own here: no unshare(1), or it may not"
    try:
        open_switch()
        probe = Host(250)
        probe.slow("1mbit")
        probe.close()
        return None
    except (OSError, RuntimeError) as e:
        return f"no network of one's own here: {e}"


def open_switch():
    """The bridge, and the script's own address on it. Once in a script."""
    Path("/run/netns").mkdir(exist_ok=True)
    harness.shell("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
    harness.shell("ip", "link", "set", "lo", "up")
    harness.shell("ip", "link", "add", "kauri", "type", "bridge")
    harness.shell("ip", "addr", "add", f"{SWITCH}/24", "dev", "kauri")
    harness.shell("ip", "link", "set", "kauri", "up")


class Host:
    """A host; number 1 to 250 is the end of its address."""

    def __init__(self, number):
        self.number, self.address = number, f"{NET}.{number}"
        self.name, self.port = f"h{number}", f"kauri{number}"
        self.wrap = ("nsenter", f"--net=/run/netns/{self.name}")
        harness.shell("ip", "netns", "add", self.name)
        harness.shell("ip", "link", "add", self.port, "type", "veth", "peer", "name", "eth0", "netns",
                      self.name)
        harness.shell("ip", "link", "set", self.port, "master", "kauri", "up")
        for words in (("addr", "add", f"{self.address}/24", "dev", "eth0"), ("link", "set", "eth0", "up"),
                      ("link", "set", "lo", "up")):
            harness.shell("ip", "-n", self.name, *words)
        done = subprocess.run([*self.wrap, "nft", "-f", "-"], input=TABLE, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"nft: {done.stderr.strip()}")

    def nft(self, *words):
        harness.shell(*self.wrap, "nft", *words)

    def slow(self, rate):
        """Both ways; None: as fast as it goes."""
        for where in (("tc",), (*self.wrap, "tc")):
            device = self.port if len(where) == 1 else "eth0"
            subprocess.run([*where, "qdisc", "del", "dev", device, "root"], capture_output=True)
            if rate is not None:
                harness.shell(*where, "qdisc", "add", "dev", device, "root", "tbf", "rate", rate,
                              "burst", "16kb", "latency", "400ms")

    def close(self):
        harness.shell("ip", "netns", "del", self.name)


def enter(fd):
    """setns(2) of the calling thread: Python has it from 3.12 on."""
    return ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET)


def cut(a, b):
    """From a to b; the other way it goes on."""
    b.nft("add", "rule", "ip", "kauri", "arrives", "ip", "saddr", a.address, "drop")


def cut_both(a, b):
    cut(a, b)
    cut(b, a)


def heal(*hosts):
    for host in hosts:
        host.nft("flush", "chain", "ip", "kauri", "arrives")


class Late:
    """The relay, in a thread of its own inside host a."""

    def __init__(self, a, b, port, seconds):
        self.a, self.target, self.seconds = a, (b.address, port), seconds
        self.ready = threading.Event()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        if not self.ready.wait(10):
            raise RuntimeError("the relay does not start")
        a.nft("add", "rule", "ip", "kauri", "leaves", "meta", "mark", "!=", str(MARK), "ip", "daddr",
              b.address, "tcp", "dport", str(port), "redirect", "to", f":{self.listens}")

    def run(self):
        with open(f"/run/netns/{self.a.name}") as net:
            if enter(net.fileno()) != 0:  # this thread only
                return
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self.serve, "0.0.0.0", 0))
        self.listens = server.sockets[0].getsockname()[1]
        self.ready.set()
        self.loop.run_forever()

    async def serve(self, reader, writer):
        out = socket.socket()
        out.setblocking(False)
        out.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
        try:
            await self.loop.sock_connect(out, self.target)
        except OSError:
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection(sock=out)
        try:
            await asyncio.gather(self.carry(reader, far_writer), self.carry(far_reader, writer))
        except asyncio.CancelledError:
            pass  # close()

    async def carry(self, reader, writer):
        """Every chunk leaves `seconds` after it came, in order."""
        queue = asyncio.Queue()
        sender = asyncio.ensure_future(self.send(queue, writer))
        try:
            while data := await reader.read(CHUNK):
                queue.put_nowait((self.loop.time() + self.seconds, data))
        except OSError:
            pass
        queue.put_nowait((self.loop.time() + self.seconds, b""))
        await sender

    async def send(self, queue, writer):
        try:
            while True:
                due, data = await queue.get()
                await asyncio.sleep(max(0.0, due - self.loop.time()))
                if not data:
                    break
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    def close(self):
        """New connections go straight; those through the relay are cut."""
        self.a.nft("flush", "chain", "ip", "kauri", "leaves")
        self.loop.call_soon_threadsafe(self.stop)
        self.thread.join(10)

    def stop(self):
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        asyncio.gather(*tasks, return_exceptions=True).add_done_callback(lambda _: self.loop.stop())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""rude: spoilt Kafka frames on a live broker, and very many idle clients.

Frames of real clients (test/unit/proto/kafka_frames.txt) are flipped, cut, doubled, lengthened and
their sizes lied about, many to a connection and many connections at once; some clients are slow,
announce 100 MB and send nothing, or vanish with answers unread. The broker may close their
connections; it may not die, grow, or keep an honest client waiting, which writes and reads through
the native protocol and asks through Kafka's all the time. Then 10,000 clients connect and do
nothing.

    test/chaos/rude.py [--seed N] [--seconds S]      6 s, 600 with KAURI_TEST_LONG=1
"""
import argparse
import os
import random
import re
import resource
import select
import socket
import struct
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness

SECONDS, SECONDS_LONG = 6, 600
AT_ONCE = 24
IDLE, IDLE_BYTES = 10000, 100 << 20
GROWTH_BYTES = 128 << 20
FRAMES = harness.ROOT / "test" / "unit" / "proto" / "kafka_frames.txt"
HELLO = bytes.fromhex("00000011001200000000000700076b6e6f636b6572")  # ApiVersions 0


def seeds():
    for line in FRAMES.read_text().splitlines():
        words = line.split()
        if words and words[0] == "request":
            yield bytes.fromhex(words[3])


def memory(pid):
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^RssAnon:\s+(\d+)", text, re.M)[1]) * 1024


def spoil(frame, chance):
    """One frame, wrong in one of many ways; some are left right."""
    b = bytearray(frame)
    way = chance.randrange(9)
    if way == 0:
        for _ in range(chance.randrange(1, 5)):
            b[chance.randrange(4, len(b))] = chance.randrange(256)
    elif way == 1:
        b = b[:chance.randrange(1, len(b))]
    elif way == 2:
        b[0:4] = struct.pack(">i", chance.choice((-1, 0, 1, 7, 2**31 - 1, 100 << 20, len(b))))
    elif way == 3:
        b += bytes(chance.randrange(256) for _ in range(chance.randrange(1, 60)))
        b[0:4] = struct.pack(">i", len(b) - 4)
    elif way == 4:
        at = chance.randrange(8, len(b))
        b[at:at + 4] = struct.pack(">I", chance.choice((0x7fffffff, 0xffffffff, 0x10000000)))
        b[0:4] = struct.pack(">i", len(b) - 4)
    elif way == 5:
        b[4:8] = struct.pack(">hh", chance.randrange(-2, 100), chance.randrange(-2, 20))
    elif way == 6:
        b[8:8] = b[8:8 + chance.randrange(1, 40)]
        b[0:4] = struct.pack(">i", len(b) - 4)
    elif way == 7:
        b = b"\x16\x03\x01" + bytes(b) if chance.random() < 0.5 else bytearray(b"GET / HTTP/1.1\r\n\r\n")
    return bytes(b)


class Rude:
    """One client with a few spoilt frames; done when it hung up or was hung up on."""

    def __init__(self, port, frames, chance):
        self.s = socket.create_connection(("127.0.0.1", port), 10)
        self.s.setblocking(False)
        self.out = b"".join(spoil(chance.choice(frames), chance) for _ in range(chance.randrange(1, 9)))
        self.reads = chance.random() < 0.7
        self.until = time.monotonic() + chance.choice((0, 0, 0.05, 0.5))
        self.slow = chance.random() < 0.1

    def turn(self):
        """False when it is over."""
        try:
            if self.out:
                self.out = self.out[self.s.send(self.out[:1 if self.slow else 65536]):]
            if self.reads and select.select([self.s], [], [], 0)[0] and not self.s.recv(65536):
                return self.end()
        except BlockingIOError:
            pass
        except OSError:
            return self.end()
        return True if self.out or time.monotonic() < self.until else self.end()

    def end(self):
        self.s.close()
        return False


def knock(port):
    """Seconds until an honest client has its answer."""
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.settimeout(10)
        s.sendall(HELLO)
        got = b""
        while len(got) < 8:
            more = s.recv(8 - len(got))
            if not more:
                raise RuntimeError("an honest client was hung up on")
            got += more
    return time.monotonic() - begin if got[4:8] == b"\0\0\0\7" else None


def fuzz(broker, port, seconds, chance, check):
    frames, rude, count, worst, honest = list(seeds()), [], 0, 0.0, 0
    before, end, turn = memory(broker.child.pid), time.monotonic() + seconds, 0
    while time.monotonic() < end and broker.child.poll() is None:
        while len(rude) < AT_ONCE:
            rude.append(Rude(port, frames, chance))
            count += 1
        rude = [r for r in rude if r.turn()]
        turn += 1
        if turn % 200 == 0:
            worst = max(worst, knock(port))
            honest += 1
    for r in rude:
        r.end()
    check.that("the broker lives", broker.child.poll() is None, broker.errors()[-600:])
    check.that(f"{count} rude clients, {honest} honest ones answered within 1 s", honest > 0 and worst < 1,
               f"{worst:.3f} s")
    # An ASan build keeps what was freed.
    grown = memory(broker.child.pid) - before
    sanitized = b"__asan_init" in harness.KAURI.read_bytes()
    check.that("its memory stays", grown < GROWTH_BYTES * (4 if sanitized else 1), f"{grown >> 20} MiB more")
    done = broker.run("produce", "honest", data="still here\n")
    check.that("the native protocol is undisturbed", done.code == 0, done)


def idle(broker, port, check):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(IDLE, hard // 2 - 100)  # the broker takes half of its descriptors
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 200), hard))
    before, clients = memory(broker.child.pid), []
    for _ in range(count):
        clients.append(socket.create_connection(("127.0.0.1", port), 10))
    seconds = knock(port)
    grown = memory(broker.child.pid) - before
    check.that(f"{count} idle clients cost less than 100 MiB", grown < IDLE_BYTES, f"{grown >> 20} MiB")
    check.that("and another is answered", seconds is not None and seconds < 1, f"{seconds} s")
    print(f"idle: {count} clients, {grown / max(count, 1):.0f} bytes each", flush=True)
    for c in clients:
        c.close()


def main():
    parser = argparse.ArgumentParser(description="Spoilt frames on a live broker.")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--seconds", type=float)
    options = parser.parse_args()
    long = os.environ.get("KAURI_TEST_LONG") == "1"
    seconds = options.seconds or (SECONDS_LONG if long else SECONDS)
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    print(f"seed {seed}  (repeat: --seed {seed})", flush=True)
    home, check = harness.Home("rude"), harness.Checks()
    broker, port = harness.Broker(home), harness.free_port()
    if broker.start("--kafka", f"127.0.0.1:{port}") is None:
        print(f"FAILED  it does not start: {broker.errors()}")
        return 1
    fuzz(broker, port, seconds, random.Random(seed), check)
    if broker.child.poll() is None:
        idle(broker, port, check)
        check.equal("it stops in order", broker.stop(), 0)
    home.close()
    print(f"rude: {check.good + check.bad} checks, {check.bad} failed")
    return 1 if check.bad else 0


sys.exit(main())

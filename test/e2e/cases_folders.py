# SPDX-License-Identifier: MIT
"""folders: data folders a broker must not touch, and what it says."""
import os
import shutil
import subprocess

import harness
from cases_input import refused


def fingerprint(folder):
    """Every file with its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*"))
            if p.is_file()}


def case_two_brokers(t):
    """One folder, one broker."""
    first = t.broker("a")
    first.run("produce", "t", data="mine\n")
    second = t.idle("b", data=first.data)
    refused(t, "a second broker on the folder", second.fail_to_start(), 1, "another kauri", hint=True)
    t.check.equal("the first goes on", first.run("consume", "t", "-o", "start", "-e").out, b"mine\n")
    other = t.idle("c")
    other.url = first.url
    refused(t, "a second broker on the address", other.fail_to_start(), 1, hint=True)
    t.check.equal("the first still goes on", first.run("produce", "t", data="more\n").code, 0)


def case_newer(t):
    """A folder of a later kauri is not touched."""
    broker = t.broker()
    broker.run("produce", "t", data="old\n")
    broker.stop()
    path = broker.data / "format"
    old = path.read_bytes()
    body = old[:old.rindex(b"crc ")].replace(b"format 1\n", b"format 9\n")
    path.write_bytes(body + b"crc %08x\n" % crc32c(body))
    before = fingerprint(broker.data)
    refused(t, "a newer format", broker.fail_to_start(), 1, "newer", "nothing was changed", hint=True)
    t.check.that("not a byte was changed", fingerprint(broker.data) == before)
    path.write_bytes(old)
    broker.start()
    t.check.equal("with the old format it starts again",
                  broker.run("consume", "t", "-o", "start", "-e").out, b"old\n")


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def case_foreign(t):
    """A folder of somebody else is not touched."""
    broker = t.idle()
    broker.data.mkdir()
    (broker.data / "thesis.txt").write_text("all my work")
    refused(t, "a foreign folder", broker.fail_to_start(), 2, "not kauri's", hint=True)
    t.check.equal("it is as it was", list(fingerprint(broker.data)), ["thesis.txt"])
    file = t.idle("file")
    file.data.write_text("a file")
    done = file.fail_to_start()
    t.check.that("a file in place of the folder", done.code == 1 and "error:" in done.errors, done)


def case_format_damaged(t):
    """A `format` that cannot be read: refused, nothing changed."""
    broker = t.broker()
    broker.run("produce", "t", data="old\n")
    broker.stop()
    path = broker.data / "format"
    old = path.read_bytes()
    for what, text in (("flipped", old[:20] + bytes([old[20] ^ 1]) + old[21:]), ("cut", old[:30]),
                       ("empty", b"")):
        path.write_bytes(text)
        before = fingerprint(broker.data)
        done = broker.fail_to_start()
        t.check.that(f"format {what}: refused, exit 5", done.code == 5 and "hint:" in done.errors, done)
        t.check.that(f"format {what}: nothing was changed", fingerprint(broker.data) == before)
    path.unlink()
    done = broker.fail_to_start()
    t.check.that("format missing: refused", done.code in (2, 5), done)
    path.write_bytes(old)
    broker.start()
    t.check.equal("all is there", broker.run("consume", "t", "-o", "start", "-e").out, b"old\n")


def case_nobody(t):
    """A folder without permission."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        t.check.skip("no permission", "needs root and setpriv")
        return
    broker = t.idle()
    broker.data.mkdir(mode=0o700)
    shown = [t.home.path, broker.folder]
    for folder in shown:
        folder.chmod(0o755)
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *broker.command()]
    done = subprocess.run(words, capture_output=True, timeout=30, env=harness.environment(t.home.path))
    done = harness.Done(done.returncode, done.stdout, done.stderr)
    if "execut" in done.errors or "exec" in done.errors:
        t.check.skip("no permission", f"nobody may not run the program: {done.errors.strip()}")
        return
    refused(t, "a folder without permission", done, 1, "permission denied", hint=True)


def case_leftovers(t):
    """Files that are not kauri's inside its folder stay, and hurt nobody."""
    broker = t.broker()
    broker.run("produce", "t", data="old\n")
    broker.stop()
    (broker.data / "notes.txt").write_text("mine")
    (broker.data / "lost+found").mkdir()
    (broker.data / "odd-0").mkdir()
    (broker.data / "odd-0" / "readme").write_text("mine")
    (broker.partition("t") / "core").write_text("mine")
    broker.start()
    t.check.equal("it starts and reads", broker.run("consume", "t", "-o", "start", "-e").out, b"old\n")
    broker.stop()
    kept = [broker.data / "notes.txt", broker.partition("t") / "core",
            *broker.data.glob("lost+found/odd-0*/readme")]
    t.check.equal("what is not kauri's is kept", [p.exists() for p in kept], [True] * 3)


def case_empty_again(t):
    """The folder emptied under a stopped broker is a new one; a topic's folder gone is an empty topic."""
    broker = t.broker()
    broker.run("produce", "t", data="old\n")
    broker.run("produce", "u", data="kept\n")
    broker.stop()
    shutil.rmtree(broker.partition("t"))
    broker.start()
    done = broker.run("consume", "u", "-o", "start", "-e")
    t.check.equal("the other topic is read", done.out, b"kept\n")
    done = broker.run("produce", "t", data="new\n")
    t.check.that("the topic takes records again", done.code == 0, done)

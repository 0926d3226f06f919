# SPDX-License-Identifier: MIT
"""disk: full, nearly full, read-only: a state, not an accident. On an ext4 of one's own (root)."""
import json
import os
import re
import time

import harness

MEGABYTE = 1 << 20


def disk_of(t, size):
    """A Disk, or None when there can be none here (told)."""
    why = harness.no_disks()
    if why is not None:
        t.check.skip(t.name, why)
        return None
    return harness.Disk(t.home, f"{t.name}-disk", size)


def fill(path, disk, leave):
    """A file that leaves so many bytes free."""
    with open(path, "wb") as f:
        size = disk.free() - leave
        while size > 0:
            f.write(b"\0" * min(size, MEGABYTE))
            size -= MEGABYTE
        f.flush()
        os.fsync(f.fileno())


def rows(first, count):
    return "".join(f"{i:0500d}\n" for i in range(first, first + count))


def resumes(broker, topic, limit_s=10):
    """Whether produce works again within the limit."""
    return harness.wait_for(
        lambda: broker.run("produce", topic, "--timeout", "1s", data="again\n").code == 0, limit_s, 0.2)


def case_reserve(t):
    """Below disk.reserve.bytes: produce is refused, told as such; all else goes on; it resumes."""
    disk = disk_of(t, 64 * MEGABYTE)
    if disk is None:
        return
    broker = t.idle(data=disk.folder / "data", disk_reserve_bytes=8 * MEGABYTE)
    broker.start()
    broker.run("produce", "t", data=rows(0, 1000))
    broker.run("produce", "other", data=rows(0, 1000))
    fill(disk.folder / "filler", disk, 4 * MEGABYTE)
    t.check.that("nearly full: the broker says so",
                 harness.wait_for(lambda: "disk nearly full" in broker.errors(), 15), broker.errors())
    done = broker.run("produce", "t", "--timeout", "2s", data="no\n")
    t.check.that("nearly full: produce is refused, and why", done.code in (1, 4) and "full" in done.errors,
                 done)
    got = broker.run("consume", "t", "-o", "start", "-e")
    t.check.that("nearly full: reads go on", got.code == 0 and got.text == rows(0, 1000), got)
    done = broker.run("topic", "delete", "other", "-y")
    t.check.that("nearly full: topics can be deleted", done.code == 0, done)
    (disk.folder / "filler").unlink()
    t.check.that("with room again it resumes by itself", resumes(broker, "t"), broker.errors()[-400:])
    t.check.equal("and stops in order", broker.stop(), 0)
    disk.unmount()


def case_full(t):
    """No byte left, in the middle of writing: nothing acknowledged is lost, no half batch is seen."""
    disk = disk_of(t, 24 * MEGABYTE)
    if disk is None:
        return
    broker = t.idle(data=disk.folder / "data", disk_reserve_bytes=0)
    broker.start()
    broker.run("topic", "create", "t", "-c", "segment.bytes=1M")
    filler = disk.folder / "filler"
    sent = 0
    for cycle in range(3):
        fill(filler, disk, 2 * MEGABYTE)
        done = broker.run("produce", "t", "--timeout", "3s", "--json",
                          data="\n".join(json.dumps({"value": f"{cycle}-{i:0500d}"}) for i in range(12000)))
        t.check.that(f"full {cycle}: some records are refused, and why",
                     done.code in (1, 4, 6) and "full" in done.errors, done)
        t.check.that(f"full {cycle}: the broker lives", broker.running(), broker.errors()[-500:])
        got = broker.run("consume", "t", "-o", "start", "-e")
        end = broker.describe("t")["partitions"][0]["end"]
        t.check.that(f"full {cycle}: reads go on ({end} records)", got.code == 0 and
                     len(got.lines()) == end and end > sent, got)
        told = sum(int(n) for n in re.findall(r"^(\d+) records? to t", done.text, re.M))
        t.check.that(f"full {cycle}: as many as were acknowledged, or more ({told})", end - sent >= told, told)
        filler.unlink()
        t.check.that(f"full {cycle}: it resumes by itself", resumes(broker, "t"), broker.errors()[-400:])
        sent = broker.describe("t")["partitions"][0]["end"]
    broker.kill()
    broker.start()
    got = broker.run("consume", "t", "-o", "start", "-e").lines()
    t.check.equal("after a kill -9: the same number", len(got), sent)
    for cycle in range(3):
        mine = [row for row in got if row.startswith(f"{cycle}-")]
        t.check.that(f"cycle {cycle}: in order, each once", mine == sorted(set(mine)), len(mine))
    t.check.equal("stops", broker.stop(), 0)
    done = broker.plain("verify", "--deep", broker.data)
    t.check.that("verify --deep", done.code == 0, done)
    disk.unmount()


def case_retention_when_full(t):
    """Retention makes room on a full disk, and writing resumes."""
    disk = disk_of(t, 24 * MEGABYTE)
    if disk is None:
        return
    broker = t.idle(data=disk.folder / "data", disk_reserve_bytes=0, log_retention_check_interval_ms=200,
                    log_segment_delete_delay_ms=0)
    broker.start()
    broker.run("topic", "create", "t", "-c", "segment.bytes=1M")
    done = broker.run("produce", "t", "--timeout", "3s", data=rows(0, 60000))
    t.check.that("the disk is full", done.code != 0 and "full" in done.errors, done)
    done = broker.run("topic", "alter", "t", "--set", "retention.bytes=4M")
    t.check.that("a setting can be changed on a full disk", done.code == 0, done)
    t.check.that("retention made room, produce resumes", resumes(broker, "t", 15), broker.errors()[-400:])
    t.check.equal("stops", broker.stop(), 0)
    disk.unmount()


def case_read_only(t):
    """The disk goes read-only: the broker stops itself with 9; the next start is refused, then all is there."""
    disk = disk_of(t, 32 * MEGABYTE)
    if disk is None:
        return
    broker = t.idle(data=disk.folder / "data", disk_reserve_bytes=0)
    broker.start()
    broker.run("produce", "t", data=rows(0, 1000))
    disk.cut()
    start = time.monotonic()
    done = broker.run("produce", "t", "--timeout", "2s", data="lost?\n")
    t.check.that("a disk that fails: produce is not acknowledged", done.code != 0, done)
    code = broker.wait(30)
    t.check.that("and the broker ends with 9, and says why", code == 9 and
                 "write or sync" in broker.errors(), f"exit {code} after {time.monotonic() - start:.1f} s")
    disk.unmount()
    disk.mount()
    disk.remount("ro")
    done = broker.fail_to_start()
    t.check.that("a read-only disk: refused, exit 1, told", done.code == 1 and
                 "read-only" in done.errors.lower() and "hint:" in done.errors, done)
    disk.remount("rw")
    broker.start()
    got = broker.run("consume", "t", "-o", "start", "-e")
    t.check.that("with the disk back everything is there", got.text.startswith(rows(0, 1000)), got)
    t.check.equal("stops", broker.stop(), 0)
    disk.unmount()

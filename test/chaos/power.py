#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""power: the power is cut under a loaded broker, on a real ext4; nothing acknowledged may be missing.

Beside topics that only grow, one loses its oldest segments to retention and one is compacted, and
settings are changed; what was answered of that must hold, too.

The data folder lies on ext4 in a file. A cut is the shutdown ioctl of ext4 with its journal not
flushed: everything that was not synced is gone, as behind a pulled plug. Before it, random ranges of
the newest files are written back (sync_file_range), so that what survives is not a prefix: later
pages without earlier ones, an index without its log. The broker is frozen just before: a sync that
returns after the ioctl has begun says yes and did nothing (measured on Linux 6.18: 116 of 600 cuts,
never one that returned before), and no machine answers after its power went. Then it is killed, the
file system mounted again (its journal replays) and the broker started again, ten cuts to an image; at the end
of an image all producers finish and the judge compares.

A harness that finds nothing proves little, so it is tried on a broker that acknowledges before it
syncs (engine/base/planted.h), built for it in KAURI_BUILD: that must be found within PLANTED_CUTS.
(A forgotten sync of a folder cannot show here: ext4 makes a new file's name durable with the file.
The tests over the io seam find that one.)

    test/chaos/power.py [--seed N] [--cuts N] [--long] [--planted | --no-planted]

10 cuts; with --long or KAURI_TEST_LONG=1 1,000, or as many as LONG_LIMIT_S allows. Needs root and a
loop device: else exit 77 with the reason. Works in a mount namespace of its own, so nothing stays
mounted whatever happens to it.
"""
import argparse
import ctypes
import os
import random
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness
import rig

CUTS, CUTS_LONG, CUTS_PER_IMAGE, PLANTED_CUTS = 10, 1000, 10, 20
LONG_LIMIT_S = 1200
IMAGE_SIZE = 192 << 20
WRITE_BACK = 7                          # sync_file_range: wait, write, wait
PLANTED = "KAURI_PLANT_ACK_BEFORE_SYNC"


def newest_files(folder, count):
    """The files changed last; they come and go meanwhile."""
    times = []
    for path in folder.glob("*/*"):
        try:
            times.append((path.stat().st_mtime_ns, path))
        except FileNotFoundError:
            continue
    return [path for _, path in sorted(times, reverse=True)[:count]]


def write_back(folder, chance):
    """Writes random ranges of the files that changed last, in random order."""
    libc = ctypes.CDLL(None)
    newest = newest_files(folder, 12)
    for path in chance.sample(newest, min(len(newest), chance.randrange(9))):
        try:
            fd = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        pages = max(1, os.fstat(fd).st_size // 4096)
        for _ in range(chance.randrange(1, 4)):
            at = max(0, pages - 1 - chance.randrange(32)) * 4096
            libc.sync_file_range(fd, ctypes.c_int64(at), ctypes.c_int64(4096 * chance.randrange(1, 5)),
                                 WRITE_BACK)
        os.close(fd)


def make_loads(broker, run):
    p = rig.Producer
    return [
        rig.Load(broker, "steady", 3, [p("none", 1500, 1500), p("zstd", 300, 1000, 0)], run),
        rig.Load(broker, "tiny", 2, [p("lz4", 600, 1500, 1)], run, segment_bytes=40960),
        rig.Load(broker, "short", 2, [p("snappy", 400, 1000, 1)], run, retention=True,
                 segment_bytes=40960, retention_bytes=122880),
        rig.Load(broker, "latest", 2, [p("none", 200, 1500, 1)], run, compacted=True,
                 segment_bytes=40960, min_cleanable_dirty_ratio="0.01"),
    ]


CHOICES = {  # topic: settings that go together
    "tiny": [{"segment.bytes": "40960", "index.interval.bytes": "4096"},
             {"segment.bytes": "100000", "index.interval.bytes": "512"}],
    "short": [{"segment.bytes": "40960", "retention.bytes": "122880"},
              {"segment.bytes": "100000", "retention.bytes": "60000"}],
    "latest": [{"segment.bytes": "40960", "min.cleanable.dirty.ratio": "0.01"},
               {"segment.bytes": "100000", "min.cleanable.dirty.ratio": "0.3"}],
}


class Image:
    """One file system, one broker on it, its loads; cut after cut."""

    def __init__(self, home, number, program, seed):
        self.chance = random.Random(f"{seed} {number}")
        self.disk = harness.Disk(home, f"disk-{number}", IMAGE_SIZE,
                                 self.chance.choice((1024, 4096)))
        self.broker = harness.Broker(home, f"b{number}", data=self.disk.folder / "data",
                                     program=program, disk_reserve_bytes=0,
                                     log_cleaner_backoff_ms=20, log_retention_check_interval_ms=50,
                                     log_segment_delete_delay_ms=0)
        self.loads = make_loads(self.broker, (seed << 16) + number)
        self.settings = rig.Settings(self.broker, CHOICES, self.chance)
        self.readies, self.faults = [], []

    def start(self):
        """False: it does not start."""
        seconds = self.broker.start()
        if seconds is None:
            self.faults.append(f"it does not start: {self.broker.errors()[-800:]}")
            return False
        self.readies.append(seconds)
        return True

    def cut(self):
        """One cut and the start behind it. False: it does not start."""
        wait = self.chance.uniform(0.01, 0.4)
        ask = self.chance.uniform(0, wait)
        time.sleep(wait - ask)
        self.settings.ask()
        time.sleep(ask)
        write_back(self.broker.data, self.chance)
        self.broker.freeze()
        self.disk.cut()
        self.broker.kill()
        self.disk.unmount()
        self.disk.mount()
        if not self.start():
            return False
        self.settings.settle()
        self.faults += self.settings.wrong
        return True

    def run(self, cuts, total):
        """Cuts, then the verdict. How many cuts there were."""
        done = 0
        if not self.start():
            return done
        for load in self.loads:
            load.create()
        harness.shell("sync", "-f", self.disk.folder)  # the topics are there, whatever else is planted
        for load in self.loads:
            load.start()
        while done < cuts and self.cut():
            done += 1
        total.changes += self.settings.answered
        if not self.faults:
            self.judge(total)
        for load in self.loads:
            for child in load.children:
                child.kill()
        self.broker.kill()
        self.disk.unmount()
        self.disk.remove()
        return done

    def judge(self, total):
        self.faults += rig.finish(self.loads)
        rig.judge_all(self.loads, total, "--server", self.broker.url)
        self.faults += rig.refusals(self.loads, total)
        code = self.broker.stop()
        self.faults += [f"the last stop: exit {code}"] if code != 0 else []
        rig.judge_all(self.loads, total, "--dir", self.broker.data, of_record=False)
        # Index entries that were not synced are gone: hints, which --fix-index writes anew.
        done = self.broker.plain("verify", "--deep", "--fix-index", self.broker.data)
        if done.code != 0:
            self.faults.append(f"verify --deep: {done}")


def run(home, cuts, program, seed, limit_s):
    """(cuts made, total, faults in words, seconds of each restart)."""
    total, faults, readies, done, number = rig.Total(), [], [], 0, 0
    end = time.monotonic() + limit_s
    while done < cuts and time.monotonic() < end and not faults and not total.words:
        image = Image(home, number, program, seed)
        done += image.run(min(CUTS_PER_IMAGE, cuts - done), total)
        faults += [f"image {number}: {fault}" for fault in image.faults]
        readies += image.readies
        number += 1
    return done, total, faults + total.words, readies


def build_planted():
    """The program with the bug in it."""
    build = harness.BUILD / "planted"
    if not (build / "build.ninja").exists():
        harness.shell("meson", "setup", build, harness.ROOT, f"-Dc_args=-D{PLANTED}")
    harness.shell("ninja", "-C", build, "cli/kauri")
    return build / "cli" / "kauri"


def run_planted(seed):
    """True when the bug was found."""
    program = build_planted()
    home = harness.Home("power-planted")
    done, total, faults, _ = run(home, PLANTED_CUTS, program, seed, LONG_LIMIT_S)
    home.close()
    missing = total.counts["lost"] + total.counts["wrong"]
    settings = sum("which is none of" in fault for fault in faults)
    if missing or settings:
        print(f"ok      acknowledging before the sync: found after {done} cuts, {missing} records and "
              f"{settings} changes of settings missing")
    else:
        print(f"FAILED  acknowledging before the sync: not found in {done} cuts: {faults}"[:800])
    return missing + settings > 0


def run_real(cuts, seed):
    """True when nothing was wrong."""
    home = harness.Home("power")
    done, total, faults, readies = run(home, cuts, harness.KAURI, seed, LONG_LIMIT_S)
    home.close()
    for fault in faults:
        print(f"FAILED  {fault}")
    ms = [s * 1000 for s in readies]
    print(f"{'FAILED' if faults else 'ok    '}  {done} power cuts; {total.line()}; {total.changes} "
          f"changes of settings; restart to ready p50 {harness.percentile(ms, 50):.0f} "
          f"p99 {harness.percentile(ms, 99):.0f} max "
          f"{max(ms, default=0):.0f} ms", flush=True)
    return not faults


def main():
    parser = argparse.ArgumentParser(description="Power cuts under load.")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--cuts", type=int)
    parser.add_argument("--long", action="store_true", help=f"{CUTS_LONG} cuts")
    parser.add_argument("--planted", action="store_true", help="only the planted bug")
    parser.add_argument("--no-planted", action="store_true", help="without the planted bug")
    options = parser.parse_args()
    cuts = options.cuts or (CUTS_LONG if options.long or harness.LONG else CUTS)
    harness.own_mounts()
    why = harness.no_disks()
    if why is not None:
        print(f"skipped: {why}")
        return harness.SKIP
    seed = harness.seed_of(options)
    good = options.planted or run_real(cuts, seed)
    good = (options.no_planted or run_planted(seed)) and good
    print(f"power: {'ok' if good else 'FAILED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

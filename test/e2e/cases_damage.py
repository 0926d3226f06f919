# SPDX-License-Identifier: MIT
"""damage: bytes that changed while the broker was down. Never a wrong byte to a reader, never a file
deleted for it; what can be derived is derived again; what is lost is told by offset."""
import os
import re
import shutil

import harness

COUNT = 3000
SEGMENT = 65536
FLIPS = 200 if harness.LONG else 12
DAMAGED = re.compile(r"offsets (\d+) to (\d+) of t-0 are damaged")
NOTHING_FOLLOWS = re.compile(r"offset (\d+) of t-0 is damaged, and nothing good follows")


def line(i):
    return f"{i:06d} " + f"{i * 7919 % 1000003:06d} " * 12


class Pristine:
    """A data folder with one topic in several segments, and copies of it to damage."""

    def __init__(self, t):
        self.broker = t.broker()
        self.broker.run("topic", "create", "t", "-c", f"segment.bytes={SEGMENT}")
        text = "".join(line(i) + "\n" for i in range(COUNT))
        done = self.broker.run("produce", "t", "--batch-size", "8K", data=text)
        assert done.code == 0, done
        self.broker.stop()
        self.kept = self.broker.folder / "pristine"
        shutil.copytree(self.broker.data, self.kept)

    def fresh(self):
        """The data folder as it was; its path."""
        self.broker.kill()
        shutil.rmtree(self.broker.data)
        shutil.copytree(self.kept, self.broker.data)
        return self.broker.data

    def files(self, pattern):
        return sorted(p.relative_to(self.kept) for p in self.kept.glob(pattern))


def read_all(broker):
    """(offsets read, offsets told as damaged, Done); wrong: a line that is not its offset's."""
    done = broker.run("consume", "t", "-o", "start", "-e", "-f", "%o %s\n")
    got, wrong = set(), []
    for row in done.lines():
        offset, _, text = row.partition(" ")
        if text != line(int(offset)) or int(offset) in got:
            wrong.append(row)
        got.add(int(offset))
    told = set()
    for first, last in DAMAGED.findall(done.errors):
        told |= set(range(int(first), int(last) + 1))
    for first in NOTHING_FOLLOWS.findall(done.errors):
        told |= set(range(int(first), COUNT))
    return got, told, wrong, done


def judge(t, pristine, what, may_lose):
    """Starts on the damaged folder and reads everything. The offsets that could be read."""
    broker = pristine.broker
    if broker.start() is None:
        t.check.that(f"{what}: it starts", False, f"exit {broker.code}: {broker.errors()[-600:]}")
        return set()
    got, told, wrong, done = read_all(broker)
    t.check.that(f"{what}: no wrong byte", not wrong, wrong[:3])
    if may_lose:
        left = set(range(COUNT)) - got
        t.check.that(f"{what}: what is missing is told ({len(left)}), exit {done.code}",
                     left <= told and not told & got and done.code == (5 if left else 0), done)
    else:
        t.check.that(f"{what}: all is there", len(got) == COUNT and done.code == 0, done)
    again = broker.run("produce", "t", data="later\n")
    t.check.that(f"{what}: it takes records", again.code == 0, again)
    code = broker.stop()
    t.check.that(f"{what}: it stops in order", code == 0, f"exit {code}: {broker.errors()[-600:]}")
    return got


def flip(path, chance, size=None):
    """One bit of a file, of its first `size` bytes; where."""
    data = bytearray(path.read_bytes())
    at = chance.randrange(size or len(data))
    data[at] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    return at


def used_size(path):
    """Of a .log: without what was only preallocated. (A batch says its size at byte 8.)"""
    data, at = path.read_bytes(), 0
    while at + 61 <= len(data) and int.from_bytes(data[at + 8:at + 12], "big") > 0:
        at += 12 + int.from_bytes(data[at + 8:at + 12], "big")
    return at


def case_log_flips(t):
    """A bit of a log: the batch is left out and named, the rest is served, verify finds it."""
    pristine = Pristine(t)
    logs = pristine.files("t-0/*.log")
    t.check.that("there are several segments", len(logs) > 3, logs)
    for n in range(FLIPS):
        data = pristine.fresh()
        path = data / t.random.choice(logs)
        at = flip(path, t.random, used_size(path))
        size = path.stat().st_size
        done = pristine.broker.plain("verify", "--deep", data)
        t.check.that(f"{path.name}:{at}: verify: exit 5", done.code == 5 and "DAMAGED" in done.text, done)
        got = judge(t, pristine, f"{path.name}:{at}", True)
        t.check.that(f"{path.name}:{at}: at most a few batches are lost", len(got) > COUNT - 400, len(got))
        t.check.that(f"{path.name}:{at}: nothing is cut or deleted", path.exists() and
                     path.stat().st_size >= size, path)


def case_derived_flips(t):
    """A bit of what is derived: everything is served."""
    pristine = Pristine(t)
    for pattern in ("t-0/*.index", "t-0/*.timeindex", "t-0/*.snapshot", "t-0/state", "view/data.mdb",
                    "view/lock.mdb"):
        files = pristine.files(pattern)
        t.check.that(f"there is {pattern}", files)
        for n in range(max(1, FLIPS // 4)):
            path = pristine.fresh() / t.random.choice(files)
            at = flip(path, t.random)
            judge(t, pristine, f"{path.name}:{at}", False)


def case_derived_gone(t):
    """What is derived, cut in half, emptied or gone: everything is served."""
    pristine = Pristine(t)
    for pattern in ("t-0/*.index", "t-0/*.timeindex", "t-0/*.snapshot", "view/data.mdb", "view/lock.mdb"):
        for how in ("half", "empty", "gone"):
            data = pristine.fresh()
            for path in pristine.files(pattern):
                size = (data / path).stat().st_size
                if how == "gone":
                    (data / path).unlink()
                else:
                    os.truncate(data / path, size // 2 if how == "half" else 0)
            judge(t, pristine, f"{pattern} {how}", False)
    shutil.rmtree(pristine.fresh() / "view")
    judge(t, pristine, "no view at all", False)


def case_wrong_index(t):
    """Indexes of one segment under the name of another, and indexes of noise."""
    pristine = Pristine(t)
    for suffix in ("index", "timeindex"):
        files = pristine.files(f"t-0/*.{suffix}")
        data = pristine.fresh()
        for a, b in zip(files, files[1:]):
            shutil.copyfile(pristine.kept / b, data / a)
        judge(t, pristine, f"{suffix}: another segment's", False)
        data = pristine.fresh()
        for path in files:
            (data / path).write_bytes(t.random.randbytes(4096))
        judge(t, pristine, f"{suffix}: noise", False)


def case_cut_segments(t):
    """A segment cut short: in the middle its records are missed and named; the others are served."""
    pristine = Pristine(t)
    logs = pristine.files("t-0/*.log")
    for path in (logs[1], logs[-1]):
        data = pristine.fresh()
        size = used_size(data / path)
        os.truncate(data / path, size // 2)
        done = pristine.broker.plain("verify", "--deep", data)
        t.check.that(f"{path.name} cut: verify: exit 5", done.code == 5, done)
        got = judge(t, pristine, f"{path.name} cut", True)
        first = int(path.stem)
        t.check.that(f"{path.name} cut: what lies in front is served", set(range(first)) <= got, len(got))
        t.check.that(f"{path.name} cut: half of it is", len(got) < COUNT and len(got) > first, len(got))
    data = pristine.fresh()
    (data / logs[1]).unlink()
    judge(t, pristine, f"{logs[1].name} gone", True)


def case_torn_tail(t):
    """After a kill, bytes behind the last acknowledged record: cut, told, nothing else."""
    pristine = Pristine(t)
    broker = pristine.broker
    pristine.fresh()
    broker.start()
    broker.run("produce", "t", data="x\n")
    broker.kill()
    log = sorted(broker.partition("t").glob("*.log"))[-1]
    size = used_size(log)
    with open(log, "r+b") as f:
        f.seek(size)
        f.write(t.random.randbytes(300))
    broker.start()
    got = broker.run("consume", "t", "-o", "start", "-e")
    t.check.that("all that was acknowledged is there", got.code == 0 and len(got.lines()) == COUNT + 1, got)
    t.check.that("the cut is told", "torn tail cut" in broker.errors(), broker.errors()[-500:])
    done = broker.run("produce", "t", data="y\n")
    t.check.that("the next record takes the next offset", f"offset {COUNT + 1}" in done.text, done)


def case_meta_flips(t):
    """A bit of __meta: the broker starts with what it knows, or refuses; it never deletes topics."""
    pristine = Pristine(t)
    log = pristine.files("__meta/*.log")[0]
    size = used_size(pristine.kept / log)
    for n in range(max(4, FLIPS // 2)):
        data = pristine.fresh()
        at = flip(data / log, t.random, size)
        before = sum(p.stat().st_size for p in data.rglob("*.log"))
        broker = pristine.broker
        if broker.start() is not None:
            got, _, wrong, done = read_all(broker)
            t.check.that(f"__meta:{at}: it starts, no wrong byte", not wrong and len(got) == COUNT, done)
            broker.kill()
        else:
            t.check.that(f"__meta:{at}: refused, exit 5, told",
                         broker.code == 5 and "__meta" in broker.errors(), broker.errors()[-300:])
        after = sum(p.stat().st_size for p in data.rglob("*.log"))
        t.check.that(f"__meta:{at}: no log went", after >= before, (before, after))


def case_orphan(t):
    """A topic's folder that __meta does not know is put aside, not deleted."""
    pristine = Pristine(t)
    data = pristine.fresh()
    shutil.copytree(data / "t-0", data / "unknown-7")
    judge(t, pristine, "a folder of no topic", False)
    kept = list(data.glob("lost+found/unknown-7*/*.log")) + list(data.glob("unknown-7/*.log"))
    t.check.that("the folder of no topic is kept", len(kept) == len(pristine.files("t-0/*.log")), kept)
    t.check.that("and told", "unknown-7" in pristine.broker.errors())

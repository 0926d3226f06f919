#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""main_job: the job kauri is for, on real input.

A corpus of real text (documentation, headers, sources, manual pages of this machine; .gz unpacked)
goes line by line, keyed by the file it comes from, through `kauri produce -K -z zstd` into a topic of
six partitions, many files at once in turns, while the broker is killed with -9 and started again.
Then `kauri consume` reads it back, and of every source the lines must be there, byte for byte and in
order: a sha256 per source. No source is used twice.

    test/main_job.py [--seed N] [--size MB] [--kills N] [--root DIR]...

20 MB and 3 kills; with KAURI_TEST_LONG=1 1024 MB and 10 kills. The last line gives the figures.
"""
import argparse
import gzip
import hashlib
import os
import random
import stat
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness

PARTITIONS = 6
TOPIC = "corpus"
SEPARATOR = b"\t"  # the first in a line ends the key; paths with one are left out
AT_ONCE = 16       # sources that take turns
LINES_MAX = 300    # of one turn
LINE_SIZE_MAX = 900000
SOURCE_SIZE_MAX = 64 << 20
MEGABYTE = 1 << 20


def default_roots():
    kits = [Path.home() / name for name in (".rustup", ".cargo", "go")]
    return [p for p in [Path("/usr"), Path("/opt"), Path(sys.base_prefix), *kits] if p.is_dir()]


def read_source(path):
    """The text of a file, unpacked; None when it is none, or cannot be a source."""
    try:
        data = gzip.open(path).read() if path.endswith(b".gz") else open(path, "rb").read()
    except (OSError, EOFError, gzip.zlib.error):
        return None
    lines = data.split(b"\n")
    if not data or b"\0" in data or max(map(len, lines)) > LINE_SIZE_MAX:
        return None
    return lines[:-1] if data.endswith(b"\n") else lines


def is_source(path, seen):
    """A regular file, not seen under another name, whose name can be a key."""
    try:
        info = os.lstat(path)
    except OSError:
        return False
    known = (info.st_dev, info.st_ino) in seen
    seen.add((info.st_dev, info.st_ino))
    return not known and stat.S_ISREG(info.st_mode) and info.st_size <= SOURCE_SIZE_MAX and \
        SEPARATOR not in path and b"\n" not in path


def find_files(roots, chance):
    """Paths of files, each file once, in a walk of random order."""
    seen = set()
    for root in chance.sample(roots, len(roots)):
        for folder, folders, names in os.walk(os.fsencode(root)):
            folders.sort()
            chance.shuffle(folders)
            for name in chance.sample(sorted(names), len(names)):
                path = os.path.join(folder, name)
                if is_source(path, seen):
                    yield path


class Corpus:
    """Sources, read when their turn comes, until there are `size` bytes; what went in, by source."""

    def __init__(self, roots, size, chance):
        self.chance, self.size = chance, size
        self.paths = find_files(roots, chance)
        self.sums, self.bytes, self.lines, self.planned = {}, 0, 0, 0

    def next_source(self):
        """[path, lines, position] or None."""
        while self.planned < self.size:
            path = next(self.paths, None)
            if path is None:
                return None
            lines = read_source(path)
            if lines:
                self.planned += sum(map(len, lines)) + len(lines)
                self.sums[path] = hashlib.sha256()
                return [path, lines, 0]
        return None

    def turns(self):
        """Bytes for stdin of `kauri produce`, a few lines of one source at a time."""
        open_sources = [s for s in (self.next_source() for _ in range(AT_ONCE)) if s]
        while open_sources:
            source = self.chance.choice(open_sources)
            path, lines, at = source
            some = lines[at:at + self.chance.randrange(1, LINES_MAX)]
            text = b"\n".join(some) + b"\n"
            self.sums[path].update(text)
            self.bytes += len(text)
            self.lines += len(some)
            source[2] = at + len(some)
            if source[2] == len(lines):
                open_sources.remove(source)
                fresh = self.next_source()
                open_sources += [fresh] if fresh else []
            yield b"".join([path + SEPARATOR + line + b"\n" for line in some])


def produce(broker, corpus, kills, chance):
    """Feeds the corpus, kills on the way. (exit code, stderr, kills made)."""
    limits = sorted(chance.uniform(0.05, 0.95) * corpus.size for _ in range(kills))
    child = broker.open("produce", TOPIC, "-K", SEPARATOR.decode(), "-z", "zstd", "-q",
                        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                        stderr=open(broker.folder / "produce", "wb"))
    killed = 0
    try:
        for text in corpus.turns():
            child.stdin.write(text)
            if killed < len(limits) and corpus.bytes >= limits[killed]:
                broker.kill()
                killed += 1
                time.sleep(chance.uniform(0.0, 0.3))
                if broker.start() is None:
                    return 1, f"the broker does not start again: {broker.errors()}", killed
        child.stdin.close()
    except BrokenPipeError:
        pass
    code = child.wait(300)
    return code, (broker.folder / "produce").read_text(errors="replace"), killed


def consume(broker):
    """Reads everything back: (exit code, source -> sha256, lines)."""
    child = broker.open("consume", TOPIC, "-o", "start", "-e", "-q", "-f", "%k\\t%s\\n",
                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    sums, count = {}, 0
    for row in child.stdout:
        path, _, line = row.partition(SEPARATOR)
        if path not in sums:
            sums[path] = hashlib.sha256()
        sums[path].update(line)
        count += 1
    return child.wait(60), sums, count


def compare(check, corpus, sums, lines):
    wrong = [os.fsdecode(path) for path, wanted in corpus.sums.items()
             if path not in sums or sums[path].digest() != wanted.digest()]
    check.equal("as many lines as went in", lines, corpus.lines)
    check.that(f"{len(corpus.sums)} sources are byte-identical and in order", not wrong, wrong[:5])
    check.that("and nothing else is there", set(sums) <= set(corpus.sums),
               list(set(sums) - set(corpus.sums))[:5])


def disk_size(folder):
    return sum(p.stat().st_blocks * 512 for p in folder.rglob("*") if p.is_file())


def run(options, seed):
    chance = random.Random(seed)
    home, check = harness.Home("job"), harness.Checks()
    corpus = Corpus(options.root or default_roots(), options.size * MEGABYTE, random.Random(seed))
    broker = harness.Broker(home)
    broker.start()
    broker.run("topic", "create", TOPIC, "-p", PARTITIONS)
    start = time.monotonic()
    code, said, killed = produce(broker, corpus, options.kills, chance)
    produced_s = time.monotonic() - start
    check.that("everything was acknowledged", code == 0, f"exit {code}: {said[-800:]}")
    check.equal("kills", killed, options.kills)
    if corpus.bytes < options.size * MEGABYTE:
        print(f"        this machine has {corpus.bytes >> 20} MB of text to offer")
    start = time.monotonic()
    code, sums, lines = consume(broker)
    consumed_s = time.monotonic() - start
    check.equal("consume ends in order", code, 0)
    compare(check, corpus, sums, lines)
    ends = [p["end"] for p in broker.describe(TOPIC)["partitions"]]
    check.equal("the offsets say the same", sum(ends), corpus.lines)
    check.equal("the broker stops in order", broker.stop(), 0)
    stored = sum(disk_size(broker.partition(TOPIC, n)) for n in range(PARTITIONS))
    done = broker.plain("verify", "--deep", broker.data)
    check.that("verify --deep", done.code == 0, done)
    mb = corpus.bytes / MEGABYTE
    print(f"{mb:.0f} MB, {corpus.lines} lines, {len(corpus.sums)} sources, {killed} kills: produced in "
          f"{produced_s:.1f} s ({mb / produced_s:.0f} MB/s), consumed in {consumed_s:.1f} s "
          f"({mb / consumed_s:.0f} MB/s), {stored / MEGABYTE:.0f} MB on disk "
          f"({stored * 100 / max(1, corpus.bytes):.0f} % of the raw lines)")
    return check.close("main job")


def main():
    parser = argparse.ArgumentParser(description="The main job, on real input.")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--size", type=int, metavar="MB", default=1024 if harness.LONG else 20)
    parser.add_argument("--kills", type=int, default=10 if harness.LONG else 3)
    parser.add_argument("--root", type=Path, action="append", help="where to look for text")
    options = parser.parse_args()
    return run(options, harness.seed_of(options))


if __name__ == "__main__":
    sys.exit(main())

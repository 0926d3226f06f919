# SPDX-License-Identifier: MIT
"""segments: the batches in a partition folder, by their headers alone (RecordBatch v2)."""
import collections
import struct

# base offset, length, leader epoch, magic, crc, attributes, last delta, first and last time,
# producer id, epoch, base sequence, count
HEADER = struct.Struct(">qiibIhiqqqhii")
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
MAGIC = 2

Batch = collections.namedtuple("Batch", "base count codec producer size")


def batches(folder):
    """All of them, segment after segment, up to the end of what is written."""
    found = []
    for path in sorted(folder.glob("*.log")):
        data = path.read_bytes()
        pos = 0
        while pos + HEADER.size <= len(data):
            (base, length, _, magic, _, attributes, _, _, _, producer, _, _,
             count) = HEADER.unpack_from(data, pos)
            if magic != MAGIC or length <= 0:
                break
            found.append(Batch(base, count, CODECS[attributes & 7], producer, 12 + length))
            pos += 12 + length
    return found


def count(folder):
    return sum(b.count for b in batches(folder))

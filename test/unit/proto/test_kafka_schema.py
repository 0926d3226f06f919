#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_kafka_schema: the generator refuses wrong schemas, naming the line, and its digest tells changes.

    test_kafka_schema.py GEN.PY FILE.kdl ...

Prints what failed; exit status 1 then.
"""
import subprocess
import sys
import tempfile
from pathlib import Path

HEADERS = """header request  known 1-2  flexible 2
    api_key i16
header response  known 0-1  flexible 1
    correlation_id i32
"""
GOOD = """api ping 7  known 0-3  offer 0-2  flexible 2
request
    name string?1
    items [item] v1+
        size i32 = -1
response
    error i16
    note string? v2+ tag0
"""
# What is replaced in GOOD by what, the line of the fault, and a word of it.
FAULTS = [
    ("name string?1", "name strin", 3, "has no fields"),
    ("name string?1", "name string?x", 3, "is not a type"),
    ("name string?1", "Name string", 3, "NAME TYPE"),
    ("name string?1", "int string", 3, "NAME TYPE"),
    ("name string?1", "name [string", 3, "is not a type"),
    ("name string?1", "name string v4+", 3, "not within"),
    ("name string?1", "name string v2-1", 3, "not within"),
    ("name string?1", "name i32?", 3, "cannot be null"),
    ("name string?1", "name string = 5", 3, "default"),
    ("name string?1", "name string sometimes", 3, "not understood"),
    ("name string?1", "items string", 4, "second field"),
    ("name string?1", "name string\n    name string", 4, "second field"),
    ("name string?1", "\tname string", 3, "a tab"),
    ("items [item] v1+", "items item?2 v1+", 4, "may be null from its first"),
    ("size i32 = -1", "size i8 = 128", 5, "is not an i8"),
    ("size i32 = -1", "size i8 plain", 5, "plain"),
    ("        size", "      size", 5, "indentation"),
    ("    note", "        note", 8, "indentation"),
    ("v2+ tag0", "v1+ tag0", 8, "not flexible"),
    ("v2+ tag0", "v2+ tag0\n    more i8 v2+ tag0", 9, "second tag"),
    ("known 0-3", "known 3", 1, "range of versions"),
    ("offer 0-2", "offer 0-4", 1, "offer"),
    ("offer 0-2", "", 1, "an offer"),
    ("known 0-3  offer 0-2", "known none  offer none", 1, "range of versions"),
    ("flexible 2", "flexible two", 1, "not a number"),
    ("flexible 2", "stiff 2", 1, "not understood"),
    ("response\n", "request\n", 6, "second request"),
    ("api ping 7", "ape ping 7", 1, "not understood"),
]


def gen(program, args):
    return subprocess.run([sys.executable, program, *map(str, args)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)


def faults(program, folder):
    """What is wrong with what the generator says of each wrong schema."""
    headers, schema = folder / "headers.kdl", folder / "ping.kdl"
    headers.write_text(HEADERS)
    for old, new, line, word in FAULTS:
        schema.write_text(GOOD.replace(old, new, 1))
        done = gen(program, ["digest", headers, schema])
        place = f"{schema}:{line}: "
        if done.returncode != 1 or place not in done.stderr or word not in done.stderr or done.stdout:
            yield f"'{old}' as '{new}': wanted {place}..{word}, got {done.returncode} {done.stderr.strip()}"
    schema.write_text(GOOD + GOOD.replace("ping", "pong"))
    if "two of them" not in gen(program, ["digest", headers, schema]).stderr:
        yield "a key twice was taken"


def changes(program, folder):
    """Every change of the wire changes the digest, in the versions it touches and no others."""
    headers, schema, committed = folder / "headers.kdl", folder / "ping.kdl", folder / "digest"
    schema.write_text(GOOD)
    committed.write_text(gen(program, ["digest", headers, schema]).stdout)
    if gen(program, ["check", committed, headers, schema]).returncode != 0:
        yield "the digest differs from itself"
    for old, new, count in [("size i32 = -1", "size i32", 0), ("name string?1", "name string", 3),
                            ("error i16", "error i32", 4), ("tag0", "tag1", 2), ("string? v2+ tag0", "string? v2+", 2),
                            ("[item] v1+", "[item] v2+", 1), ("flexible 2", "flexible 1", 2)]:
        schema.write_text(GOOD.replace(old, new, 1))
        done = gen(program, ["check", committed, headers, schema])
        changed = sum(line.startswith("+7 ") for line in done.stdout.splitlines())
        if changed != count or done.returncode != (1 if count else 0):
            yield f"'{old}' as '{new}': {changed} layouts changed, wanted {count}"


def main(program, schema):
    with tempfile.TemporaryDirectory() as folder:
        wrong = [*faults(program, Path(folder)), *changes(program, Path(folder))]
    if gen(program, ["digest", *schema]).returncode != 0:
        wrong.append("the schema itself is refused")
    print("\n".join(wrong) or f"{len(FAULTS) + 1} faults and 7 changes found")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))

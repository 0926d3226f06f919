#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kafka_naive: a second, dumb encoder of the schema, written without a look at the first.

    kafka_naive.py OUT FILE.kdl ...      writes fixtures

A fixture is a line of tab-separated columns: key, request or response, version, the body in hex, the
text that kp_print gives for it, and the text of the same message seen as one of the newest version,
where fields that it did not carry show their defaults. The values are random, with a fixed seed; and
there is an error answer of each response in each version: one element in every list, the error in
every place that has one, else defaults. A response without a place for an error is a fault.
"""
import random
import re
import struct
import sys
from pathlib import Path

EACH = 6  # random fixtures of one message and version
ERROR = 41
BITS = {"i8": ">b", "i16": ">h", "u16": ">H", "i32": ">i", "i64": ">q", "f64": ">d"}
STRINGS = ["", "t", "orders", "a.b_c-9", 'quo"te', "back\\slash", "ümlaut", "\x00\x7f", "x" * 130]
rnd = random.Random(20)


def parse(path):
    """[(api words, {message: tree})]; a tree is a list of fields, a field a dict."""
    apis = []
    for raw in Path(path).read_text().splitlines():
        words = raw.partition("#")[0].split()
        if not words:
            continue
        if words[0] in ("api", "header"):
            apis.append((words, {}))
            stack = None
        elif words[0] in ("request", "response"):
            apis[-1][1][words[0]] = top = []
            stack = [(0, top)]
        elif stack is not None:
            indent = len(raw) - len(raw.lstrip())
            while stack[-1][0] >= indent:
                stack.pop()
            field = parse_field(words)
            stack[-1][1].append(field)
            stack.append((indent, field["sub"]))
    return apis


def parse_field(words):
    kind = re.fullmatch(r"(\[?)(\w+)\]?(\?\d*)?", words[1])
    rest = " ".join(words[2:])
    tag = re.search(r"\btag(\d+)", rest)
    default = re.search(r"= (\S+)", rest)
    versions = re.search(r"\bv(\d*)([-+]?)(\d*)", rest)
    lo, hi = 0, 999
    if versions:
        lo = int(versions[1] or 0)
        hi = 999 if versions[2] == "+" else int(versions[3] or versions[1])
    null = 999 if kind[3] is None else int(kind[3][1:] or 0)
    value = 0 if default is None else 1 if default[1] == "true" else int(default[1], 0)
    return {"name": words[0], "type": kind[2], "list": bool(kind[1]), "null": null, "lo": lo, "hi": hi,
            "tag": int(tag[1]) if tag else None, "default": value, "plain": "plain" in words[2:], "sub": []}


def has(field, version):
    return field["lo"] <= version <= field["hi"]


def default(field):
    if field["null"] != 999:
        return None
    if field["list"]:
        return []
    if field["sub"]:
        return {f["name"]: default(f) for f in field["sub"]}
    return {"string": b"", "bytes": b"", "uuid": bytes(16)}.get(field["type"], field["default"])


# ---- Random values ------------------------------------------------------------------------------
def invent_one(field, version):
    kind = field["type"]
    if field["sub"]:
        return invent(field["sub"], version)
    if kind == "bool":
        return rnd.randrange(2)
    if kind == "string":
        return rnd.choice(STRINGS).encode()
    if kind == "bytes":
        return rnd.randbytes(rnd.choice([0, 1, 31, 32, 33, 200]))
    if kind == "uuid":
        return rnd.randbytes(16)
    size = struct.calcsize(BITS[kind])
    return struct.unpack(BITS[kind], rnd.choice([b"\0" * size, b"\xff" * size, rnd.randbytes(size)]))[0]


def invent_field(field, version):
    if not has(field, version) or (field["tag"] is not None and rnd.random() < 0.4):
        return default(field)
    if field["null"] <= version and rnd.random() < 0.25:
        return None
    if field["list"]:
        return [invent_one(field, version) for _ in range(rnd.choice([0, 1, 1, 2, 3]))]
    return invent_one(field, version)


def invent(fields, version):
    return {f["name"]: invent_field(f, version) for f in fields}


def error_answer(fields, version):
    value = {}
    for f in fields:
        value[f["name"]] = default(f)
        if f["name"] == "error" and has(f, version):
            value["error"] = ERROR
        elif value[f["name"]] is None and has(f, version) and f["null"] > version:
            value[f["name"]] = [] if f["list"] else b""
        if f["sub"] and has(f, version):
            inner = error_answer(f["sub"], version)
            value[f["name"]] = [inner] if f["list"] else inner
    return value


# ---- Bytes --------------------------------------------------------------------------------------
def uvarint(n):
    out = b""
    while n > 127:
        out += bytes([n % 128 + 128])
        n //= 128
    return out + bytes([n])


def length(n, flexible, form):
    """n of None is null."""
    if flexible:
        return uvarint(0 if n is None else n + 1)
    return struct.pack(form, -1 if n is None else n)


def encode_one(field, value, version, flexible):
    kind = field["type"]
    if field["sub"]:
        return encode(field["sub"], value, version, flexible)
    if kind in ("string", "bytes"):
        form = ">h" if kind == "string" else ">i"
        return length(None if value is None else len(value), flexible and not field["plain"], form) + (value or b"")
    if kind == "uuid":
        return value
    return struct.pack(">b" if kind == "bool" else BITS[kind], value)


def encode_field(field, value, version, flexible):
    if field["list"]:
        out = length(None if value is None else len(value), flexible, ">i")
        return out + b"".join(encode_one(field, v, version, flexible) for v in value or [])
    if field["sub"] and field["null"] != 999:
        return b"\xff" if value is None else b"\x01" + encode_one(field, value, version, flexible)
    return encode_one(field, value, version, flexible)


def encode(fields, value, version, flexible):
    here = [f for f in fields if has(f, version)]
    out = b"".join(encode_field(f, value[f["name"]], version, flexible) for f in here if f["tag"] is None)
    if not flexible:
        return out
    tagged = sorted((f["tag"], encode_field(f, value[f["name"]], version, flexible))
                    for f in here if f["tag"] is not None and value[f["name"]] != default(f))
    out += uvarint(len(tagged))
    return out + b"".join(uvarint(tag) + uvarint(len(data)) + data for tag, data in tagged)


# ---- Text ---------------------------------------------------------------------------------------
def text_one(field, value, version):
    kind = field["type"]
    if value is None:
        return "null"
    if field["sub"]:
        return text(field["sub"], value, version)
    if kind == "bool":
        return "true" if value else "false"
    if kind == "string":
        return '"' + "".join(chr(c) if 32 <= c < 127 and c not in b'"\\' else f"\\x{c:02x}" for c in value) + '"'
    if kind == "bytes":
        return f"{len(value)}:{value[:32].hex()}" + (".." if len(value) > 32 else "")
    if kind == "f64":
        return f"{value:.17g}"
    return value.hex() if kind == "uuid" else str(value)


def text(fields, value, version):
    parts = []
    for f in sorted(fields, key=lambda f: (f["tag"] is not None, f["tag"] or 0)):
        v = value[f["name"]]
        if not has(f, version):
            continue
        if f["list"] and v is not None:
            parts.append(f["name"] + "=[" + " ".join(text_one(f, x, version) for x in v) + "]")
        else:
            parts.append(f["name"] + "=" + text_one(f, v, version))
    return "{" + " ".join(parts) + "}"


def after(words, what):
    return words[words.index(what) + 1]


def main(out, paths):
    lines = []
    for words, messages in (api for path in paths for api in parse(path)):
        if words[0] == "header":
            continue
        low, high = map(int, after(words, "known").split("-"))
        flexible = 999 if after(words, "flexible") == "never" else int(after(words, "flexible"))
        for message, fields in messages.items():
            for version in range(low, high + 1):
                values = [invent(fields, version) for _ in range(EACH)]
                if message == "response":
                    values.append(error_answer(fields, version))
                    if f"error={ERROR}" not in re.split(r"[ {}\[\]]", text(fields, values[-1], version)):
                        sys.exit(f"{words[1]} version {version}: no place for an error")
                for value in values:
                    body = encode(fields, value, version, version >= flexible)
                    lines.append("\t".join([words[2], message, str(version), body.hex(),
                                            text(fields, value, version), text(fields, value, high)]))
    Path(out).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kauri_client: kauri's own produce and consume over its own protocol, as session.py says.

KAURI names the program, KAURI_NATIVE the broker's address for it. It is in the matrix so that what
one front took in is read through the other.
"""
import base64
import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True
import session


def envelope_in(record):
    """A record of the protocol as an envelope of `kauri produce --json`."""
    line = {"headers": [[name, base64.b64encode(bytes.fromhex(value)).decode(), True]
                        if value is not None else [name, None] for name, value in record["headers"]]}
    for member in ("key", "value"):
        if record[member] is not None:
            line[member + "_base64"] = base64.b64encode(bytes.fromhex(record[member])).decode()
    if record["timestamp"] is not None:
        line["timestamp"] = record["timestamp"]
    return json.dumps(line)


def member_out(line, name):
    if line.get(name + "_base64") is not None:
        return base64.b64decode(line[name + "_base64"])
    return None if line.get(name) is None else line[name].encode()


def header_out(name, value, encoded=False):
    if value is None:
        return name, None
    return name, base64.b64decode(value) if encoded else value.encode()


def record_out(text):
    line = json.loads(text)
    return session.record(line["offset"], line["timestamp"], member_out(line, "key"),
                          member_out(line, "value"), [header_out(*h) for h in line.get("headers") or []])


class Client:
    def __init__(self, bootstrap):
        self.program, self.url = os.environ["KAURI"], os.environ["KAURI_NATIVE"]

    def kauri(self, *words, data=b""):
        done = subprocess.run([self.program, *map(str, words), "-s", self.url], input=data,
                              capture_output=True, timeout=session.LIMIT_S)
        if done.returncode != 0:
            raise RuntimeError(f"kauri {words}: exit {done.returncode}: {done.stderr[-300:]!r}")
        return done.stdout.decode()

    def hello(self, ask):
        said = subprocess.run([self.program, "--version"], capture_output=True, text=True).stdout
        why = "kauri's own protocol has its own tests"
        return {"name": "kauri", "version": said.split()[-1] if said.split() else "", "hash": "murmur2",
                "codecs": ["none", "gzip", "snappy", "lz4", "zstd"],
                "lacks": {check: why for check in ("metadata", "create", "acks", "follow", "run",
                                                   "auto", "stamp", "big")}}

    def produce(self, ask):
        sent = session.now_us()
        words = ["-p", ask["partition"]] if ask["partition"] is not None else []
        self.kauri("produce", ask["topic"], "--json", "--acks", ask.get("acks", "all"),
                   "-z", ask.get("codec", "none"), "--linger", f"{ask.get('linger_ms', 0)}ms", *words,
                   data="\n".join(map(envelope_in, ask["records"])).encode())
        return {"placed": [], "sent_us": sent, "acked_us": session.now_us()}

    def consume(self, ask):
        where = {"beginning": "start", "end": "end"}.get(ask["from"], ask["from"]) \
            if not isinstance(ask["from"], dict) else f"@{ask['from']['time']}"
        said = self.kauri("consume", ask["topic"], "-p", ask["partition"], "-o", where, "-n",
                          ask["count"], "-e", "--json")
        records = [record_out(line) for line in said.splitlines()]
        return {"records": records} if len(records) == ask["count"] else \
            {"error": f"{len(records)} of {ask['count']} records came"}


if __name__ == "__main__":
    session.serve(Client)

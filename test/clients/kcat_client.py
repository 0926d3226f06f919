#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kcat_client: kcat as a person would type it, as session.py says.

Records come in over stdin, parted by strings that occur in no record; those with equal headers go
to one kcat. Records go out through -f, with their lengths, so that any byte may be in them.
"""
import ctypes
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import session

END, KEY = b"<<end of record>>", b"<<end of key>>"
ROW = "%o %T %K %S %h\n%k%s\n"
PLACED = re.compile(r"delivered to partition (\d+) \(offset (-?\d+)\)")
REBALANCED = re.compile(r"^% Group .* rebalanced .*: (assigned|revoked):?(.*)")
PLACED_PLAIN = re.compile(r"delivered to partition (\d+)")


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Client:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap

    def words(self, *more):
        return ["kcat", "-b", self.bootstrap, "-X", "socket.nagle.disable=true", *map(str, more)]

    def kcat(self, *more, data=b""):
        done = subprocess.run(self.words(*more), input=data, capture_output=True,
                              timeout=session.LIMIT_S)
        if done.returncode != 0:
            raise RuntimeError(f"kcat {more}: exit {done.returncode}: {done.stderr[-300:]!r}")
        return done.stdout, done.stderr.decode(errors="replace")

    def hello(self, ask):
        said = subprocess.run(["kcat", "-V"], capture_output=True, text=True, check=True).stdout
        return {"name": "kcat", "codecs": ["none", "gzip", "snappy", "lz4", "zstd"], "hash": "crc32",
                "version": re.search(r"Version (\S+)", said).group(1) +
                f" (librdkafka {re.search(r'librdkafka ([0-9.]+)', said).group(1)})",
                "lacks": {"create": "kcat has no admin", "administer": "kcat has no admin",
                          "commit": "kcat commits by itself only",
                          "consumer_model": "its librdkafka has the classic model only",
                          "timestamp": "kcat -P sets no timestamps",
                          "cluster": "kcat -L does not tell",
                          "empty_key_null_value": "kcat -Z makes null of both",
                          "null_key_empty_value": "kcat -P skips such a line",
                          "null_key_null_value": "kcat -P skips such a line"}}

    def metadata(self, ask):
        told = json.loads(self.kcat("-L", "-J")[0])
        return {"brokers": [[b["id"], b["name"]] for b in told["brokers"]],
                "controller": told["controllerid"],
                "topics": {t["topic"]: len(t["partitions"]) for t in told["topics"]}}

    def produce_words(self, ask):
        words = ["-P", "-E", "-t", ask["topic"], "-X", f"acks={ask.get('acks', 'all')}",
                 "-X", f"linger.ms={ask.get('linger_ms', 0)}", "-X", "message.max.bytes=8388608",
                 "-X", "topic.metadata.refresh.interval.ms=1000",
                 "-z", ask.get("codec", "none"), "-vvv"]
        if ask.get("partition") is not None:
            words += ["-p", ask["partition"]]
        if ask.get("idempotent"):
            words += ["-X", "enable.idempotence=true"]
        return words

    def produce(self, ask):
        runs = []
        for r in ask["records"]:
            like = (r["headers"], r["value"] is None)
            if not runs or runs[-1][0] != like:
                runs.append((like, []))
            runs[-1][1].append(r)
        placed, sent = [], session.now_us()
        for (headers, null), records in runs:
            words = self.produce_words(ask) + ["-D", END.decode(), "-K", KEY.decode()]
            for name, value in headers or []:
                words += ["-H", name if value is None else f"{name}={bytes.fromhex(value).decode()}"]
            words += ["-Z"] if null else []
            data = END.join((b"" if r["key"] is None else bytes.fromhex(r["key"]) + KEY) +
                            (b"" if null else bytes.fromhex(r["value"])) for r in records) + END
            said = self.kcat(*words, data=data)[1]
            told = [[int(p), int(o)] for p, o in PLACED.findall(said)]
            if ask.get("acks") == "0":
                told = [[int(p), None] for p in PLACED_PLAIN.findall(said)]
            if len(told) != len(records):
                return {"error": f"{len(told)} of {len(records)} delivered: {said[-300:]}"}
            placed += told
        return {"placed": placed, "sent_us": sent, "acked_us": session.now_us()}

    def run(self, ask):
        words = self.produce_words({**ask, "partition": 0}) + [
            "-X", f"delivery.timeout.ms={int(session.RUN_LIMIT_S * 1000)}",
            "-X", "reconnect.backoff.max.ms=200", "-X", "retry.backoff.ms=50", "-X", "retries=1000"]
        with tempfile.TemporaryFile() as said:
            child = subprocess.Popen(self.words(*words), stdin=subprocess.PIPE, stderr=said)
            waiting = True
            for i in range(ask["count"]):
                child.stdin.write(b"run %d\n" % i)
                child.stdin.flush()
                time.sleep(ask["pace_us"] / 1e6)
                if waiting and b"delivered" in os.pread(said.fileno(), 4096, 0):
                    session.say(event="acked")
                    waiting = False
            child.stdin.close()
            code = child.wait(session.RUN_LIMIT_S)
            said.seek(0)
            text = said.read().decode(errors="replace")
        if code != 0:
            return {"error": f"kcat: exit {code}: {text[-300:]}"}
        if waiting:
            session.say(event="acked")
        # kcat does not say which record it means; they are delivered in order.
        return {"placed": [int(offset) for _, offset in PLACED.findall(text)]}

    def consume_words(self, ask, where):
        # -u: out at once.
        words = ["-C", "-t", ask["topic"], "-p", ask["partition"], "-q", "-u", "-f", ROW]
        words += ["-o", f"s@{where['time']}" if isinstance(where, dict) else where]
        if ask.get("partition_bytes"):
            words += ["-X", f"max.partition.fetch.bytes={ask['partition_bytes']}"]
        return words

    def read_row(self, stream):
        """The next record of a kcat -f ROW, or None at the end."""
        head = stream.readline()
        if not head:
            return None
        offset, timestamp, key_size, value_size, headers = head[:-1].split(b" ", 4)
        key_size, value_size = int(key_size), int(value_size)
        key = stream.read(max(key_size, 0))
        value = stream.read(max(value_size, 0))
        stream.read(1)
        pairs = [pair.split(b"=", 1) for pair in headers.split(b",") if pair]
        return session.record(int(offset), int(timestamp), key if key_size >= 0 else None,
                              value if value_size >= 0 else None,
                              [(n.decode(), None if v == b"NULL" else v) for n, v in pairs])

    def consume(self, ask):
        words = self.words(*self.consume_words(ask, ask["from"]), "-c", ask["count"])
        records = []
        with subprocess.Popen(["timeout", str(session.LIMIT_S), *words],
                              stdout=subprocess.PIPE) as child:
            while len(records) < ask["count"]:
                row = self.read_row(child.stdout)
                if row is None:
                    return {"error": f"{len(records)} of {ask['count']} records came"}
                records.append(row)
        return {"records": records}

    def follow(self, ask):
        words = self.words(*self.consume_words({**ask, "partition_bytes": None}, "end"),
                           "-c", ask["count"])
        words.remove("-q")  # so that it says when it has reached the end
        with subprocess.Popen(["timeout", str(session.LIMIT_S), *words], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as child:
            for line in child.stderr:
                if b"Reached end" in line:
                    break
            session.say(event="ready")
            for _ in range(ask["count"]):
                row = self.read_row(child.stdout)
                if row is None:
                    return {"error": "kcat ended before all records came"}
                session.say(event="got", at_us=session.now_us(), record=row)
            child.stderr.read()
        return {}

    def join(self, ask):
        words = ["-E", "-G", ask["group"], "-u", "-f", "%p %o\n", "-X", "auto.offset.reset=earliest",
                 "-X", f"session.timeout.ms={ask['session_ms']}",
                 "-X", f"heartbeat.interval.ms={ask['heartbeat_ms']}",
                 "-X", f"auto.commit.interval.ms={ask['auto_ms']}",
                 "-X", "partition.assignment.strategy=" + (ask.get("assignor") or "range"),
                 "-X", "reconnect.backoff.max.ms=200", "-X", "fetch.wait.max.ms=100"]
        if ask.get("instance"):
            words += ["-X", f"group.instance.id={ask['instance']}"]
        with subprocess.Popen(self.words(*words, ask["topic"]), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, preexec_fn=die_with_parent) as child:
            desk, rest = session.Desk(), {child.stdout: b"", child.stderr: b""}
            desk.attend(ask, lambda: self.hear(child, rest, desk), None)
            child.terminate()
            said = child.communicate()[1]
        return {} if child.returncode in (0, -15) else {"error": f"{child.returncode}: {said[-300:]!r}"}

    @staticmethod
    def hear(child, rest, desk):
        """What kcat says on both of its ways out: records, and who owns what."""
        pairs = []
        for stream in select.select([*rest], [], [], 0.1)[0]:
            data = os.read(stream.fileno(), 65536)
            if not data:
                raise RuntimeError(f"kcat ended: {child.wait()}")
            *lines, rest[stream] = (rest[stream] + data).split(b"\n")
            for line in lines:
                if stream is child.stdout:
                    pairs.append([int(n) for n in line.split()])
                elif REBALANCED.search(line.decode()):
                    why, what = REBALANCED.search(line.decode()).groups()
                    named = {int(n) for n in re.findall(r"\[(\d+)\]", what)}
                    desk.owns(why, named if why == "assigned" else set())
        return pairs


if __name__ == "__main__":
    session.serve(Client)

# SPDX-License-Identifier: MIT
"""session: the Python end of the protocol between the driver (run.py) and one client library.

A client program is started with the bootstrap addresses, commas between, as its only argument. It
reads one request a line from stdin and writes one answer a line to stdout, both JSON objects, and ends with its stdin.
An answer with `event` comes before the last one; {"error": TEXT} is the answer to what failed.

A record is {"key": HEX|null, "value": HEX|null, "headers": [[NAME, HEX|null], ...],
"timestamp": MS|null}; one that was read also has "offset".

| request | members | answer |
|---|---|---|
| hello | | name, version, codecs, hash; lacks: {what the library cannot do: why} |
| metadata | | brokers [[id, "host:port"]], topics {name: partitions}; controller, cluster |
| create | topic, partitions, config | outcome: created or exists |
| grow | topic, partitions | outcome: grown |
| produce | topic, partition or null, records, acks "0" "1" "all", codec, linger_ms | placed, times |
| run | topic, count, pace_us, idempotent | event acked at the first; placed |
| consume | topic, partition, from, count, partition_bytes | records |
| follow | topic, partition, count | event ready, event got {record, at_us} for each; {} |
| join | group, topic, session_ms, heartbeat_ms; auto_ms, instance, model, assignor, each | events; {} |
| groups | | groups {name: state, or "" where it is not told} |
| group | group | state, members [{id, client, instance, partitions}] |
| offsets | group, topic | offsets {partition: [offset, metadata]} |
| set_offsets, forget | group, topic, offsets {partition: offset} | {} |
| delete_group | group | {} |

`produce` answers placed, [partition, offset] of each record, where acks=0 has null for the offset,
and sent_us and acked_us; `run` answers placed, the offset of each. `from` is "beginning", "end", an
offset or {"time": ms}; `follow` begins at the end.

`join` makes a member of a group, reading from the beginning where nothing is committed, until the
line {"op": "leave"}; {"op": "commit", "metadata": TEXT or null} commits what it has read. Its events:
here, once; owns {why, partitions, at_us, generation, member}, all it owns from now on, said after an
assignment and before the broker hears of a revocation; got {records: [[partition, offset]...]};
committed {offsets: {partition: offset}, at_us} or refused {why}. In Python a commit may tell its
`offsets`, and after_ms, to be busy for so long first. auto_ms: it commits by itself so
often; each: after every batch; model: "classic" or "consumer"; assignor: in the library's words.

`run` sends the records "run 0", "run 1"... to partition 0, one every pace_us, acks=all, through
whatever happens to the broker. Times are microseconds since 1970.
"""
import json
import os
import select
import sys
import time
import traceback

LIMIT_S = 20.0
RUN_LIMIT_S = 60.0


def now_us():
    return time.time_ns() // 1000


def say(**words):
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def unhex(text):
    return None if text is None else bytes.fromhex(text)


def hexed(data):
    return None if data is None else bytes(data).hex()


def headers_of(record):
    return [(name, unhex(value)) for name, value in record.get("headers") or []]


def record(offset, timestamp, key, value, headers):
    return {"offset": offset, "timestamp": timestamp, "key": hexed(key), "value": hexed(value),
            "headers": [[name, hexed(data)] for name, data in headers or []]}


def until(question, limit_s=LIMIT_S):
    """Calls question() until it is true; False when time is up first."""
    end = time.monotonic() + limit_s
    while not question():
        if time.monotonic() > end:
            return False
    return True


class Desk:
    """What a member says. It counts positions and owned partitions for the library."""

    def __init__(self, generation=lambda: (None, None)):
        self.owned, self.next, self.generation = set(), {}, generation

    def owns(self, why, partitions):
        """All it owns from now on."""
        self.owned = set(partitions)
        self.next = {p: o for p, o in self.next.items() if p in self.owned}
        generation, member = self.generation()
        say(event="owns", why=why, partitions=sorted(self.owned), at_us=now_us(),
            generation=generation, member=member)

    def got(self, pairs):
        if pairs:
            say(event="got", records=pairs)
        self.next.update((p, o + 1) for p, o in pairs if p in self.owned)

    def attend(self, ask, take, commit):
        """Until it is to leave: take() gives [partition, offset] pairs, commit(offsets, metadata)
        commits or raises."""
        say(event="here")
        while True:
            order = ordered()
            if order.get("op") == "leave":
                return
            if order.get("op") == "commit":
                time.sleep(order.get("after_ms", 0) / 1000)
                self.commit(commit, order.get("metadata"), order.get("offsets"))
            pairs = take()
            self.got(pairs)
            if pairs and ask.get("each"):
                self.commit(commit, None)

    def commit(self, commit, metadata, offsets=None):
        offsets = {int(p): o for p, o in (offsets or self.next).items()}
        try:
            commit(offsets, metadata)
            say(event="committed", offsets=offsets, at_us=now_us())
        except Exception as e:
            say(event="refused", why=f"{type(e).__name__}: {e}"[:300])


def ordered():
    """The line that waits on stdin, or nothing; ends with stdin."""
    if not select.select([sys.stdin], [], [], 0)[0]:
        return {}
    line = sys.stdin.readline()
    if not line:
        os._exit(0)
    return json.loads(line)


def answer(client, ask):
    try:
        return getattr(client, ask["op"])(ask)
    except Exception as e:
        traceback.print_exc()
        return {"error": f"{type(e).__name__}: {e}"[:600]}


def serve(client_type):
    client = client_type(sys.argv[1])
    for line in sys.stdin:
        say(**answer(client, json.loads(line)))

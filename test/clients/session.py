# SPDX-License-Identifier: MIT
"""session: the Python end of the protocol between the driver (run.py) and one client library.

A client program is started with the bootstrap address as its only argument. It reads one request a
line from stdin and writes one answer a line to stdout, both JSON objects, and ends with its stdin.
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

`produce` answers placed, [partition, offset] of each record, where acks=0 has null for the offset,
and sent_us and acked_us; `run` answers placed, the offset of each. `from` is "beginning", "end", an
offset or {"time": ms}; `follow` begins at the end.
`run` sends the records "run 0", "run 1"... to partition 0, one every pace_us, acks=all, through
whatever happens to the broker. Times are microseconds since 1970.
"""
import json
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

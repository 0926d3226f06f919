# SPDX-License-Identifier: MIT
"""http: /metrics, /healthz, /readyz and /state: the format, the figures, and who may ask."""
import http.client
import importlib.util
import json
import re
import shutil
import socket
import subprocess
import threading
import time

import harness
from cases_groups import keyed, produced, topic

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|\Z)')
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{([^\n]*)\})? (-?[0-9.]+(?:e[+-]?[0-9]+)?)\Z")
TYPES = ("counter", "gauge", "histogram")
EXPORTER_SUMS = ("kafka_consumergroup_current_offset_sum", "kafka_consumergroup_lag_sum")


class HttpBroker(harness.Broker):
    """A Broker that is watched, and speaks Kafka's protocol."""

    def __init__(self, *more, **settings):
        super().__init__(*more, **settings)
        self.port, self.kafka = harness.free_port(), harness.free_port()

    def command(self, *more):
        return super().command("--http", f"127.0.0.1:{self.port}", "--kafka",
                               f"127.0.0.1:{self.kafka}", *more)

    def get(self, path, limit_s=30, **headers):
        """(status, text)."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=limit_s)
        try:
            c.request("GET", path, headers=headers)
            answer = c.getresponse()
            return answer.status, answer.read().decode()
        finally:
            c.close()

    def metrics(self):
        return Page(self.get("/metrics")[1])


def watched(t, name="", **settings):
    broker = HttpBroker(t.home, f"{t.name}{name}", **settings)
    t.brokers.append(broker)
    if broker.start() is None:
        raise RuntimeError(f"the broker does not start: {broker.errors()[-400:]}")
    harness.wait_for(lambda: broker.get("/readyz")[0] == 200)
    return broker


class Page:
    """A page of the text format, read strictly: whatever is wrong is in `faults`."""

    def __init__(self, text):
        self.text, self.faults, self.types, self.samples = text, [], {}, {}
        self.family = None
        if not text.endswith("\n"):
            self.faults.append("no line feed at the end")
        for number, line in enumerate(text.split("\n")[:-1], 1):
            why = self.head(line) if line.startswith("#") else self.sample(line)
            if why:
                self.faults.append(f"line {number}: {why}: {line[:120]}")
        self.histograms()

    def head(self, line):
        words = line.split(" ", 3)
        if len(words) != 4 or words[1] not in ("HELP", "TYPE") or not NAME.match(words[2]):
            return "neither HELP nor TYPE"
        if words[1] == "HELP":
            if words[2] in self.types:
                return "a second head"
            self.types[words[2]], self.family = None, words[2]
            return None if words[3] else "no help"
        if self.family != words[2] or self.types[words[2]] is not None or words[3] not in TYPES:
            return "TYPE without its HELP right before it"
        self.types[words[2]] = words[3]
        return None if words[3] != "counter" or words[2].endswith("_total") else "not named _total"

    def sample(self, line):
        m = SAMPLE.match(line)
        if m is None:
            return "no sample"
        name, labels, at = m.group(1), [], 0
        while m.group(2) and at < len(m.group(2)):
            label = LABEL.match(m.group(2), at)
            if label is None:
                return "labels"
            labels.append((label.group(1), re.sub(r"\\(.)", lambda e: "\n" if e[1] == "n" else e[1],
                                                  label.group(2))))
            at = label.end()
        kind = self.types.get(self.family)
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        if kind is None or name not in [self.family + s for s in suffixes]:
            return "outside its family"
        key = (name, frozenset(labels))
        if key in self.samples or len(dict(labels)) != len(labels):
            return "a second time"
        self.samples[key] = float(m.group(3))
        return None

    def histograms(self):
        rows = {}
        for (name, labels), value in self.samples.items():
            if name.endswith("_bucket") and self.types.get(name[:-7]) == "histogram":
                rest = frozenset(l for l in labels if l[0] != "le")
                rows.setdefault((name[:-7], rest), []).append((float(dict(labels)["le"]), value))
        for (name, rest), buckets in rows.items():
            counts = [count for _, count in sorted(buckets)]
            whole = self.samples.get((f"{name}_count", rest))
            if counts != sorted(counts) or counts[-1] != whole or \
                    (f"{name}_sum", rest) not in self.samples or max(buckets)[0] != float("inf"):
                self.faults.append(f"histogram {name} {set(rest)}")

    def value(self, name, **labels):
        """None when there is no such sample."""
        return self.samples.get((name, frozenset(labels.items())))

    def rows(self, name):
        return [dict(labels) for n, labels in self.samples if n == name]


def good(t, what, page):
    return t.check.that(f"{what}: the page is clean", not page.faults and page.samples,
                        page.faults[:5])


def judged(t, page):
    """By others: Prometheus' own tool and its Python client, where they are here."""
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=page.text.encode(),
                              capture_output=True, timeout=60)
        said = (done.stdout + done.stderr).decode().splitlines()
        rest = [line for line in said if not line.startswith(EXPORTER_SUMS)]
        t.check.that("promtool check metrics: but for kafka_exporter's two names", not rest
                     and done.returncode in (0, 3), said)
    else:
        t.check.skip("promtool", "not here; it is in Debian's package prometheus")
    if importlib.util.find_spec("prometheus_client"):
        from prometheus_client.parser import text_string_to_metric_families
        theirs = {(s.name, frozenset(s.labels.items())): s.value
                  for family in text_string_to_metric_families(page.text) for s in family.samples}
        t.check.that("prometheus_client reads the same", theirs == page.samples,
                     list(set(theirs) ^ set(page.samples))[:5])
    else:
        t.check.skip("prometheus_client", "not here; it is in Debian's python3-prometheus-client")


def case_metrics(t):
    """The figures move with what is done, and with nothing else."""
    broker = watched(t)
    topic(broker, 2)
    before = broker.metrics()
    good(t, "at first", before)
    t.check.equal("nothing yet", before.value("kauri_partition_produced_records_total", topic="t", partition="0"), 0)
    produced(broker, 1000)
    for words in (("-n", "400"), ("-e",)):
        broker.run("consume", "t", "-g", "g", "-o", "start", *words)
        page = broker.metrics()
        good(t, f"after consume {words[0]}", page)
        rows = {r["partition"]: r for r in broker.run("group", "describe", "g", "--json").json()["partitions"]}
        for p in ("0", "1"):
            row = rows[int(p)]
            t.check.equal(f"committed offset of {p}",
                          (page.value("kauri_group_committed_offset", group="g", topic="t", partition=p),
                           page.value("kafka_consumergroup_current_offset", consumergroup="g", topic="t",
                                      partition=p)), (row["committed"], row["committed"]))
            t.check.equal(f"lag of {p}",
                          (page.value("kauri_group_lag_records", group="g", topic="t", partition=p),
                           page.value("kafka_consumergroup_lag", consumergroup="g", topic="t", partition=p)),
                          (row["lag"], row["lag"]))
    total = lambda name: sum(page.value(name, topic="t", partition=p) for p in ("0", "1"))
    t.check.equal("records produced", total("kauri_partition_produced_records_total"), 1000)
    t.check.equal("high watermarks", total("kauri_partition_high_watermark"), 1000)
    t.check.equal("kafka_exporter's", total("kafka_topic_partition_current_offset"), 1000)
    t.check.that("records fetched", total("kauri_partition_fetched_records_total") >= 1000)
    t.check.equal("bytes produced are bytes stored", total("kauri_partition_produced_bytes_total"),
                  total("kauri_partition_size_bytes"))
    t.check.equal("the lag is gone", page.value("kafka_consumergroup_lag_sum", consumergroup="g", topic="t"), 0)
    t.check.equal("partitions", page.value("kafka_topic_partitions", topic="t"), 2)
    t.check.that("produce calls", page.value("kauri_requests_total", front="native", api="produce") >= 1)
    t.check.that("rounds that sync, and their syncs",
                 page.value("kauri_round_duration_seconds_count", durability="sync")
                 == page.value("kauri_sync_duration_seconds_count") > 0)
    t.check.that("rebalances", page.value("kauri_group_rebalances_total", cause="member joined") == 2)
    t.check.that("memory", 1e6 < page.value("kauri_process_resident_memory_bytes") < 1e9)
    judged(t, page)
    broker.stop()
    broker.start()
    again = harness.wait_for(lambda: (lambda p: p if p.value("kauri_partition_high_watermark", topic="t",
                                                            partition="0") else None)(broker.metrics()))
    t.check.equal("counters begin anew, what is stored does not",
                  (again.value("kauri_partition_produced_records_total", topic="t", partition="0"),
                   again.value("kauri_partition_high_watermark", topic="t", partition="0")),
                  (0, page.value("kauri_partition_high_watermark", topic="t", partition="0")))


def case_names(t):
    """A group may be called anything: the page stays clean."""
    broker = watched(t)
    topic(broker, 1, 10)
    for name in ('a"b', "a\\b", "ä€🐦", "{x=\"1\"} 2"):
        broker.run("consume", "t", "-g", name, "-o", "start", "-n", "3")
    page = broker.metrics()
    good(t, "odd names", page)
    names = {row["group"] for row in page.rows("kauri_group_members")}
    told = {g["group"] for g in broker.run("group", "list", "--json").json()["groups"]}
    t.check.equal("and tells them as they are", names, told)
    state = json.loads(broker.get("/state")[1])
    t.check.equal("/state too", {g["group"] for g in state["groups"]}, told)
    judged(t, page)


def case_pages(t):
    """The other pages, who may ask, and Kafka's connections."""
    broker = watched(t)
    topic(broker, 3, 30)
    t.check.that("the start says where", f"http    http://127.0.0.1:{broker.port}/".encode() in broker.words,
                 broker.words)
    t.check.equal("/healthz", broker.get("/healthz"), (200, "ok\n"))
    t.check.equal("/readyz", broker.get("/readyz"), (200, "ready\n"))
    t.check.that("/", "/metrics" in broker.get("/")[1])
    with socket.create_connection(("127.0.0.1", broker.kafka)) as s:
        harness.wait_for(lambda: broker.metrics().value("kauri_connections", front="kafka") == 1)
        state = json.loads(broker.get("/state")[1])
        mine = "%s:%d" % s.getsockname()
        t.check.equal("connections", [c["address"] for c in state["connections"]], [mine])
    told = {row["name"]: row for row in broker.run("topic", "list", "--json").json()["topics"]}
    rows = {row["name"]: row for row in state["topics"] if not row["internal"]}
    t.check.that("topics as topic list has them", rows.keys() == told.keys() and all(
        rows["t"][k] == told["t"][k] for k in ("partitions", "records", "bytes")), (rows, told))
    after = json.loads(broker.get("/state?topics_after=t")[1])
    t.check.equal("pages go on behind a name", after["topics"], [])
    t.check.equal("another site's name", broker.get("/metrics", Host="evil.example")[0], 403)
    t.check.equal("localhost", broker.get("/metrics", Host=f"localhost:{broker.port}")[0], 200)
    broker.signal(19)  # SIGSTOP: the loop does not turn
    try:
        broker.get("/healthz", limit_s=0.5)
        answered = True
    except OSError:
        answered = False
    broker.signal(18)
    t.check.that("a broker that stands still is not healthy", not answered)
    t.check.equal("and one that goes on is", broker.get("/healthz")[0], 200)


def case_addresses(t):
    """The default port is a convenience; one that was asked for is not."""
    broker = t.broker()
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind(("127.0.0.1", 7094))
        taken.listen()
    except OSError:
        pass  # somebody has it: as good
    port = harness.free_port()
    busy = socket.create_server(("127.0.0.1", port))
    other = t.idle("other")
    plain = other.command

    def unsaid(*more):
        words = plain(*more)
        at = words.index("--http")
        return words[:at] + words[at + 2:]

    other.command = unsaid
    t.check.that("the default port is taken: it starts", other.start() is not None, other.errors())
    t.check.that("and says so", "no /metrics" in other.errors() and "kauri serve --http" in other.errors(),
                 other.errors())
    t.check.that("and lists no port", b"http " not in other.words, other.words)
    other.stop()
    other.command = plain
    done = t.idle("third").fail_to_start("--http", f"127.0.0.1:{port}")
    t.check.that("a port asked for is taken: it does not start",
                 done.code == 1 and "in use" in done.errors and "--http" in done.errors, done)
    done = t.idle("fourth").fail_to_start("--http", f"0.0.0.0:{port}")
    t.check.that("beyond loopback: wrong usage",
                 done.code == 2 and "loopback" in done.errors and "--allow-insecure" in done.errors, done)
    done = t.idle("fifth").fail_to_start("--http", "nonsense")
    t.check.that("no address: wrong usage", done.code == 2 and "HOST:PORT" in done.errors, done)
    busy.close()
    taken.close()


def case_stuck(t):
    """A consumer that does not get past a record shows within seconds, as in `group lag --stuck`."""
    broker = watched(t, group_stuck_ms=2000)
    topic(broker, 2, 1000)
    broker.run("consume", "t", "-g", "g", "-o", "start", "-e")
    produced(broker, 1000, start=1000)
    ends = {p: broker.metrics().value("kauri_partition_high_watermark", topic="t", partition=str(p))
            for p in (0, 1)}
    begin, at = time.monotonic(), 0

    def moves_on():
        nonlocal at
        at += 1
        broker.run("group", "seek", "g", "--to", at, "--topic", "t:0")
        page = broker.metrics()
        return page if page.value("kauri_group_stuck_partitions", group="g") == 1 else None

    page = harness.wait_for(moves_on, 20, 0.3)
    if not t.check.that(f"stuck shows after {time.monotonic() - begin:.1f} s", page is not None):
        return
    value = lambda p: page.value("kauri_group_stuck", group="g", topic="t", partition=p)
    t.check.equal("the partition that stands, not the one that moves", (value("0"), value("1")), (0, 1))
    t.check.that("for how long", 2 <= page.value("kauri_group_lag_seconds", group="g", topic="t", partition="1") < 60)
    told = broker.run("group", "lag", "--stuck", "--stuck-after", "2s", "--json").json()
    t.check.that("as group lag --stuck says",
                 '"STUCK"' in json.dumps(told) and '"partition": 1' in json.dumps(told), told)
    broker.run("group", "seek", "g", "--to", int(ends[1]), "--topic", "t:1")
    page = broker.metrics()
    t.check.equal("read on: not stuck any more", page.value("kauri_group_stuck_partitions", group="g"), 0)
    page = harness.wait_for(
        lambda: (lambda p: p if p.value("kauri_group_not_consumed_partitions", group="g") == 1 else None)(
            broker.metrics()), 20, 0.3)
    t.check.that("nobody reads at all: not consumed", page and page.value(
        "kauri_group_stuck_partitions", group="g") == 0)


def throw(port, data, read=True):
    """Sends bytes and hangs up, perhaps after an answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            s.settimeout(0.05)
            s.sendall(data)
            return s.recv(4096) if read else b""
    except OSError:
        return b""


def case_garbage(t):
    """Whatever is thrown at the port: the broker goes on, and answers the next one."""
    broker = watched(t)
    topic(broker, 1, 10)
    good_request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    junk = [b"\0" * 1000, b"\r\n" * 1000, b"GET", b"GET /" + b"a" * 100000, b"GET / HTTP/9.9\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"POST /metrics HTTP/1.1\r\nHost: localhost\r\n"
            b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: -1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01",
            b"GET /%00%ff/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /metrics?" + b"a=b&" * 5000
            + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"X: y\r\n" * 20000]
    for data in junk:
        throw(broker.port, data)
    for _ in range(400):
        data = bytearray(good_request)
        for _ in range(t.random.randrange(1, 6)):
            data[t.random.randrange(len(data))] = t.random.randrange(256)
        throw(broker.port, bytes(data[:t.random.randrange(len(data) + 1)]), read=t.random.random() < 0.2)
    for _ in range(50):  # a page is asked for, and nobody stays to read it
        throw(broker.port, good_request, read=False)
    for _ in range(50):
        throw(broker.port, t.random.randbytes(t.random.randrange(1, 5000)), read=False)
    t.check.that("it runs", broker.running(), broker.errors()[-400:])
    page = harness.wait_for(lambda: broker.metrics())
    good(t, "afterwards", page)
    t.check.equal("no figure of the data moved",
                  page.value("kauri_partition_high_watermark", topic="t", partition="0"), 10)
    done = broker.run("produce", "t", data="x\n")
    t.check.equal("and it takes records", done.code, 0)
    fds = page.value("kauri_process_open_fds")
    t.check.that("no connection is left over", harness.wait_for(
        lambda: broker.metrics().value("kauri_process_open_fds") <= fds), fds)


def case_slow(t):
    """200 connections that drip a byte now and then: produce does not notice."""
    broker = watched(t)
    topic(broker, 1)
    rows = keyed(2000)
    begin = time.monotonic()
    broker.run("produce", "t", "-K", "\\t", data=rows)
    alone = time.monotonic() - begin
    slow, stop = [], threading.Event()
    for _ in range(200):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", broker.port))
        slow.append(s)

    def drip():
        while not stop.wait(0.05):
            for s in slow:
                try:
                    s.send(b"G")
                except OSError:
                    pass

    thread = threading.Thread(target=drip)
    thread.start()
    begin = time.monotonic()
    codes = [broker.run("produce", "t", "-K", "\\t", data=rows).code for _ in range(5)]
    beside = (time.monotonic() - begin) / 5
    stop.set()
    thread.join()
    t.check.equal(f"all produced ({alone:.3f} s alone, {beside:.3f} s beside them)", codes, [0] * 5)
    t.check.equal("all there", broker.describe("t")["partitions"][0]["end"], 12000)
    for s in slow:
        s.close()
    t.check.equal("and the port is free again", broker.get("/healthz"), (200, "ok\n"))


def case_many(t):
    """More partitions than have rows; and a page of very many, while others are served."""
    broker = watched(t, metrics_partitions_max=12000)
    for n in range(4):
        topic(broker, 3000, name=f"many-{n}")
    topic(broker, 500, name="z")
    done, worst = threading.Event(), [0.0]

    def ping():
        while not done.is_set():
            begin = time.monotonic()
            broker.get("/healthz")
            worst[0] = max(worst[0], time.monotonic() - begin)

    thread = threading.Thread(target=ping)
    thread.start()
    begin = time.monotonic()
    page = broker.metrics()
    seconds = time.monotonic() - begin
    done.set()
    thread.join()
    good(t, f"{len(page.text) >> 20} MB in {seconds:.1f} s, /healthz beside it within {worst[0] * 1000:.0f} ms", page)
    rows = page.rows("kafka_topic_partition_leader")
    t.check.equal("as many rows as may be", len(rows), 12000)
    t.check.equal("the others are counted", page.value("kauri_metrics_partitions_left_out"), 500)
    t.check.equal("and in the whole", page.value("kauri_partitions"), 12500)
    slow = [socket.create_connection(("127.0.0.1", broker.port), 5) for _ in range(6)]
    for s in slow:  # pages that nobody reads
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    refused = harness.wait_for(lambda: broker.get("/metrics")[0] == 503)
    t.check.that("pages under way are limited", refused)
    done = broker.run("produce", "z", data="x\n")
    t.check.equal("the broker serves beside them", done.code, 0)
    for s in slow:
        s.close()
    t.check.that("and pages again", harness.wait_for(lambda: broker.get("/metrics")[0] == 200))

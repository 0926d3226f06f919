# SPDX-License-Identifier: MIT
"""replication: how fast a leader's log is shipped, what acks=all costs, how a broker catches up, and
what a follower costs its leader. README.md says what the rows mean.

All brokers and the load share the machine. What a row is compared with is of the same run, and where
two things take turns, of the same minute.
"""
import contextlib
import json
import shutil
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from lab import Failed, free_port

SECRET = "ship.secret=what the bench's brokers share"
SHIPPED_LIMIT_S = 600
LOOK_S = 0.05  # between two looks at how far the followers are
SEALS = (("unsealed", ()), ("sealed", (SECRET,)))
LOOKS = 3      # at each rate, in turn with what it is compared with


# ---- brokers of a cluster ----

@contextlib.contextmanager
def cluster(lab, count, *settings):
    """That many brokers on loopback, the first leads; on folders that go with them."""
    brokers = []
    try:
        for _ in range(count):
            join(lab, brokers, settings)
        yield brokers
        for broker in reversed(brokers):
            broker.stop()
    finally:
        for broker in brokers:
            lab.remove(broker)


def join(lab, brokers, settings, again=None):
    """One more broker, or `again` one that ended, on its folder."""
    url = f"tcp://127.0.0.1:{free_port()}"
    more = ["--broker-id", str(len(brokers) + 1)]
    if brokers:
        more += ["--replica-of", brokers[0].url]
    settings = (*settings, "disk.reserve.bytes=0")
    broker = lab.start(again.data if again else None, settings, url=url, more=more)
    broker.ready()
    brokers.append(broker)
    if len(brokers) > 1:
        lab.kauri(brokers[0], "cluster", "wait", "--caught-up", "--brokers", len(brokers), "--timeout",
                  "60s")
    return broker


def partitions(lab, leader, topic):
    status = json.loads(lab.kauri(leader, "cluster", "status", "--json", "-p"))
    return [p for p in status.get("partitions", []) if p["topic"] == topic]


def held(lab, leader, topic):
    """Records of the topic that the slowest follower has, and that the leader has."""
    slowest, end = 0, 0
    for part in partitions(lab, leader, topic):
        ends = [f["end"] for f in part["followers"]]
        slowest += max(0, min((-1 if e is None else e) for e in ends)) if ends else 0
        end += part["end"] or 0
    return slowest, end


def shipped(lab, leader, topic, followers):
    """Waits until every follower has all of it, and is in sync: when that was."""
    until = time.monotonic() + SHIPPED_LIMIT_S
    while time.monotonic() < until:
        parts = partitions(lab, leader, topic)
        if parts and all(len(p["in_sync"]) == followers + 1 and
                         all(f["end"] == p["end"] for f in p["followers"]) for p in parts):
            return time.monotonic()
        time.sleep(LOOK_S)
    raise Failed(f"the followers do not get {topic}: {partitions(lab, leader, topic)}")


def replicated(lab, brokers, name, count=1, **configs):
    """A topic that all of them have, and are in sync with."""
    sets = [word for k, v in configs.items() for word in ("-c", f"{k.replace('_', '.')}={v}")]
    lab.kauri(brokers[0], "topic", "create", name, "-p", count, "-r", len(brokers), "-c",
              "retention.ms=-1", *sets)  # the load of the Kafka front is of 2023
    if len(brokers) > 1:
        shipped(lab, brokers[0], name, len(brokers) - 1)


# ---- shipping beside the load ----

def load_native(lab, leader, topic, seconds):
    return lab.client("produce", "row", leader, topic, size=1024, linger_ms=5, acks="1",
                      duration_ms=int(1000 * seconds))


def load_kafka(lab, leader, topic, seconds):
    return lab.kafka("produce", leader, topic, count=64, size=1024, window=32,
                     duration_ms=int(1000 * seconds))


LOADS = (("native", load_native), ("Kafka", load_kafka))


def ship_look(lab, brokers, topic, load, seconds):
    """The leader's rate under a load, and how fast the followers got the same bytes. With the load
    itself, the time until they have all of it counts."""
    replicated(lab, brokers, topic)
    used = [b.cpu_s() for b in brokers]
    begin = time.monotonic()
    row = load(lab, brokers[0], topic, seconds)
    end = time.monotonic()
    had, of = held(lab, brokers[0], topic) if len(brokers) > 1 else (0, 0)
    last = shipped(lab, brokers[0], topic, len(brokers) - 1) if len(brokers) > 1 else end
    size = row["bytes_s"] * (end - begin)
    cpu = [(b.cpu_s() - u) / size * 1e9 for b, u in zip(brokers, used)]
    lab.kauri(brokers[0], "topic", "delete", topic, "-y")
    return {"leader": row["bytes_s"], "follower": row["bytes_s"] * (end - begin) / (last - begin),
            "beside": had / of if of else 0, "tail_s": last - end, "cpu": cpu}


def median(looks, key):
    return statistics.median(look[key] for look in looks)


def ship_rates(lab, durability, seal, settings):
    """With a follower and without, in turn."""
    settings = (f"durability={durability}", *settings)
    with cluster(lab, 1, *settings) as alone, cluster(lab, 2, *settings) as both:
        for name, load in LOADS:
            looks = {1: [], 2: []}
            for number in range(LOOKS):
                for brokers in (alone, both):
                    looks[len(brokers)].append(ship_look(lab, brokers, f"{name}{number}", load,
                                                         lab.seconds(6, 2)))
            words = f"{durability}, {seal}, {name}"
            bare, leader = median(looks[1], "leader"), median(looks[2], "leader")
            follower = median(looks[2], "follower")
            cpu = [statistics.median(look["cpu"][i] for look in looks[2]) for i in (0, 1)]
            lab.report.row(f"{words}: leader alone", bare, "B/s",
                           note=f"CPU {median([{'c': k['cpu'][0]} for k in looks[1]], 'c'):.1f} s/GB")
            lab.report.row("  leader, with a follower", leader, "B/s", bare, "alone",
                           note=f"CPU {cpu[0]:.1f} s/GB")
            lab.report.row("  follower, until it has all", follower, "B/s", leader, "its leader",
                           note=f"CPU {cpu[1]:.1f} s/GB; {100 * median(looks[2], 'beside'):.0f} % when "
                                f"the load ends, the rest in {median(looks[2], 'tail_s'):.2f} s")
            ratios = statistics.median(k["follower"] / k["leader"] for k in looks[2])
            lab.report.budget(f"shipping, by the leader's rate: {words}", ratios, "x", 0.8, True,
                              note=f"{follower / 1e6:.0f} by {leader / 1e6:.0f} MB/s, "
                                   f"alone {bare / 1e6:.0f}")


# ---- acknowledgements ----

def ack_rows(lab, durability, settings):
    """One record in flight, in turn at none, one and two followers."""
    settings = (f"durability={durability}", *settings)
    ways = [(followers, acks) for followers in (0, 1, 2) for acks in ("1", "all")]
    looks = {way: [] for way in ways}
    disk = []
    with cluster(lab, 1, *settings) as none, cluster(lab, 2, *settings) as one, \
            cluster(lab, 3, *settings) as two:
        for brokers in (none, one, two):
            replicated(lab, brokers, "acks")
        for _ in range(LOOKS if lab.quick else 3 * LOOKS):
            disk.append(lab.disk_us())
            for followers, acks in ways:
                row = lab.kafka("produce", (none, one, two)[followers][0], "acks",
                                acks=acks, duration_ms=500)
                looks[followers, acks].append(row)
    beside = {0: (statistics.median(disk), "pwrite + fdatasync")}
    for followers, acks in ways:
        rows = looks[followers, acks]
        name = f"{durability}, acks={acks}, {('no follower', '1 follower', '2 followers')[followers]}"
        p50, p99 = median(rows, "p50_us"), median(rows, "p99_us")
        limit = beside.get(followers) if followers == 0 else beside["all"]
        lab.report.row(name, p50, "us", *limit, note=f"p99 {p99 / 1000:.2f} ms")
        if (followers, acks) == (0, "all"):
            beside["all"] = (p50, "acks=all without followers")


# ---- catching up ----

def fill(lab, leader, size):
    """The topic is made by a broker that is alone: whoever comes gets all of it."""
    lab.kauri(leader, "topic", "create", "held", "-p", 1, "-c", "durability=os")
    lab.client("produce", "fill", leader, "held", size=10_000, records=size // 10_000, linger_ms=5,
               batch_size=900_000)


def joins(lab, leader, settings, again=None):
    """A follower that does not wait, at the moment it starts."""
    url = f"tcp://127.0.0.1:{free_port()}"
    more = ["--broker-id", "2", "--replica-of", leader.url]
    follower = lab.start(again, (*settings, "disk.reserve.bytes=0"), url=url, more=more)
    known(lab, leader, url)
    return follower


def known(lab, leader, url):
    """Until the leader counts for broker 2 what the one at this address tells."""
    until = time.monotonic() + SHIPPED_LIMIT_S
    while time.monotonic() < until:
        status = json.loads(lab.kauri(leader, "cluster", "status", "--json"))
        if any(b["id"] == 2 and b["native"] == url for b in status["brokers"]):
            return
        time.sleep(LOOK_S)
    raise Failed(f"broker 2 at {url} does not register")


def catch_up_quiet(lab, leader, size, seal, settings):
    """Nothing else goes on: the rate, and what it costs both."""
    used, begin = leader.cpu_s(), time.monotonic()
    before = leader.descriptors()
    anon_before = leader.memory()[0]
    follower = joins(lab, leader, settings)
    most = fds = most_there = 0
    try:
        with ThreadPoolExecutor(1) as pool:
            wait = pool.submit(shipped, lab, leader, "held", 1)
            while not wait.done():
                most = max(most, leader.memory()[0])
                most_there = max(most_there, follower.memory()[0])
                fds = max(fds, leader.descriptors())
                time.sleep(LOOK_S)
            took = wait.result() - begin
        gb = size / 1e9
        rate = size / took
        lab.report.row(f"{seal}: {gb:.0f} GB, nothing else going on", rate, "B/s",
                       note=f"in {took:.1f} s with the start of the follower")
        lab.report.row("  CPU of the leader, each GB", (leader.cpu_s() - used) / gb * 1000, "ms",
                       note=f"follower {follower.cpu_s() / gb * 1000:.0f} ms")
        lab.report.row("  memory (RssAnon) of the leader, at most", most, "B",
                       note=f"before {anon_before / 1e6:.1f} MB; the follower's {most_there / 1e6:.1f} MB")
        lab.report.row("  descriptors of the leader", fds, "", note=f"before {before}")
    finally:
        lab.remove(follower)
    return rate


def paced(lab, leader):
    return lab.client("paced", "row", leader, "beside", rate=500, duration_ms=1000)


def catch_up_beside(lab, leader, size, seal, settings, bare):
    """The leader is written to meanwhile, and the follower is killed in the middle."""
    looks, resumed = [], None
    begin = time.monotonic()
    follower = joins(lab, leader, settings)
    try:
        with ThreadPoolExecutor(1) as pool:
            while True:
                looks.append(paced(lab, leader))
                had, end = held(lab, leader, "held")
                if resumed is None and had > end // 3 and had < end:
                    follower.kill()
                    resumed, killed = (had, end), time.monotonic()
                    follower = joins(lab, leader, settings, follower.data)
                if had >= end:
                    break
            last = shipped(lab, leader, "held", 1)
        took = last - begin
        lab.report.row(f"{seal}: the same, 500 records/s beside", size / took, "B/s")
        lab.report.row("  p99 of these, end to end", median(looks, "p99_us"), "us",
                       median(bare, "p99_us"), "without a follower",
                       note=f"worst second {max(r['p99_us'] for r in looks) / 1000:.1f} ms, without "
                            f"{max(r['p99_us'] for r in bare) / 1000:.1f} ms")
        if resumed:
            rest = size * (1 - resumed[0] / resumed[1])
            lab.report.row("  killed in the middle, the rest", rest / (last - killed), "B/s",
                           note=f"at {100 * resumed[0] / resumed[1]:.0f} %, caught up "
                                f"{last - killed:.1f} s later")
    finally:
        lab.remove(follower)


def catch_up(lab, seal, settings):
    size = lab.records * 10_000 if lab.records else 10**9 if lab.quick else 10**10
    name = f"catching up with {size / 1e9:.0f} GB, {seal}"
    if shutil.disk_usage(lab.folder).free < 3 * size + 4 * 10**9:
        return lab.report.skipped(name, "not enough space on the disk")
    with cluster(lab, 1, *settings) as (leader,):
        fill(lab, leader, size)
        catch_up_quiet(lab, leader, size, seal, settings)
        # Made while a second broker is known, it stays with the leader: a lone one's topics spread.
        lab.kauri(leader, "topic", "create", "beside", "-p", 1, "-r", 1, "-c", "durability=sync")
        bare = [paced(lab, leader) for _ in range(LOOKS)]
        catch_up_beside(lab, leader, size, seal, settings, bare)


# ---- doing nothing ----

def idle_cost(lab, brokers, seconds):
    """CPU (share of a core) and wakeups a second of each."""
    time.sleep(2)
    used, woken = [b.cpu_s() for b in brokers], [b.wakeups() for b in brokers]
    begin = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - begin
    return [((b.cpu_s() - u) / took, (b.wakeups() - w) / took)
            for b, u, w in zip(brokers, used, woken)]


def idle(lab, settings):
    seconds = lab.seconds(30, 6)
    for count in (1, 1000):
        with cluster(lab, 1, *settings) as alone, cluster(lab, 2, *settings) as both:
            for brokers in (alone, both):
                lab.kauri(brokers[0], "topic", "create", "idle", "-p", count, "-r", len(brokers))
                lab.client("produce", "row", brokers[0], "idle", partitions=count, records=4 * count,
                           linger_ms=5)
            shipped(lab, both[0], "idle", 1)
            costs = idle_cost(lab, [*alone, *both], seconds)
            memory = [b.memory()[0] for b in (*alone, *both)]
            fds = [b.descriptors() for b in (*alone, *both)]
        for i, words in enumerate(("without a follower", "leader", "follower")):
            many = "1 partition" if count == 1 else f"{count:,} partitions"
            lab.report.row(f"{many}, {words}: wakeups", costs[i][1], "1/s",
                           note=f"CPU {100 * costs[i][0]:.2f} %, RssAnon {memory[i] / 1e6:.1f} MB, "
                                f"{fds[i]} descriptors")


def replication(lab):
    """Sealed and not."""
    lab.report.title("replication: shipping beside a load of 64 KiB batches, acks=1, 1 partition")
    for durability in ("sync", "os"):
        for seal, settings in SEALS:
            ship_rates(lab, durability, seal, settings)
    lab.report.title("replication: acknowledgements, one record of 100 B in flight (sealed)")
    for durability in ("sync", "os"):
        ack_rows(lab, durability, (SECRET,))
    lab.report.title("replication: a follower that comes to a leader with a log")
    for seal, settings in SEALS:
        catch_up(lab, seal, settings)
    lab.report.title("replication: nothing to ship (sealed)")
    idle(lab, (SECRET,))

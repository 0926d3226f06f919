# SPDX-License-Identifier: MIT
"""cluster: brokers on several addresses hold one log: joining, fail-over by one command, clients that
go on by themselves, the old leader that comes back; who leaves; what is refused at the start."""
import http.client
import shutil
import subprocess
import time

import harness

WAIT = ("--timeout", "30s")


def members(t, count, **settings):
    """Brokers that were not started, each on a tcp port of its own."""
    brokers = [t.idle(f"n{i + 1}", **settings) for i in range(count)]
    for broker in brokers:
        broker.url = f"tcp://127.0.0.1:{harness.free_port()}"
    return brokers


def start(broker, number, *seeds):
    more = ("--replica-of", ",".join(seed.url for seed in seeds)) if seeds else ()
    if broker.start("--broker-id", str(number), *more) is None:
        raise RuntimeError(f"broker {number} does not start: {broker.errors()[-400:]}")


def everywhere(brokers):
    return ",".join(broker.url for broker in brokers)


def caught_up(t, brokers, count):
    done = brokers[0].plain("cluster", "wait", "--caught-up", "--brokers", count, *WAIT, "-s",
                            everywhere(brokers))
    why = [str(done), *(f"{b.folder.name} {b.running()}: {b.errors()[-900:]}" for b in brokers)]
    return t.check.that(f"{count} brokers, every replica in sync", done.code == 0, "\n".join(why))


def status(broker, *more):
    return broker.run("cluster", "status", "--json", *more).json()


def numbers(done):
    return [int(line) for line in done.lines()]


def feed(first, last, rate, broker, urls):
    """Produces the numbers from first to last into n, by the list of addresses."""
    source = subprocess.Popen(["seq", str(first), str(last)], stdout=subprocess.PIPE,
                              preexec_fn=harness.die_with_parent)
    whole = broker.url
    broker.url = urls
    sender = broker.open("produce", "n", "-q", "--rate", f"{rate}/s", stdin=source.stdout,
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    broker.url = whole
    return source, sender


def same_log(t, brokers, topic):
    """All segments are the same bytes, but for the space that the last one has ahead."""
    first, *others = [broker.partition(topic) for broker in brokers]
    names = sorted(path.name for path in first.glob("*.log"))
    for other in others:
        same = sorted(path.name for path in other.glob("*.log")) == names and \
            all((first / name).read_bytes().rstrip(b"\0") == (other / name).read_bytes().rstrip(b"\0")
                for name in names)
        t.check.that(f"{topic}: the logs of {first.parent.parent.name} and "
                     f"{other.parent.parent.name} are the same bytes", same, names)


def case_fail_over_of_two(t):
    """kill -9 of the leader under load: refused without force, for it may hold what the other lacks;
    with force, as it was in sync, nothing is missing, and both clients go on."""
    a, b = brokers = members(t, 2)
    urls = everywhere(brokers)
    start(a, 1)
    a.run("produce", "n", data="".join(f"{i}\n" for i in range(1, 101)))
    t.check.equal("alone, it says so", status(a)["role"], "alone")
    start(b, 2, a)
    caught_up(t, brokers, 2)
    told = status(b, "-p")
    t.check.equal("the other one names the leader", (told["leader"], told["told_by"]), (1, 1))

    def in_sync():  # as the other one was told, a moment later
        return [p["in_sync"] for p in status(b, "-p")["partitions"] if p["topic"] == "n"]

    t.check.that("two replicas", harness.wait_for(lambda: in_sync() == [[1, 2]], 10), in_sync())
    source, sender = feed(101, 3000, 600, b, urls)
    whole = b.url
    b.url = urls
    reader = b.open("consume", "n", "-o", "start", "-n", "3000", "-q", stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE)
    b.url = whole
    harness.wait_for(lambda: status(a, "-p")["partitions"][0]["end"] > 600)
    a.kill()
    done = b.run("cluster", "status")
    t.check.that("the silence of the leader is told", done.code == 0 and "does not answer" in done.errors,
                 done)
    done = b.run("cluster", "promote")
    t.check.that("too few promises: refused", done.code == 7 and "--force" in done.errors, done)
    done = b.run("cluster", "promote", "--force")
    t.check.that("force wants a word", done.code == 7 and "-y" in done.errors, done)
    done = b.run("cluster", "promote", "--force", "-y")
    t.check.that("promoted by force", done.code == 0, done)
    done = b.run("cluster", "promote")
    t.check.that("once more changes nothing", done.code == 0, done)
    _, err = sender.communicate(timeout=60)
    source.wait()
    t.check.that("the producer goes on", sender.returncode == 0, err)
    out, err = reader.communicate(timeout=60)
    t.check.that("the consumer goes on", reader.returncode == 0, err)
    t.check.equal("and reads every record once", [int(line) for line in out.split()],
                  list(range(1, 3001)))
    start(a, 1, b)
    caught_up(t, brokers, 2)
    t.check.equal("the old leader follows", status(a)["leader"], 2)
    got = numbers(a.run("consume", "n", "-o", "start", "-e"))
    t.check.equal("and has every record", got, list(range(1, 3001)))
    done = a.run("produce", "n", data="3001\n")
    t.check.that("a producer that asks it is sent on", done.code == 0, done)
    caught_up(t, brokers, 2)
    t.check.equal("both stop in order", (a.stop(), b.stop()), (0, 0))
    same_log(t, brokers, "n")


def case_hand_over_of_three(t):
    """With min.insync.replicas=2 a promotion needs no force, neither with the leader alive nor after
    its kill -9; a group goes on where it was."""
    a, b, c = brokers = members(t, 3, min_insync_replicas=2)
    urls = everywhere(brokers)
    start(a, 1)
    start(b, 2, a)
    start(c, 3, a)
    caught_up(t, brokers, 3)
    a.run("topic", "create", "n", "-p", "1")
    caught_up(t, brokers, 3)
    source, sender = feed(1, 3000, 400, a, urls)
    done = a.run("consume", "n", "-g", "readers", "-o", "start", "-n", 200, "-q")
    t.check.equal("a member reads the first", numbers(done), list(range(1, 201)))
    done = b.run("cluster", "promote", *WAIT)
    t.check.that("a planned hand-over", done.code == 0, done)
    caught_up(t, brokers, 3)
    b.kill()
    done = c.run("cluster", "promote", *WAIT)
    t.check.that("the leader is gone: two of three are enough", done.code == 0, done)
    _, err = sender.communicate(timeout=90)
    source.wait()
    t.check.that("the producer goes on through both", sender.returncode == 0, err)
    c.url, whole = urls, c.url
    done = c.run("consume", "n", "-g", "readers", "-n", 2800, "-q")
    c.url = whole
    t.check.equal("the group goes on where it was", numbers(done), list(range(201, 3001)))
    start(b, 2, a)
    caught_up(t, brokers, 3)
    t.check.equal("all stop in order", tuple(broker.stop() for broker in brokers), (0, 0, 0))
    same_log(t, brokers, "n")


def case_replicas_as_said(t):
    """A stopped replica is not waited for. What one dead broker alone has wants force, is without a
    leader then, and there again when that one leads; it goes along with a planned hand-over."""
    a, b, c = brokers = members(t, 3, min_insync_replicas=2)
    start(a, 1)
    start(b, 2, a)
    start(c, 3, a)
    caught_up(t, brokers, 3)
    done = a.run("topic", "create", "n", "-p", "1")
    t.check.that("it says how many replicas there are", "replication 3" in done.text, done)
    a.run("topic", "create", "one", "-p", "1", "-r", "1", "-c", "min.insync.replicas=1")
    a.run("topic", "create", "two", "-p", "2", "-r", "2")
    for topic in ("n", "one", "two"):
        done = a.run("produce", topic, data="".join(f"{i}\n" for i in range(1, 101)))
        t.check.that(f"produced to {topic}", done.code == 0, done)
    caught_up(t, brokers, 3)
    t.check.equal("a replica stops", c.stop(), 0)
    began = time.monotonic()
    done = a.run("produce", "n", data="101\n")
    took = time.monotonic() - began
    t.check.that("and is not waited for", done.code == 0 and took < 5, f"{took:.1f} s {done}")
    start(c, 3, a)
    caught_up(t, brokers, 3)
    a.kill()
    done = b.run("cluster", "promote", *WAIT)
    t.check.that("what it alone had is told", done.code == 7 and "one-0" in done.errors, done)
    done = b.run("cluster", "promote", "--force", "-y", *WAIT)
    t.check.that("by force: one partition is without a leader",
                 done.code == 0 and "1 of 4" in done.text, done)
    t.check.equal("status counts it", status(b)["leaderless"], 1)
    t.check.that("and doctor", "1 partitions have no leader" in b.run("doctor").text, b.run("doctor"))
    got = numbers(b.run("consume", "two", "-o", "start", "-e"))
    t.check.equal("two: all records are at hand", sorted(got), list(range(1, 101)))
    done = b.run("produce", "one", data="101\n", *("--timeout", "3s"))
    t.check.that("one: takes nothing", done.code != 0, done)
    start(a, 1, b)
    harness.wait_for(lambda: status(b)["under_replicated"] == 0, 30)
    done = a.run("cluster", "promote", *WAIT)
    t.check.that("the first leads again", done.code == 0, done)
    got = numbers(a.run("consume", "one", "-o", "start", "-e"))
    t.check.equal("one: all records are there", got, list(range(1, 101)))
    done = c.run("cluster", "promote", *WAIT)
    t.check.that("a planned hand-over takes them along", done.code == 0, done)
    got = numbers(c.run("consume", "one", "-o", "start", "-e"))
    t.check.equal("one: all records went along", got, list(range(1, 101)))


def case_refused_at_the_start(t):
    """What cannot work is said at once, in words; a leader that is not there yet is waited for."""
    a, b = members(t, 2)
    ipc = t.idle("ipc")
    done = ipc.fail_to_start("--replica-of", a.url)
    t.check.that("no address that others could dial", done.code == 2 and "--native tcp://" in done.errors,
                 done)
    done = b.fail_to_start("--replica-of", "db1:7092")
    t.check.that("not an address", done.code == 2 and "tcp://HOST:PORT" in done.errors, done)
    done = b.fail_to_start("--replica-of", "tcp://192.0.2.1:7092")
    t.check.that("another host wants a secret", done.code == 2 and "ship.secret" in done.errors, done)
    b.spawn("--broker-id", "2", "--replica-of", a.url)
    t.check.that("it waits for the leader", harness.wait_for(lambda: "nobody answers" in b.errors()),
                 b.errors())
    t.check.that("and makes no folder by then", not (b.data / "format").exists())
    start(a, 1)
    t.check.that("and starts once there is one", b.await_ready() is not None, b.errors())
    caught_up(t, (a, b), 2)
    b.stop()
    done = b.fail_to_start("--broker-id", "3")
    t.check.that("a folder keeps its number", done.code == 2 and "broker 2" in done.errors, done)
    other = members(t, 1)[0]
    other.data = b.folder / "other"
    start(other, 1)
    done = b.fail_to_start("--replica-of", other.url)
    t.check.that("a folder of another cluster", done.code == 2 and "another cluster" in done.errors, done)
    done = a.run("cluster", "wait", "--caught-up", "--brokers", "3", "--timeout", "1s")
    t.check.that("waiting in vain is exit 8", done.code == 8 and "not caught up" in done.errors, done)


def case_leaves_for_good(t):
    """A broker leaves and says what it is then; its machine gone, it is taken out by its number; below
    min.insync.replicas that wants force; started again with --replica-of it comes back."""
    a, b, c = brokers = members(t, 3, min_insync_replicas=2)
    start(a, 1)
    start(b, 2, a)
    start(c, 3, a)
    caught_up(t, brokers, 3)
    a.run("produce", "n", data="".join(f"{i}\n" for i in range(1, 101)))
    done = a.run("cluster", "leave")
    t.check.that("the leader cannot", done.code == 1 and "promote another" in done.errors, done)
    done = a.run("cluster", "leave", "--broker-id", 9)
    t.check.that("nor one that is not there", done.code == 3 and "no broker 9" in done.errors, done)
    done = c.run("cluster", "leave", "--dry-run")
    t.check.that("asked only", done.code == 0 and "would leave" in done.text, done)
    done = c.run("cluster", "leave", "--json")
    t.check.equal("a follower leaves", (done.code, done.json()["broker"], done.json()["pending"]), (0, 3, 0))
    t.check.that("and says so", harness.wait_for(lambda: "has left the cluster" in c.errors()), c.errors())
    told = status(a, "-p")
    t.check.equal("its role", [m["role"] for m in told["brokers"]], ["leader", "follower", "left"])
    t.check.equal("it has no replica", {tuple(p["replicas"]) for p in told["partitions"]}, {(1, 2)})
    caught_up(t, brokers, 2)
    t.check.equal("it shows what it has", numbers(c.run("consume", "n", "-o", "start", "-e")),
                  list(range(1, 101)))
    done = c.run("cluster", "promote", "--force", "-y")
    t.check.that("it cannot lead", done.code != 0 and "has left" in done.errors, done)
    b.kill()
    done = a.run("cluster", "leave", "--broker-id", 2)
    t.check.that("one is too few: refused", done.code == 7 and "min.insync.replicas" in done.errors, done)
    done = a.run("cluster", "leave", "--broker-id", 2, "--force")
    t.check.that("force wants a word", done.code == 7 and "-y" in done.errors, done)
    done = a.run("cluster", "leave", "--broker-id", 2, "--force", "-y")
    t.check.that("by force", done.code == 0, done)
    done = a.run("produce", "n", data="".join(f"{i}\n" for i in range(101, 201)))
    t.check.that("nobody is waited for", done.code == 0, done)
    c.stop()
    start(c, 3, a)
    start(b, 2, a)
    caught_up(t, brokers, 3)
    t.check.equal("all stop in order", tuple(broker.stop() for broker in brokers), (0, 0, 0))
    same_log(t, brokers, "n")


def ready(port):
    """(status, text) of /readyz."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        c.request("GET", "/readyz")
        answer = c.getresponse()
        return answer.status, answer.read().decode()
    finally:
        c.close()


def refused_by(t, broker, leader, what, more, why):
    """The broker starts with an empty folder and is not taken: it says so wherever one looks."""
    port = harness.free_port()
    broker.start(*more, "--replica-of", leader.url, "--http", f"127.0.0.1:{port}")
    t.check.that(f"{what}: told in the log", harness.wait_for(lambda: why in broker.errors()),
                 broker.errors()[-600:])
    code, body = ready(port)
    t.check.that(f"{what}: not ready, and why", code == 503 and why in body, (code, body))
    told = status(broker)
    t.check.that(f"{what}: in the status", why in told["trouble"], told)
    broker.stop()
    shutil.rmtree(broker.data)


def case_has_no_place(t):
    """A broker that the others do not take says why: at once where nothing but the command line is
    wrong, else in its log, at /readyz, in the status; and it is taken once that is mended."""
    a, b, c = members(t, 3)
    secret, other = a.folder / "secret", a.folder / "other"
    for file in (secret, other):
        file.write_text(f"the {file.name} of these brokers\n")
        file.chmod(0o600)
    with_secret, with_other = (("--set", f"ship.secret.file={file}") for file in (secret, other))
    start(a, 1)
    done = b.fail_to_start("--broker-id", "2", "--replica-of", b.url)
    t.check.that("a replica of itself", done.code == 2 and "own address" in done.errors, done)
    done = b.fail_to_start("--replica-of", a.url)
    t.check.that("the number of the leader", done.code == 2 and "--broker-id 2" in done.errors, done)
    for number in ("-1", "3000000000", "two"):
        done = b.fail_to_start("--broker-id", number, "--replica-of", a.url)
        t.check.that(f"the number {number}", done.code == 2 and "node.id" in done.errors, done)
    for url in ("tcp://db1", "http://db1:7092", "tcp://db1:99999", ""):
        done = b.fail_to_start("--broker-id", "2", "--replica-of", url)
        t.check.that(f"the address {url!r}", done.code == 2 and "error" in done.errors, done)
    start(b, 2, a)
    caught_up(t, (a, b), 2)
    refused_by(t, c, a, "the number of another", ("--broker-id", "2"), "present already")
    c.start("--broker-id", "2", "--replica-of", a.url)
    done = harness.wait_for(lambda: status(c)["trouble"]) and c.run("doctor")
    t.check.that("doctor names it", done.code == 1 and "present already" in done.text, done)
    c.stop()
    shutil.rmtree(c.data)
    refused_by(t, c, a, "a number with its slot", ("--broker-id", "18"), "modulo 16")
    refused_by(t, c, a, "a secret on one side", ("--broker-id", "3", *with_secret), "this broker has none")
    for broker in (a, b):
        broker.stop()
    a.start("--broker-id", "1", *with_secret)
    refused_by(t, c, a, "on the other side", ("--broker-id", "3"), "has no ship.secret")
    refused_by(t, c, a, "another secret", ("--broker-id", "3", *with_other), "is another than")
    c.start("--broker-id", "3", "--replica-of", a.url, *with_secret)
    t.check.that("taken in the end", harness.wait_for(lambda: "registered with" in c.errors()),
                 c.errors()[-600:])


def case_leader_is_away(t):
    """A replica whose leader does not answer says so, is not ready, and tries on."""
    a, b = members(t, 2)
    port = harness.free_port()
    start(a, 1)
    start(b, 2, a)
    caught_up(t, (a, b), 2)
    a.stop()
    b.stop()
    b.start("--broker-id", "2", "--http", f"127.0.0.1:{port}")
    code, body = ready(port)
    t.check.that("not ready, and why", code == 503 and "leader" in body, (code, body))
    t.check.that("told", harness.wait_for(lambda: "no leader of the cluster answers" in b.errors()),
                 b.errors()[-600:])
    start(a, 1)
    t.check.that("ready then", harness.wait_for(lambda: ready(port)[0] == 200), ready(port))
    t.check.equal("no trouble", status(b)["trouble"], "")


def flip(broker, topic, share):
    """Flips a bit of a segment of a broker that is stopped, at a share of its bytes: not in the leader
    epoch of a batch, which no checksum covers."""
    path = sorted(broker.partition(topic).glob("*.log"))[0]
    data = bytearray(path.read_bytes())
    pos, at = int(len(data) * share), 0
    while at + 12 + int.from_bytes(data[at + 8:at + 12], "big") <= pos:
        at += 12 + int.from_bytes(data[at + 8:at + 12], "big")
    pos += 4 if 12 <= pos - at < 16 else 0
    data[pos] ^= 0x10
    path.write_bytes(data)


def case_damage_is_repaired(t):
    """Bits that flip in a segment of a follower, and of the leader, while it is stopped: found by
    reading, repaired from the other, and all logs are the same bytes again."""
    a, b = brokers = members(t, 2, replica_check_interval_ms=1000)
    start(a, 1)
    a.run("topic", "create", "n", "-p", "1", "-c", "segment.bytes=65536")
    start(b, 2, a)
    caught_up(t, brokers, 2)
    a.run("produce", "n", "-q", "--batch-size", "4K", data="".join(f"{i}\n" for i in range(1, 40001)))
    caught_up(t, brokers, 2)
    for broker, share in ((b, 0.1), (b, 0.9), (a, 0.5), (a, 0.99)):
        seeds = [other for other in brokers if other is not broker]
        broker.stop()
        flip(broker, "n", share)
        before = broker.errors().count("are repaired from broker")
        start(broker, 1 if broker is a else 2, *seeds)
        done = harness.wait_for(lambda: broker.errors().count("are repaired from broker") > before)
        t.check.that(f"repaired at {share} of {broker.folder.name}", done,
                     "\n".join(other.errors()[-2500:] for other in brokers))
        caught_up(t, brokers, 2)
    got = numbers(a.run("consume", "n", "-o", "start", "-e"))
    t.check.equal("every record is there", got, list(range(1, 40001)))
    t.check.equal("both stop in order", (a.stop(), b.stop()), (0, 0))
    same_log(t, brokers, "n")
    for broker in brokers:
        done = broker.run("verify", "--deep", broker.data)
        t.check.that("verify finds nothing", done.code == 0, done)

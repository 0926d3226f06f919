# SPDX-License-Identifier: MIT
"""groups: members that share topics, lag, moving offsets, and Apache's tool (rows D2, D3, D5, G4, H2,
H6, H10 to H12, I7, N3, N4, P2)."""
import json
import re
import signal
import subprocess
import time

import harness
from cases_tools import started, tool


def keyed(count, start=0):
    return "".join(f"k{i}\tv{i}\n" for i in range(start, start + count))


def produced(broker, count, topic="t", start=0):
    done = broker.run("produce", topic, "-K", "\\t", data=keyed(count, start))
    assert done.code == 0, done


def topic(broker, partitions=3, count=0, name="t", *more):
    done = broker.run("topic", "create", name, "-p", partitions, *more)
    assert done.code == 0, done
    if count:
        produced(broker, count, name)


def member(broker, group, *more, name="t", out=None):
    return broker.open("consume", name, "-g", group, "-o", "start", *more,
                       stdout=out or subprocess.DEVNULL, stderr=subprocess.PIPE)


def described(broker, group, *more):
    """{partition: row} of topic t, and the whole."""
    told = broker.run("group", "describe", group, "--json", *more).json()
    return {row["partition"]: row for row in told["partitions"]}, told


def settled(broker, group, members):
    """Waits until the group has so many members and every one its partitions."""
    def good():
        done = broker.run("group", "members", group, "--json")
        if done.code != 0:
            return None
        told = done.json()
        stable = told["state"] in ("Stable", "Empty") and len(told["members"]) == members
        return told if stable else None
    return harness.wait_for(good)


def ended(child, number=signal.SIGINT):
    child.send_signal(number)
    _, err = child.communicate(timeout=30)
    return child.returncode, err.decode()


def committed(broker, group, total):
    """Waits until the committed offsets sum up to `total`."""
    return harness.wait_for(
        lambda: sum(row["committed"] or 0 for row in described(broker, group)[0].values()) == total)


def case_goes_on(t):
    """D2, H6, N3: a group goes on where it was, over a kill -9 of the broker; others on their own."""
    broker = t.broker()
    topic(broker, 1, 1000)
    first = broker.run("consume", "t", "-g", "g", "-o", "start", "-n", "500").lines()
    t.check.equal("D2: 500 of 1000", first, [f"v{i}" for i in range(500)])
    rows, told = described(broker, "g")
    t.check.equal("D2: committed", (rows[0]["committed"], told["lag"], told["state"]),
                  (500, 500, "Empty"))
    broker.kill()
    broker.start()
    rest = broker.run("consume", "t", "-g", "g", "-e").lines()
    t.check.equal("D2: next is 500", rest, [f"v{i}" for i in range(500, 1000)])
    other = broker.run("consume", "t", "-g", "h", "-o", "start", "-e").lines()
    t.check.equal("H6: another group reads all", len(other), 1000)
    t.check.equal("N3: a new group starts at the end",
                  broker.run("consume", "t", "-g", "new", "-e").lines(), [])
    done = broker.run("consume", "t", "-g", "g", "-p", "0")
    t.check.that("-p with -g: wrong usage", done.code == 2, done)
    done = broker.run("consume", "t", "-g", "g", "-o", "5")
    t.check.that("-o 5 with -g: wrong usage", done.code == 2 and "seek" in done.errors, done)


def case_shares(t):
    """H2, H10, G4: members share the partitions; Ctrl-C leaves at once; each record is read once."""
    broker = t.broker()
    topic(broker, 4)
    outs = [open(broker.folder / f"m{i}", "wb+") for i in range(2)]
    members = [member(broker, "g", out=out) for out in outs]
    told = settled(broker, "g", 2)
    t.check.equal("H2: two members, two partitions each",
                  sorted(len(m["assigned"]) for m in told["members"]) if told else told, [2, 2])
    produced(broker, 400)
    t.check.that("all is committed", committed(broker, "g", 400), described(broker, "g"))
    begin = time.monotonic()
    code, err = ended(members[0])
    t.check.equal("G4: SIGINT", (code, err), (130, ""))
    told = settled(broker, "g", 1)
    t.check.that("G4: left at once", time.monotonic() - begin < 5, time.monotonic() - begin)
    t.check.equal("the other one has all", told and len(told["members"][0]["assigned"]), 4)
    produced(broker, 100, start=400)
    t.check.that("and reads on", committed(broker, "g", 500), described(broker, "g"))
    t.check.equal("SIGTERM", ended(members[1], signal.SIGTERM)[0], 143)
    lines = []
    for out in outs:
        out.seek(0)
        lines += out.read().decode().splitlines()
        out.close()
    t.check.equal("each record once", sorted(lines), sorted(f"v{i}" for i in range(500)))
    causes = [r["cause"] for r in broker.run("group", "history", "g", "--json").json()["rebalances"]]
    t.check.that("H10: the history says why",
                 causes.count("member joined") == 2 and causes.count("member left") == 2, causes)
    done = broker.run("group", "history", "g")
    t.check.that("and as a table", "CAUSE" in done.text and "member left" in done.text, done)


def case_stuck(t):
    """P2: the partition whose member does not move is named, with record and member."""
    broker = t.broker()
    topic(broker, 2)
    members = [member(broker, "g") for _ in range(2)]
    told = settled(broker, "g", 2)
    t.check.that("two members", told is not None, "")
    produced(broker, 20)
    t.check.that("both are read", committed(broker, "g", 20), described(broker, "g"))
    members[0].send_signal(signal.SIGSTOP)
    for i in range(6):
        produced(broker, 20, start=20 * i)
        time.sleep(0.5)
    rows, told = described(broker, "g", "--stuck-after", "2s")
    stuck = [row for row in rows.values() if row["status"] == "STUCK"]
    t.check.equal("P2: one partition", sorted(row["status"] for row in rows.values()), ["OK", "STUCK"])
    row = stuck[0] if stuck else {"next": {"key": "-"}, "stands_ms": 0, "member": "-"}
    t.check.that("P2: with its record and age", row["stands_ms"] >= 2000 and row["next"]["key"][0] == "k"
                 and row["next"]["offset"] == row["committed"], row)
    t.check.that("P2: the hint names the member", told["hints"] and row["member"] in told["hints"][0],
                 told["hints"])
    done = broker.run("group", "lag", "--stuck", "--stuck-after", "2s")
    t.check.that("lag --stuck: only that one", len(done.lines()) == 2 and "STUCK" in done.text, done)
    done = broker.run("group", "describe", "g", "--stuck-after", "2s")
    t.check.that("as text, with a hint", "STUCK" in done.text and "hint:" in done.errors
                 and "has not moved for" in done.errors, done)
    members[0].send_signal(signal.SIGCONT)
    t.check.that("it goes on", committed(broker, "g", 140), described(broker, "g"))
    rows, _ = described(broker, "g", "--stuck-after", "1s")
    t.check.equal("and is well", {row["status"] for row in rows.values()}, {"OK"})
    for child in members:
        ended(child)
    produced(broker, 20)
    t.check.that("nobody reads: NOT CONSUMED", harness.wait_for(lambda: {
        row["status"] for row in described(broker, "g", "--stuck-after", "1s")[0].values()
        if row["lag"]} == {"NOT CONSUMED"}), described(broker, "g", "--stuck-after", "1s"))


def case_lost(t):
    """I7: the time until retention takes what is not read; and that it did."""
    broker = t.broker(log_retention_check_interval_ms="200")
    topic(broker, 1, 10, "t", "-c", "retention.ms=60000", "-c", "segment.bytes=1048576")
    broker.run("consume", "t", "-g", "g", "-o", "start", "-n", "4")
    rows, _ = described(broker, "g")
    t.check.that("I7: time until it is lost", 30000 < rows[0]["lost_in_ms"] <= 60000, rows[0])
    t.check.that("I7: in the table", re.search(r"LOST IN.*\n.* \d+ s +OK",
                                               broker.run("group", "lag", "g").text),
                 broker.run("group", "lag", "g"))
    broker.run("topic", "trim", "t", "--before", "7", "-y")
    rows, told = described(broker, "g")
    t.check.that("I7: what is lost is told", rows[0]["lost_in_ms"] == 0 and "taken 3 unread" in
                 " ".join(told["hints"]), told)


def case_seek(t):
    """D5: offsets moved to every kind of place, and back; refused while members are there."""
    broker = t.broker()
    topic(broker, 1, 100)
    broker.run("consume", "t", "-g", "g", "-o", "start", "-n", "50")

    def at():
        return described(broker, "g")[0][0]["committed"]

    for where, wanted in (("start", 0), ("end", 100), ("30", 30), ("+5", 35), ("-20", 15), ("999", 100),
                          ("-1h", 0), (f"@{int(time.time() * 1000) + 60000}", 100)):
        before = at()
        done = broker.run("group", "seek", "g", "--to", where, "--dry-run")
        t.check.that(f"D5: --to {where} --dry-run", done.code == 0 and at() == before
                     and str(wanted) in done.text, done)
        done = broker.run("group", "seek", "g", "--to", where, "--json")
        moved = done.json()["partitions"][0]
        t.check.equal(f"D5: --to {where}", (moved["old"], moved["new"], at()), (before, wanted, wanted))
    done = broker.run("group", "seek", "g", "--to", "10", "--topic", "t:0")
    t.check.equal("one partition", (done.code, at()), (0, 10))
    done = broker.run("group", "seek", "fresh", "--to", "42", "--topic", "t")
    t.check.equal("a group that was not", described(broker, "fresh")[0][0]["committed"], 42)
    for words, code in ((("g", "--to", "nowhere"), 2), (("g",), 2), (("none", "--to", "start"), 3),
                        (("g", "--to", "1", "--topic", "t:7"), 3), (("g", "--to", "1", "--topic", "x"), 3),
                        (("fresh2", "--to", "+1", "--topic", "t"), 3)):
        done = broker.run("group", "seek", *words)
        t.check.that(f"seek {' '.join(words)}: exit {code}", done.code == code and "hint:" in done.errors,
                     done)
    child = member(broker, "g")
    settled(broker, "g", 1)
    for words in (("seek", "g", "--to", "start"), ("rewind", "g", "--as-of", "-1s"), ("delete", "g", "-y")):
        done = broker.run("group", *words)
        t.check.that(f"{words[0]} while a member is there: refused",
                     done.code == 1 and "has members" in done.errors, done)
    ended(child)


def case_rewind(t):
    """D5: back to a time, by the log of commits; undone; undone again."""
    broker = t.broker()
    topic(broker, 2, 100)

    def at():
        return [row["committed"] for _, row in sorted(described(broker, "g")[0].items())]

    broker.run("consume", "t", "-g", "g", "-o", "start", "-n", "60")
    early, moment = at(), int(time.time() * 1000)
    time.sleep(0.05)
    broker.run("consume", "t", "-g", "g", "-e")
    late = at()
    t.check.that("it read on", early != late and sum(x or 0 for x in late) == 100, (early, late))
    done = broker.run("group", "rewind", "g", "--as-of", moment, "--dry-run")
    t.check.that("rewind --dry-run", done.code == 0 and at() == late, done)
    broker.kill()
    broker.start()
    done = broker.run("group", "rewind", "g", "--as-of", moment)
    wanted = [e if e is not None else l for e, l in zip(early, late)]
    t.check.that("rewind, after a kill -9", done.code == 0 and at() == wanted, f"{done} {at()} {wanted}")
    broker.run("consume", "t", "-g", "g", "-n", "5")
    done = broker.run("group", "rewind", "g", "--undo")
    t.check.that("undone", done.code == 0 and at() == late and "rewind as of" in done.text, f"{done} {at()}")
    between = wanted[:]
    done = broker.run("group", "rewind", "g", "--undo", "--json")
    t.check.that("and undone again: where it had read to", done.code == 0
                 and sum(at()) == sum(between) + 5, f"{done} {at()} {between}")
    broker.run("group", "seek", "g", "--to", "start")
    broker.run("group", "rewind", "g", "--undo")
    t.check.equal("a seek too", sum(at()), sum(between) + 5)
    for words, code in ((("g", "--as-of", "2020-01-01"), 3), (("none", "--undo"), 3), (("g",), 2),
                        (("g", "--undo", "--as-of", "-1h"), 2), (("g", "--as-of", "soon"), 2)):
        done = broker.run("group", "rewind", *words)
        t.check.that(f"rewind {' '.join(words)}: exit {code}", done.code == code, done)
    done = broker.run("group", "delete", "g")
    t.check.that("delete asks", done.code == 7, done)
    done = broker.run("group", "delete", "g", "-y")
    t.check.equal("deleted", (done.code, broker.run("group", "describe", "g").code), (0, 3))
    done = broker.run("group", "rewind", "g", "--as-of", moment)
    t.check.that("and rewound from nothing", done.code == 0 and at()[:1] != [], done)
    done = broker.run("group", "describe", "gg")
    t.check.that("a name nearly right", done.code == 3 and 'did you mean "g"' in done.errors, done)


def case_apache(t):
    """D5, N4, H11: kafka-consumer-groups and kafka-console-consumer --group."""
    broker, server = started(t)
    topic(broker, 2, 100)
    groups = "kafka-consumer-groups"
    code, out, err = tool(t, "kafka-console-consumer", server, "--topic", "t", "--group", "c",
                          "--from-beginning", "--max-messages", "40")
    t.check.equal("H11: 40 by the console consumer", (code, len(out.splitlines())), (0, 40))
    code, out, err = tool(t, groups, server, "--describe", "--group", "c")
    rows = [line.split() for line in out.splitlines() if line]
    t.check.equal("N4: the columns", rows[0] if rows else out,
                  ["GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID",
                   "HOST", "CLIENT-ID"])
    t.check.that("N4: the figures", sum(int(row[3]) for row in rows[1:] if row[3] != "-") == 40
                 and sum(int(row[4]) for row in rows[1:]) <= 100, out)
    t.check.that("N4: no members", "Consumer group 'c' has no active members." in err, err)
    code, out, err = tool(t, groups, server, "--list", "--state")
    t.check.that("list --state", re.search(r"^c +Empty *$", out, re.M), out)
    for where, wanted in (("--to-earliest", 0), ("--to-latest", 100)):
        code, out, err = tool(t, groups, server, "--reset-offsets", "--group", "c", "--topic", "t", where,
                              "--execute")
        rows, _ = described(broker, "c")
        t.check.equal(f"D5: {where}", sum(row["committed"] for row in rows.values()), wanted)
    code, out, err = tool(t, groups, server, "--reset-offsets", "--group", "c", "--all-topics", "--shift-by",
                          "-10")
    t.check.that("D5: a dry run says so", "--execute" in err
                 and sum(row["committed"] for row in described(broker, "c")[0].values()) == 100, err)
    code, out, err = tool(t, groups, server, "--reset-offsets", "--group", "c", "--all-topics", "--shift-by",
                          "-10", "--export", "--dry-run")
    plan = broker.folder / "plan.csv"
    plan.write_text(out.strip() + "\n")
    code, out, err = tool(t, groups, server, "--reset-offsets", "--group", "c", "--from-file", plan, "--execute")
    t.check.equal("D5: --export and --from-file",
                  sum(row["committed"] for row in described(broker, "c")[0].values()), 80)
    live = subprocess.Popen(
        [harness.BUILD / "cli" / "kafka" / "kauri-kafka", "kafka-console-consumer", "--bootstrap-server", server,
         "--topic", "t", "--group", "c"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=harness.environment(t.home.path))
    t.home.undo.append(live.kill)
    t.check.that("a member of Kafka's protocol", settled(broker, "c", 1) is not None, "")
    code, out, err = tool(t, groups, server, "--reset-offsets", "--group", "c", "--all-topics", "--to-earliest",
                          "--execute")
    t.check.that("D5: refused while active", "Error: Assignments can only be reset if the group 'c' is inactive, "
                 "but the current state is Stable." in out, out)
    code, out, err = tool(t, groups, server, "--describe", "--group", "c", "--members")
    t.check.that("--members", re.search(r"^c +\S+ +/?127.0.0.1 +console-consumer +2 *$", out, re.M), out)
    live.send_signal(signal.SIGINT)
    live.wait(timeout=30)
    t.check.that("it left", settled(broker, "c", 0) is not None, "")
    code, out, err = tool(t, groups, server, "--delete-offsets", "--group", "c", "--topic", "t:0")
    t.check.that("--delete-offsets", "Request succeed" in out
                 and list(described(broker, "c")[0]) == [1], out)
    code, out, err = tool(t, groups, server, "--delete", "--group", "c")
    t.check.that("--delete", "Deletion of requested consumer groups ('c') was successful." in out, out)
    code, out, err = tool(t, groups, server, "--describe", "--group", "c")
    t.check.that("a group that is not", "Error: Consumer group 'c' does not exist." in out, out)
    t.check.equal("kauri agrees", broker.run("group", "describe", "c").code, 3)

# SPDX-License-Identifier: MIT
"""input: what people get wrong: a clear word, a hint, the right exit code, and nothing lost."""
import subprocess

import harness


def refused(t, what, done, code, *words, hint=False):
    """An error in one line that has all of `words`, and the exit code."""
    error = [line for line in done.errors.splitlines() if line.startswith("error: ")]
    held = done.code == code and error and all(w in done.errors for w in words) and \
        (not hint or "hint:" in done.errors) and "rrno" not in done.errors
    t.check.that(f"{what}: exit {code}", held, done)


def case_names(t):
    """Topics that are not there, or cannot be."""
    broker = t.broker()
    broker.run("produce", "orders", data="kept\n")
    for words in (("consume", "ordres", "-o", "start", "-e"), ("topic", "describe", "ordres"),
                  ("topic", "delete", "ordres", "-y")):
        refused(t, f"{words[0]} an unknown topic", broker.run(*words), 3, 'topic "ordres" does not exist',
                'did you mean "orders"', hint=True)
    for name in ("bad name", "a/b", "..", ".", "x" * 250, "ü"):
        refused(t, f"the name {name[:9]!r}", broker.run("topic", "create", name), 2)
        done = broker.run("produce", name, data="x\n")
        t.check.that(f"produce to {name[:9]!r} is refused", done.code in (2, 3), done)
    done = broker.run("topic", "create", "__consumer_offsets")
    t.check.that("a name of the broker's own", done.code != 0 and "__" in done.errors, done)
    listed = broker.run("topic", "list", "--json").json()["topics"]
    t.check.equal("nothing of it was made", [e["name"] for e in listed], ["orders"])
    t.check.equal("and nothing is lost", broker.run("consume", "orders", "-o", "start", "-e").out, b"kept\n")


def case_numbers(t):
    """Partitions, replicas and settings out of bounds."""
    broker = t.broker()
    for words in (("-p", "0"), ("-p", "-1"), ("-p", "many"), ("-r", "3"), ("-c", "cleanup.policy=keep"),
                  ("-c", "retention.ms=soon"), ("-c", "segment.bytes=1"), ("-c", "nonsense")):
        done = broker.run("topic", "create", "t", *words)
        refused(t, f"topic create {' '.join(words)}", done, 2)
    t.check.equal("no topic was made", broker.run("topic", "list", "--json").json()["topics"], [])
    done = broker.run("topic", "create", "t", "-p", "2", "--dry-run")
    t.check.equal("--dry-run says yes", done.code, 0)
    t.check.equal("and makes nothing", broker.run("topic", "list", "--json").json()["topics"], [])


def case_usage(t):
    """Commands and options that do not exist."""
    broker = t.broker()
    refused(t, "an unknown command", broker.plain("prodduce", "x"), 2, "kauri produce", hint=True)
    refused(t, "no topic", broker.plain("produce"), 2, "which topic", hint=True)
    refused(t, "an unknown option", broker.run("produce", "t", "--kompress", "zstd"), 2, hint=True)
    refused(t, "an unknown codec", broker.run("produce", "t", "-z", "foo"), 2, "foo", hint=True)
    refused(t, "an address of another kind", broker.plain("topic", "list", "-s", "http://x"), 2, hint=True)
    refused(t, "nobody at the address", broker.plain("topic", "list", "-s", f"ipc://{broker.folder}/none",
                                                      "--timeout", "1s"), 4, "no server", "kauri serve",
            hint=True)
    refused(t, "a setting with a slip", broker.plain("serve", "--data", broker.folder / "new", "--set",
                                                     "num.partition=1"), 2, "num.partitions", hint=True)
    t.check.that("no folder was made for it", not (broker.folder / "new").exists())
    refused(t, "an address for the whole world",
            broker.plain("serve", "--data", broker.folder / "new", "--native", "tcp://0.0.0.0:7999"), 2,
            "--allow-insecure", hint=True)
    for name in ("serve", "topic", "produce", "consume", "config", "dump", "verify", "help", "version"):
        done = broker.plain(name, "-h")
        t.check.that(f"{name} -h: a page with examples",
                     done.code == 0 and "usage: kauri" in done.text and "examples" in done.text, done)


def case_large(t):
    """A record over the limit is refused, the others of the run are kept."""
    broker = t.broker()
    broker.run("topic", "create", "t", "-c", "max.message.bytes=100000")
    lines = ["small 1", "x" * 300000, "small 2"]
    done = broker.run("produce", "t", data="\n".join(lines) + "\n")
    refused(t, "one of three records too large", done, 6, "max.message.bytes")
    got = broker.run("consume", "t", "-o", "start", "-e").lines()
    t.check.equal("the small ones are there", got, ["small 1", "small 2"])
    done = broker.run("produce", "t", data="y" * 90000 + "\n")
    t.check.equal("just below the limit", done.code, 0)
    big = "z" * (2 << 20)
    broker.run("topic", "create", "big", "-c", "max.message.bytes=4M")
    done = broker.run("produce", "big", data=big + "\n")
    got = broker.run("consume", "big", "-o", "start", "-e")
    t.check.that("two MiB where the topic allows four", done.code == 0 and got.text == big + "\n", done)


def case_json(t):
    """A line that is no envelope: told by number; the others are kept."""
    broker = t.broker()
    rows = ['{"value":"a"}', '{bad', '{"value":"b"}']
    done = broker.run("produce", "t", "--json", data="\n".join(rows) + "\n")
    refused(t, "a bad envelope", done, 6, "line 2")
    got = broker.run("consume", "t", "-o", "start", "-e").lines()
    t.check.equal("the good ones are there", got, ["a", "b"])


def case_partitions(t):
    """Partitions that are not there."""
    broker = t.broker()
    broker.run("topic", "create", "t", "-p", "2")
    for words in (("produce", "t", "-p", "2"), ("consume", "t", "-p", "7", "-o", "start", "-e"),
                  ("topic", "trim", "t", "-p", "2", "--before", "end", "-y")):
        done = broker.run(*words, data="x\n")
        t.check.that(f"{' '.join(words)} is refused", done.code in (2, 3) and "partition" in done.errors,
                     done)


def case_pipe(t):
    """A reader that goes away, and Ctrl-C."""
    broker = t.broker()
    broker.run("produce", "t", data="line\n" * 50000)
    words = f"{broker.program} consume t -o start -s {broker.url} | head -n 3"
    done = subprocess.run(["sh", "-c", words], capture_output=True,
                                  env=harness.environment(broker.home.path), timeout=30)
    t.check.equal("consume | head", (done.stdout, done.stderr), (b"line\n" * 3, b""))

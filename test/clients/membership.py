# SPDX-License-Identifier: MIT
"""membership: consumers in groups as child processes, and what they report while they run.

A Joined is one client program (session.py) that was asked to `join`. A thread takes down what it
says, in order, so that many of them can be watched at once: `history` what it owned from when on,
`got` what it read, `commits` what the broker acknowledged. Times are microseconds since 1970 by the
client's own clock, which is this machine's.
"""
import json
import signal
import subprocess
import threading
import time

import fleet
import harness

SESSION_MS, HEARTBEAT_MS = 6000, 500
LEAVE_LIMIT_S = 20.0


class Owns:
    """What a member owned from at_us on, in its own words."""

    def __init__(self, line):
        self.partitions = frozenset(line["partitions"])
        self.at_us, self.why = line["at_us"], line["why"]
        self.generation, self.member = line.get("generation"), line.get("member")

    def __repr__(self):
        return f"{self.why} {sorted(self.partitions)} gen {self.generation}"


class Joined:
    """One member. Everything public may be read while it runs."""

    def __init__(self, home, name, command, env, address, **words):
        self.name, self.words = name, words
        self.log_path = home.path / f"member-{name}.log"
        self.history, self.got, self.commits, self.refused = [], [], [], []
        self.error, self.left, self.ended = None, False, False
        self.news = threading.Condition()
        self.paused_us = self.killed_us = self.ended_us = None
        with open(self.log_path, "ab") as log:
            self.child = subprocess.Popen([*map(str, command), address], stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE, stderr=log,
                                          env={**harness.environment(home.path), **env},
                                          preexec_fn=harness.die_with_parent)
        home.undo.append(self.kill)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.here = False
        self.write({"op": "join", "session_ms": SESSION_MS, "heartbeat_ms": HEARTBEAT_MS, **words})
        if not self.wait(lambda: self.here or self.ended, fleet.LIMIT_S) or not self.here:
            raise fleet.Refused(f"{name} does not begin: {self.said()}")

    # ---- What it says ----------------------------------------------------------------------------
    def read(self):
        for text in self.child.stdout:
            with self.news:
                try:
                    self.take(json.loads(text))
                except ValueError:
                    self.error = f"not a line of the protocol: {text[:200]!r}"
                self.news.notify_all()
        with self.news:
            self.ended, self.ended_us = True, time.time_ns() // 1000
            self.news.notify_all()

    def take(self, line):
        event = line.get("event")
        if event == "here":
            self.here = True
        elif event == "owns":
            self.history.append(Owns(line))
        elif event == "got":
            self.got.extend(map(tuple, line["records"]))
        elif event == "committed":
            self.commits.append((line.get("at_us"), {int(p): o for p, o in line["offsets"].items()}))
        elif event == "refused":
            self.refused.append(str(line["why"]))
        elif "error" in line:
            self.error = line["error"]
        else:
            self.left = True

    def said(self):
        return f"{self.error or ''} {self.log_path.read_text(errors='replace')[-600:]}"

    # ---- Questions -------------------------------------------------------------------------------
    def wait(self, question, limit_s=15.0):
        """question() once it is true, or its last answer when time is up."""
        with self.news:
            self.news.wait_for(question, limit_s)
            return question()

    @property
    def owned(self):
        return self.history[-1].partitions if self.history else frozenset()

    @property
    def generation(self):
        return self.history[-1].generation if self.history else None

    def alive(self):
        return not self.ended and not self.left and self.killed_us is None

    # ---- Orders ----------------------------------------------------------------------------------
    def write(self, line):
        try:
            self.child.stdin.write(json.dumps(line).encode() + b"\n")
            self.child.stdin.flush()
        except OSError as why:
            raise fleet.Refused(f"{self.name} is gone: {why}: {self.said()}") from why

    def commit(self, metadata=None, limit_s=20.0, **more):
        """Its positions, committed: {partition: offset}; Refused with the client's words."""
        commits, refused = len(self.commits), len(self.refused)
        self.write({"op": "commit", "metadata": metadata, **more})
        self.wait(lambda: len(self.commits) > commits or len(self.refused) > refused or self.ended,
                  limit_s)
        if len(self.commits) > commits:
            return self.commits[-1][1]
        raise fleet.Refused(self.refused[-1] if len(self.refused) > refused
                            else f"{self.name} says nothing to a commit: {self.said()}")

    def ask_to_leave(self):
        self.write({"op": "leave"})

    def leave(self):
        """Leaves as the client does in order; the seconds that took."""
        begin = time.monotonic()
        self.ask_to_leave()
        if not self.wait(lambda: self.left or self.ended, LEAVE_LIMIT_S) or not self.left:
            raise fleet.Refused(f"{self.name} does not leave: {self.said()}")
        took = time.monotonic() - begin
        self.finish()
        return took

    def finish(self):
        self.child.stdin.close()
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.reader.join()
        self.child.stdout.close()

    def kill(self):
        """kill -9; fine when it is gone."""
        if self.child.poll() is None:
            self.killed_us = self.killed_us or time.time_ns() // 1000
            self.child.kill()
        self.child.wait()
        self.reader.join()

    def pause(self):
        self.paused_us = time.time_ns() // 1000
        self.child.send_signal(signal.SIGSTOP)

    def resume(self):
        self.child.send_signal(signal.SIGCONT)


def owners(members):
    """{partition: [names of those that say they own it]}"""
    out = {}
    for m in members:
        for p in m.owned:
            out.setdefault(p, []).append(m.name)
    return out


def settled(members, partitions, limit_s=20.0):
    """Waits until each partition has exactly one owner among the members; None, or who has what."""
    def so():
        return sorted(p for m in members for p in m.owned) == list(range(partitions))
    return None if harness.wait_for(so, limit_s) else {m.name: sorted(m.owned) for m in members}

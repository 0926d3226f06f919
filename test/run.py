# SPDX-License-Identifier: MIT
"""run: builds, runs every suite, closes with one line `N passed, N failed[, N skipped]`.

Two kinds of suite: the tests meson knows (Check programs, whose test cases are counted one by one
from their summary line) and the scripts listed in test/suites, one a line: name, command. A script
runs in the repository's root with KAURI_BUILD naming the build folder and answers 0 passed,
77 skipped (its last line says why), anything else failed; it counts as one.

Fails when anything failed, also a program that died without saying so, a Check program that ran no
test case, a build that broke, or when nothing ran at all.
"""
import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUMMARY = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)", re.M)
SKIP = 77
LONG_FACTOR = 20
SCRIPT_TIMEOUT_S = 900


class Tally:
    """The counts, and the printing of each suite's line and a failed suite's log."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, name, passed, failed, skipped, seconds, log):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped
        word = "FAIL" if failed else "skip" if skipped else "ok  "
        last = log.strip().splitlines()[-1] if log.strip() else "no reason given"
        note = f"  {last}" if skipped else ""
        print(f"{word}  {name}  {passed + failed} run, {seconds:.1f} s{note}", flush=True)
        if failed:
            print(f"----- {name}\n{log.rstrip()}\n-----", flush=True)

    def close(self):
        line = f"{self.passed} passed, {self.failed} failed"
        print(line + (f", {self.skipped} skipped" if self.skipped else ""), flush=True)
        return 0 if self.passed and not self.failed else 1


def quiet(*command):
    """Runs a build command; its output and False when it failed."""
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace")
    return done.returncode == 0, done.stdout


def known_tests(build):
    ok, out = quiet("meson", "introspect", str(build), "--tests")
    return ok and json.loads(out) != []


def prepare(build):
    """Configures where needed and builds everything. The log of the step that failed, or None."""
    if not os.access(build if build.exists() else build.parent, os.W_OK):
        return f"{build} cannot be written: name another folder with --build, or copy {ROOT}"
    if not (build / "build.ninja").exists():
        ok, log = quiet("meson", "setup", str(build), str(ROOT))
        if not ok:
            return log
    if not known_tests(build):  # configured before Check was installed
        ok, log = quiet("meson", "setup", "--reconfigure", str(build), str(ROOT))
        if not ok:
            return log
    ok, log = quiet("ninja", "-C", str(build))
    return None if ok else log


def count_checks(result, log):
    """(passed, failed, skipped, remark) of one meson test."""
    if result == "SKIP":
        return 0, 0, 1, ""
    runs = [tuple(map(int, m)) for m in SUMMARY.findall(log)]
    ran = sum(r[0] for r in runs)
    failed = sum(r[1] + r[2] for r in runs)
    good = result in ("OK", "EXPECTEDFAIL")
    if not runs:
        return (1, 0, 0, "") if good else (0, 1, 0, f"result: {result}")
    if ran == 0:
        return 0, 1, 0, "the program ran no test case"
    if not good and failed == 0:
        return ran, 1, 0, f"result: {result}, though every test case passed"
    return ran - failed, failed, 0, ""


def run_meson(build, options, tally):
    if not known_tests(build):
        tally.add("meson", 0, 1, 0, 0.0, "the build knows no test: is Check installed?")
        return
    results = build / "meson-logs" / "testlog.json"
    results.unlink(missing_ok=True)
    command = ["meson", "test", "-C", str(build), "--no-rebuild"]
    command += ["--suite", options.suite] if options.suite else []
    command += ["-t", str(LONG_FACTOR)] if options.long else []
    ok, out = quiet(*command)
    if not results.exists():
        tally.add("meson", 0, 1, 0, 0.0, out)
        return
    all_good = True
    for line in results.read_text(errors="replace").splitlines():
        test = json.loads(line)
        log = test.get("stdout", "") + test.get("stderr", "")
        passed, failed, skipped, remark = count_checks(test["result"], log)
        all_good = all_good and failed == 0
        name = test["name"].split(" / ")[-1]
        tally.add(name, passed, failed, skipped, test["duration"], f"{log}\n{remark}".rstrip())
    if all_good and not ok:
        tally.add("meson", 0, 1, 0, 0.0, out)


def scripts():
    """(name, command) of each line in test/suites."""
    listed = ROOT / "test" / "suites"
    lines = listed.read_text().splitlines() if listed.exists() else []
    return [tuple(l.split(None, 1)) for l in lines if l.strip() and not l.lstrip().startswith("#")]


def run_script(name, command, build, factor, tally):
    log_path = build / "meson-logs" / f"suite-{name}.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with open(log_path, "w") as out:
        child = subprocess.Popen(command, shell=True, cwd=ROOT, stdin=subprocess.DEVNULL,
                                 stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = child.wait(SCRIPT_TIMEOUT_S * factor)
            remark = ""
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            code, remark = child.wait(), f"\nno end after {SCRIPT_TIMEOUT_S * factor} s: killed"
    log = log_path.read_text(errors="replace") + remark
    if code not in (0, SKIP):
        log += f"\nexit status {code}"
    tally.add(name, code == 0, code not in (0, SKIP), code == SKIP, time.monotonic() - start, log)


def parse_options():
    p = argparse.ArgumentParser(prog="test/run", description="Builds and runs every test.")
    p.add_argument("--long", action="store_true", help="the long counts (KAURI_TEST_LONG=1)")
    p.add_argument("--build", default="build", metavar="DIR", help="build folder (build)")
    p.add_argument("--suite", metavar="NAME", help="only meson's tests of this suite, no scripts")
    p.add_argument("--only", metavar="RE", help="only the scripts of test/suites with such a name")
    return p.parse_args()


def main():
    options = parse_options()
    build = (ROOT / options.build).resolve()
    os.environ["KAURI_BUILD"] = str(build)
    if options.long:
        os.environ["KAURI_TEST_LONG"] = "1"
    tally = Tally()
    log = prepare(build)
    if log is not None:
        tally.add("build", 0, 1, 0, 0.0, log)
        return tally.close()
    if not options.only:
        run_meson(build, options, tally)
    if not options.suite:
        for name, *command in scripts():
            if not command:
                tally.add(name, 0, 1, 0, 0.0, "test/suites: the line names no command")
            elif not options.only or re.search(options.only, name):
                run_script(name, command[0], build, LONG_FACTOR if options.long else 1, tally)
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())

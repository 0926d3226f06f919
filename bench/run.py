#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run: measures kauri beside the raw limits of this machine; see README.md.

Every figure of a run stands beside a raw limit of the same run. Compare ratios between runs, not
figures. The exit code says whether everything was measured, not whether the budgets are met.
"""
import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
import scenarios
from lab import Failed, Lab
from report import Report


def arguments():
    names = [s.__name__ for s in scenarios.ALL]
    p = argparse.ArgumentParser(prog="bench/run", description=__doc__.splitlines()[0])
    p.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
    p.add_argument("--dir", type=Path, help="measure on this folder's disk; default: the build's")
    p.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    p.add_argument("--quick", action="store_true", help="shorter and smaller: 5 minutes")
    p.add_argument("--only", action="append", choices=names, metavar="NAME",
                   help="of " + ", ".join(names) + "; repeatable")
    p.add_argument("--records", type=int, default=0, metavar="N",
                   help="at most so many records (topics, batches) a row")
    return p.parse_args()


def file_system(folder):
    done = subprocess.run(["findmnt", "-no", "FSTYPE", "-T", folder], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def machine(folder):
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cores": len(os.sched_getaffinity(0)), "memory": memory, "kernel": platform.release(),
            "architecture": platform.machine(), "file_system": file_system(folder),
            "load": os.getloadavg()[0]}


def measure(args, folder, report):
    lab = Lab(args.build, folder, args.quick, args.records, report)
    try:
        for scenario in scenarios.ALL:
            if not args.only or scenario.__name__ in args.only:
                scenario(lab)
    finally:
        lab.close()


def main():
    args = arguments()
    report, begin = Report(), time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="kauri-bench-", dir=args.dir or args.build))
    about = machine(folder)
    print(f"{about['cores']} cores, {about['memory'] / 2**30:.0f} GiB, {about['architecture']}, "
          f"Linux {about['kernel']}, {about['file_system']}, load {about['load']:.1f} before")
    busy = about["load"] > about["cores"] / 2
    if busy:
        print("warning: the machine is busy with other things: neither figures nor ratios will hold")
    try:
        measure(args, folder, report)
    except Failed as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report.print_budgets(busy)
    print(f"\n{len(report.rows)} rows in {time.monotonic() - begin:.0f} s")
    if args.json:
        report.write(args.json, about)
    return 0


if __name__ == "__main__":
    sys.exit(main())

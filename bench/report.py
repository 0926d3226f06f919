# SPDX-License-Identifier: MIT
"""report: the rows of a run, printed as they come, and kept for the JSON file.

A figure stands beside the raw limit that bounds it, measured in the same run: `ratio` is the figure by
the limit. A budget row says met or missed.
"""
import json

UNITS = {  # unit: (its prefixes)
    "ns": ((1, "ns"), (1e3, "us"), (1e6, "ms")),
    "us": ((1, "us"), (1e3, "ms"), (1e6, "s")),
    "ms": ((1, "ms"), (1e3, "s")),
    "B": ((1, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB")),
    "B/s": ((1, "B/s"), (1e3, "kB/s"), (1e6, "MB/s"), (1e9, "GB/s")),
    "1/s": ((1, "/s"), (1e3, "k/s"), (1e6, "M/s")),
    "x": ((1, "x"),),
    "": ((1, ""),),
}


def ratio(value):
    return f"{value:.2f} x" if value >= 0.1 else f"{value:.2g} x"


def text(value, unit):
    size, name = [p for p in UNITS[unit] if abs(value) >= p[0] or p[0] == 1][-1]
    value /= size
    digits = 0 if value >= 100 or (unit in ("", "B") and size == 1) else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {name}".strip()


class Report:
    def __init__(self):
        self.rows, self.budgets = [], []

    def title(self, words):
        print(f"\n{words}", flush=True)

    def row(self, name, value, unit, limit=None, beside="", figures=None, note=""):
        """`limit`: the raw figure of the same unit, `beside` what it is."""
        self.rows.append({"name": name, "value": value, "unit": unit, "limit": limit,
                          "beside": beside, "ratio": value / limit if limit else None,
                          "note": note, "figures": figures or {}})
        line = f"  {name:<38}{text(value, unit):>12}"
        if limit:
            line += f"  {ratio(value / limit):>9}  {text(limit, unit):>10}  {beside}"
        if note:
            line += f"   {note}"
        print(line, flush=True)

    def latency(self, name, figures, limit=None, beside=""):
        """p50 as the value, the tail as a note; `limit` in us."""
        tail = "  ".join(f"{short} {text(figures[key], 'us')}" for short, key in
                         (("p90", "p90_us"), ("p99", "p99_us"), ("p99.9", "p999_us"),
                          ("max", "max_us")))
        self.row(name, figures["p50_us"], "us", limit, beside, figures, tail)

    def budget(self, name, value, unit, limit, at_least=False, note=""):
        met = value >= limit if at_least else value <= limit
        self.budgets.append({"name": name, "value": value, "unit": unit, "limit": limit,
                             "at_least": at_least, "met": met, "note": note})

    def skipped(self, name, why):
        self.budgets.append({"name": name, "value": None, "met": None, "note": why})

    def print_budgets(self, busy):
        if not self.budgets:
            return
        self.title("budgets" + (", provisional: the machine is busy with other things" if busy else ""))
        for b in self.budgets:
            if b["value"] is None:
                print(f"  skipped  {b['name']:<46} {b['note']}")
                continue
            sign = ">=" if b["at_least"] else "<="
            print(f"  {'met' if b['met'] else 'MISSED':<8} {b['name']:<46}"
                  f"{text(b['value'], b['unit']):>10} {sign} {text(b['limit'], b['unit'])}"
                  f"{'   ' + b['note'] if b['note'] else ''}")

    def write(self, path, machine):
        with open(path, "w") as out:
            json.dump({"machine": machine, "rows": self.rows, "budgets": self.budgets}, out, indent=1)
            out.write("\n")

"""``python -m tests.bench [--json FILE] [--only WORD]``: floors, ours, ratios, targets."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict

from tests.bench.bus import bus_rows
from tests.bench.hot_path import decide_rows, record_rows
from tests.bench.journal import journal_rows
from tests.bench.memory import memory_rows
from tests.bench.questions import question_rows
from tests.bench.recorder import recorder_rows, wakeup_rows
from tests.bench.redis import redis_rows
from tests.bench.refresh import import_rows, refresh_rows
from tests.bench.row import Row

GROUPS: dict[str, Callable[[], Iterator[Row]]] = {
    "decide": decide_rows,
    "record": record_rows,
    "recorder": recorder_rows,
    "bus": bus_rows,
    "wakeup": wakeup_rows,
    "refresh": refresh_rows,
    "questions": question_rows,
    "redis": redis_rows,
    "journal": journal_rows,
    "memory": memory_rows,
    "import": import_rows,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Measure against floors of the same run."
    )
    parser.add_argument("--json", metavar="FILE", default="bench-results.json", help="where the rows are written")
    parser.add_argument("--only", choices=sorted(GROUPS), action="append", help="only this group; may be repeated")
    asked = parser.parse_args()
    rows: list[Row] = []
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}"
    )
    print(f"{'what':<48} {'floor':>11} {'ours':>11} {'unit':<16} {'ratio':>6} {'target':>9}")
    for name, group in GROUPS.items():
        if asked.only and name not in asked.only:
            continue
        for row in group():
            rows.append(row)
            print(_line(row), flush=True)
    with open(asked.json, "w", encoding="utf-8") as file:
        json.dump([{**asdict(r), "ratio": r.ratio, "is_reached": r.is_reached} for r in rows], file, indent=1)
    print(f"{sum(r.is_reached for r in rows)} of {len(rows)} targets reached; rows written to {asked.json}")
    return 0


def _line(row: Row) -> str:
    floor = f"{row.floor:,.2f}" if row.floor else "-"
    ratio = f"{row.ratio:.2f}" if row.ratio is not None else "-"
    target = f"{'≥' if row.is_more_better else '≤'} {row.limit:,g}" + ("" if row.ratio is None else "×")
    mark = "" if row.is_reached else "  not reached"
    note = f"  ({row.note})" if row.note else ""
    return f"{row.name:<48} {floor:>11} {row.ours:>11,.2f} {row.unit:<16} {ratio:>6} {target:>9}{mark}{note}"


if __name__ == "__main__":
    sys.exit(main())

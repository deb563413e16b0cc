"""``python -m tests.crash [--trials N] [--seed K] [--store NAME] [--keep FOLDER]``.

A trial is one kill. Ten make a round, played on a store of its own with a seed of its own; what a round
with problems left is kept where ``--keep`` says, and ``--trials 10 --seed`` with its seed plays it again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.crash.rounds import URLS, Outcome, play

ROUND = 10


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.crash", description="Kill processes that share a store, and look at what is left."
    )
    parser.add_argument("--trials", type=int, default=100, help="processes to kill (default: 100)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first round; each further one adds 1")
    parser.add_argument("--store", choices=sorted(URLS), default="sqlite")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where stores of rounds with problems are kept")
    asked = parser.parse_args()
    start_s, played = time.monotonic(), list[tuple[int, Outcome]]()
    seed = asked.seed
    while sum(outcome.n_kills for _, outcome in played) < asked.trials:
        outcome = _round(asked.store, seed, asked.keep)
        played.append((seed, outcome))
        n = sum(outcome.n_kills for _, outcome in played)
        print(f"{n:>6} of {asked.trials} killed, {time.monotonic() - start_s:.0f} s, seed {seed}: {_word(outcome)}")
        sys.stdout.flush()
        seed += 1
    print(json.dumps(_summary(asked.store, played, time.monotonic() - start_s), indent=1))
    return int(any(outcome.problems for _, outcome in played))


def _round(store: str, seed: int, keep: Path | None) -> Outcome:
    folder = Path(tempfile.mkdtemp(prefix="hive-crash-"))
    try:
        outcome = play(folder, store, ROUND, seed)
        if outcome.problems and keep is not None:
            shutil.copytree(folder, keep / f"{store}-{seed}", dirs_exist_ok=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def _word(outcome: Outcome) -> str:
    return "; ".join(outcome.problems) or "all is well"


def _summary(store: str, played: Sequence[tuple[int, Outcome]], seconds: float) -> dict[str, object]:
    outcomes = [outcome for _, outcome in played]
    takeovers_s = [s for outcome in outcomes for s in outcome.takeovers_s]
    sums = ("n_kills", "n_runs", "n_feedback", "n_changes", "n_leaders")
    return {
        "store": store,
        "n_rounds": len(outcomes),
        **{name: sum(getattr(outcome, name) for outcome in outcomes) for name in sums},
        "takeover_median_s": round(statistics.median(takeovers_s), 3) if takeovers_s else None,
        "takeover_longest_s": round(max(takeovers_s), 3) if takeovers_s else None,
        "seconds": round(seconds, 1),
        "problems": {str(seed): outcome.problems for seed, outcome in played if outcome.problems},
    }


if __name__ == "__main__":
    sys.exit(main())

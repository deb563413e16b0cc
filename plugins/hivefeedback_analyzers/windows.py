"""What to compare with what: recent runs with the runs before them, at several scales.

A fall that began a minute ago drowns in the last hour, and a slow one does not show in the last
twenty runs, so both are looked at. Where the history is short the newest third of it is recent;
within a single minute only the newest runs can be told apart from the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hivefeedback.stats import Sample, View, newest_sample, samples

__all__ = ["Comparison", "comparisons", "split_s"]

Key = tuple[str, ...]


class Comparison(NamedTuple):
    """The runs of a (deployment, operation) before, and the recent ones, on one scale."""

    key: Key
    scale: str
    before: Sample
    after: Sample


def split_s(view: View, *, now_s: float, recent_s: float) -> float | None:
    """Where the recent part of a view begins; None where it cannot be split.

    ``recent_s`` ago if there is anything before, else at two thirds of the buckets.
    """
    widths = dict(view.buckets())
    starts = sorted(widths)
    if len(starts) < 2:
        return None
    wanted = now_s - recent_s
    if starts[0] + widths[starts[0]] <= wanted <= starts[-1]:
        return wanted
    return starts[-max(1, len(starts) // 3)]


def comparisons(view: View, *, now_s: float, recent_s: float, newest: Sequence[int]) -> Iterator[Comparison]:
    """Every (deployment, operation) before and after, on every scale that has both.

    Cells without a deployment hold the runs of agents and tools; no deployment is blamed for them.
    """
    split = split_s(view, now_s=now_s, recent_s=recent_s)
    by, scales = ("deployment", "operation"), {n: f"newest {n}" for n in newest}
    total = samples(view.between(float("-inf"), split) if split is not None else view, *by)
    recent = samples(view.between(split, float("inf")), *by) if split is not None else {}
    for key, after in recent.items():
        if key in total and key[0]:
            yield Comparison(key, "window", total[key], after)
        total[key] = total[key].plus(after) if key in total else after
    for key, known in total.items():
        for n in newest if key[0] else ():
            last = newest_sample(view, key[0], key[1], n)
            if last is not None:
                yield Comparison(key, scales[n], known.minus(last), last)

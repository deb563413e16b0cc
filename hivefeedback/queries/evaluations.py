"""``loop.evaluations()``: how deployments were judged, what they are good and bad at, and what could be done.

Each kind of feedback and score of a deployment on an operation is held against the other deployments
on the same operation, and against the stars that people are content with. A strength or weakness is
one beyond chance, adjusted for everything that the answer compares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import erfc, sqrt
from typing import Final

from hivefeedback.model import INVERTED, Interval
from hivefeedback.queries.advice import advice
from hivefeedback.queries.basis import Basis
from hivefeedback.queries.cells import covered, is_below
from hivefeedback.queries.checks import check_count, check_operation
from hivefeedback.queries.insights import InsightLimits
from hivefeedback.queries.stats import RATINGS
from hivefeedback.stats import (
    JUDGED_UNIT,
    NO_QUALITY,
    Cell,
    Coverage,
    Difference,
    Judged,
    adjusted_p_values,
    mean_difference,
    mean_interval,
)

__all__ = ["Evaluation", "Evaluations", "Judgement", "evaluations"]

_ALPHA: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One kind of feedback or score of a deployment on an operation.

    Args:
        name: Of the feedback or score.
        n: How many.
        mean: 0–1; of ``complaint``, ``correction`` and ``loop_back`` the more the worse.
        interval: 95 %.
        rating: The mean on the scale from 1 to 5, for ratings.
        beside: Mean − that of the others on the same operation, with 95 % interval; None where there is
            nobody, or too little.
        p_value: Chance of such a difference if there were none, adjusted for the whole answer.
        verdict: ``strength``, ``weakness``, or empty where it is neither beyond chance.
    """

    name: str
    n: int
    mean: float
    interval: Interval
    rating: float | None = None
    beside: Interval | None = None
    p_value: float | None = None
    verdict: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How a deployment was judged on an operation.

    Args:
        deployment, operation: Which.
        n_runs: Counted runs in the window.
        n_judged: Judgements of all kinds.
        ratings: Mean of all five ratings together, 1–5; None without any.
        judgements: By name, the ratings first.
        strengths, weaknesses: In words with numbers.
        suggestions: What could be done about the weaknesses, in words with numbers.
    """

    deployment: str
    operation: str
    n_runs: int
    n_judged: int
    ratings: float | None
    judgements: tuple[Judgement, ...]
    strengths: tuple[str, ...] = ()
    weaknesses: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluations:
    """Evaluations by deployment and operation, and what the window really covers."""

    rows: tuple[Evaluation, ...]
    coverage: Coverage

    def __iter__(self) -> Iterator[Evaluation]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Evaluation:
        return self.rows[index]


@dataclass(slots=True, kw_only=True)
class _Seen:
    """A judgement while it is compared."""

    key: tuple[str, str]
    name: str
    judged: Judged
    beside: Difference | None
    below: float
    """Chance of so few stars if people were content; 1 where it is no rating."""
    content: float
    """Stars, 1–5, below which people are not content."""
    p_value: float = 1.0
    p_below: float = 1.0


def evaluations(
    basis: Basis,
    *,
    deployment: str | None = None,
    operation: str | None = None,
    min_judgements: int = 5,
    limits: InsightLimits | None = None,
) -> Evaluations:
    """Evaluate what was judged in a window.

    Args:
        basis: The window, and what is served.
        deployment: Only this one; it is still compared with the others.
        operation: Only this operation and those below it.
        min_judgements: Fewer of a kind are shown and not compared.
        limits: ``low_rating`` of them is what people are content with.

    Raises:
        UnknownNameError: The deployment is neither declared nor was ever seen.
    """
    operation, min_judgements = check_operation(operation), max(1, check_count("min_judgements", min_judgements))
    if deployment is not None:
        basis.known([deployment])
    cells = {
        (d, o): cell
        for (d, o), cell in basis.view.totals("deployment", "operation", bins=False).items()
        if d and is_below(o, operation)
    }
    content = (limits or InsightLimits()).low_rating
    seen: dict[tuple[str, str], list[_Seen]] = {}
    for s in _seen(cells, min_judgements, content):
        seen.setdefault(s.key, []).append(s)
    rows = [
        _evaluation(key, cell, seen.get(key, ()), cells)
        for key, cell in sorted(cells.items())
        if deployment in (None, key[0]) and (cell.n_runs or key in seen)
    ]
    shown = [cell for key, cell in cells.items() if deployment in (None, key[0])]
    return Evaluations(rows=tuple(rows), coverage=covered(basis.view, shown))


def _seen(cells: Mapping[tuple[str, str], Cell], min_judgements: int, content: float) -> list[_Seen]:
    """Each judgement beside those of the others, with p-values that are adjusted for all of them."""
    totals: dict[tuple[str, str], Judged] = {}
    for (_, o), cell in cells.items():
        for name, judged in cell.judged.items():
            known = totals.setdefault((o, name), Judged())
            known.n, known.total, known.squares = (
                known.n + judged.n,
                known.total + judged.total,
                known.squares + judged.squares,
            )
    found = []
    for key, cell in cells.items():
        for name, judged in cell.judged.items():
            if name in NO_QUALITY or judged.n <= 0:
                continue
            whole = totals[key[1], name]
            others = Judged(whole.n - judged.n, whole.total - judged.total, whole.squares - judged.squares)
            is_enough = min(judged.n, others.n) >= min_judgements
            beside = mean_difference(others, judged) if is_enough else None
            is_rated = name in (*RATINGS, "rating") and judged.n >= min_judgements
            below = _below(judged, content) if is_rated else 1.0
            found.append(_Seen(key=key, name=name, judged=judged, beside=beside, below=below, content=content))
    raw = [s.beside.p_value if s.beside is not None else 1.0 for s in found] + [s.below for s in found]
    adjusted = adjusted_p_values(raw)
    for s, p_value, p_below in zip(found, adjusted, adjusted[len(found) :], strict=False):
        s.p_value, s.p_below = p_value, p_below
    return found


def _below(judged: Judged, content: float) -> float:
    """Chance of so low a mean if people were just content (normal; as ``mean_difference`` with pseudo values)."""
    n = judged.n + 2.0
    mean = (judged.total / JUDGED_UNIT + 1.0) / n
    error = sqrt(max(0.0, (judged.squares / JUDGED_UNIT**2 + 1.0) / n - mean * mean) / n)
    return 0.5 * erfc(((content - 1.0) / 4.0 - mean) / error / sqrt(2)) if error > 0 else 1.0


def _evaluation(
    key: tuple[str, str], cell: Cell, seen: Sequence[_Seen], cells: Mapping[tuple[str, str], Cell]
) -> Evaluation:
    ordered = sorted(seen, key=lambda s: (s.name not in RATINGS, s.name))
    judgements = [_judgement(s) for s in ordered]
    both = list(zip(ordered, judgements, strict=True))
    rated = [s.judged for s in ordered if s.name in RATINGS]
    n_rated = sum(j.n for j in rated)
    return Evaluation(
        deployment=key[0],
        operation=key[1],
        n_runs=cell.n_runs,
        n_judged=sum(s.judged.n for s in ordered),
        ratings=1.0 + 4.0 * sum(j.total for j in rated) / n_rated / JUDGED_UNIT if n_rated else None,
        judgements=tuple(judgements),
        strengths=tuple(_told(s, j) for s, j in both if j.verdict == "strength"),
        weaknesses=tuple(_told(s, j) for s, j in both if j.verdict == "weakness"),
        suggestions=tuple(_suggested(s, j, cells) for s, j in both if j.verdict == "weakness"),
    )


def _judgement(s: _Seen) -> Judgement:
    mean = s.judged.mean or 0.0
    return Judgement(
        name=s.name,
        n=s.judged.n,
        mean=mean,
        interval=mean_interval(s.judged),
        rating=1.0 + 4.0 * mean if s.name in (*RATINGS, "rating") else None,
        beside=s.beside.interval if s.beside is not None else None,
        p_value=s.p_value if s.beside is not None else None,
        verdict=_verdict(s),
    )


def _verdict(s: _Seen) -> str:
    if s.p_below <= _ALPHA:
        return "weakness"
    if s.beside is None or s.p_value > _ALPHA:
        return ""
    i = s.beside.interval
    is_more_better = s.name not in INVERTED
    if i.low > 0:
        return "strength" if is_more_better else "weakness"
    if i.high < 0:
        return "weakness" if is_more_better else "strength"
    return ""


def _told(s: _Seen, j: Judgement) -> str:
    words = f"{j.name} of {s.key[0]!r} on {s.key[1]!r} is {j.mean:.2f} (n {j.n})"
    if j.beside is not None and (j.p_value or 0.0) <= _ALPHA:
        i = j.beside
        side = "above" if i.estimate > 0 else "below"
        bounds = sorted((abs(i.low), abs(i.high)))
        return f"{words}, {abs(i.estimate):.2f} ({bounds[0]:.2f} to {bounds[1]:.2f}) {side} the others"
    return f"{words}, {j.rating or 0.0:.2f} of 5 stars, below {s.content:g}"


def _suggested(s: _Seen, j: Judgement, cells: Mapping[tuple[str, str], Cell]) -> str:
    better = _better(s, cells)
    name, value = better if better is not None else (None, None)
    return f"{_told(s, j)}: {advice(s.name, operation=s.key[1], better=name, value=value)}"


def _better(s: _Seen, cells: Mapping[tuple[str, str], Cell]) -> tuple[str, float] | None:
    """The best other deployment on the operation by this judgement, if it is better at 95 %."""
    sign = -1 if s.name in INVERTED else 1
    found: list[tuple[float, str, float]] = []
    for (d, o), cell in cells.items():
        judged = cell.judged.get(s.name)
        if o != s.key[1] or d == s.key[0] or judged is None or judged.mean is None:
            continue
        i = mean_difference(s.judged, judged).interval
        if (i.low > 0) if sign > 0 else (i.high < 0):
            found.append((sign * judged.mean, d, judged.mean))
    return max(found)[1:] if found else None

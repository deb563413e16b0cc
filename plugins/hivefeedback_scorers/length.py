"""Scores 1 where the answer is as long as it should be, and less the further it is from that.

Silent where no bounds are configured. No extra is needed. Options, by operation prefix (``""`` is
every operation, the longest prefix counts)::

    options:
      length: {bounds: {"text-to-text/summary": {min_chars: 200, max_chars: 1200, max_tokens: 300}}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hivefeedback.hooks import PluginWithOptions, Scorer, hookimpl
from hivefeedback.model import Event, Run, Score, is_counted
from hivefeedback_scorers.prefixes import by_prefix

__all__ = ["Length", "LengthBounds", "LengthOptions", "LengthPlugin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthBounds:
    """How long an answer should be.

    Args:
        min_chars, max_chars: Of the output, blanks at its ends aside; None: no bound.
        min_tokens, max_tokens: Of ``tokens_out``; runs that do not tell it are judged by characters alone.
    """

    min_chars: int | None = None
    max_chars: int | None = None
    min_tokens: int | None = None
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        for what, low, high in (
            ("chars", self.min_chars, self.max_chars),
            ("tokens", self.min_tokens, self.max_tokens),
        ):
            if min(low or 0, high or 0) < 0 or (high is not None and (low or 0) > high):
                raise ValueError(f"0 <= min_{what} <= max_{what} must hold, but they are {low} and {high}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthOptions:
    """Which bounds apply.

    Args:
        bounds: By operation prefix.
    """

    bounds: dict[str, LengthBounds] = field(default_factory=dict)


class Length:
    """Measures answers.

    The score is 1 within the bounds, length / minimum below and maximum / length above them; the
    worse one counts where both characters and tokens are bounded.

    >>> from hivefeedback.model import Event, Run
    >>> run = Run("a", "summary", output="x" * 400)
    >>> event = Event(producer="p", epoch=1, seq=1, event_id="r", event_time_s=0.0, ingest_time_s=0.0, body=run)
    >>> Length({"": LengthBounds(max_chars=100)}).score(event)[0].value
    0.25
    """

    name = "length"

    def __init__(self, bounds: Mapping[str, LengthBounds]) -> None:
        self._bounds = dict(bounds)

    def score(self, event: Event) -> Sequence[Score]:
        """One score of a counted run of known length, where its operation has bounds."""
        run = event.body
        if not isinstance(run, Run) or not is_counted(run.outcome):
            return ()
        bounds = by_prefix(self._bounds, run.operation)
        values = [] if bounds is None else _values(run, bounds)
        if not values:
            return ()
        return (Score(run_id=event.event_id, name=self.name, value=min(values), source=self.name),)


def _values(run: Run, bounds: LengthBounds) -> list[float]:
    found = []
    if run.output is not None and (bounds.min_chars is not None or bounds.max_chars is not None):
        found.append(_within(len(run.output.strip()), bounds.min_chars, bounds.max_chars))
    if run.tokens_out is not None and (bounds.min_tokens is not None or bounds.max_tokens is not None):
        found.append(_within(run.tokens_out, bounds.min_tokens, bounds.max_tokens))
    return found


def _within(n: int, low: int | None, high: int | None) -> float:
    if low is not None and n < low:
        return n / low
    return high / n if high is not None and n > high else 1.0


class LengthPlugin(PluginWithOptions[LengthOptions]):
    """Registers the scorer, if there are bounds."""

    name = "length"
    Options = LengthOptions

    @hookimpl
    def hive_scorers(self) -> Sequence[Scorer]:
        """The scorer, or nothing without bounds."""
        return (Length(self.options.bounds),) if self.options.bounds else ()

"""Scores 1 where the answer matches the regular expression of its operation, 0 where it does not.

Silent where no pattern is configured. No extra is needed. Options, by operation prefix (``""`` is
every operation, the longest prefix counts)::

    options:
      pattern: {patterns: {"text-to-text/json": '^\\s*\\{.*\\}\\s*$'}}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hivefeedback.hooks import PluginWithOptions, Scorer, hookimpl
from hivefeedback.model import Event, Run, Score, is_counted

__all__ = ["Pattern", "PatternOptions", "PatternPlugin"]

MAX_CHARS = 20_000
"""Only so much of an answer is searched, since the recorder waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternOptions:
    """Which patterns apply.

    Args:
        patterns: Regular expression (dot matches line ends) by operation prefix; searched anywhere
            in the first 20 000 characters of the output.
    """

    patterns: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for prefix, pattern in self.patterns.items():
            try:
                re.compile(pattern, re.DOTALL)
            except re.error as error:
                raise ValueError(
                    f"pattern {pattern!r} of operation {prefix!r} is no regular expression: {error}"
                ) from error


class Pattern:
    """Searches outputs.

    >>> from hivefeedback.model import Event, Run
    >>> run = Run("a", "qa/year", output="It was 1969.")
    >>> event = Event(producer="p", epoch=1, seq=1, event_id="r", event_time_s=0.0, ingest_time_s=0.0, body=run)
    >>> Pattern({"qa": "[0-9]{4}"}).score(event)[0].value
    1.0
    """

    name = "pattern"
    needs_output = True

    def __init__(self, patterns: Mapping[str, str]) -> None:
        self._patterns = {prefix: re.compile(pattern, re.DOTALL) for prefix, pattern in patterns.items()}

    def score(self, event: Event) -> Sequence[Score]:
        """One score of a counted run with output, where its operation has a pattern."""
        run = event.body
        if not isinstance(run, Run) or run.output is None or not is_counted(run.outcome):
            return ()
        pattern = self._of(run.operation)
        if pattern is None:
            return ()
        value = float(pattern.search(run.output[:MAX_CHARS]) is not None)
        return (Score(run_id=event.event_id, name=self.name, value=value, source=self.name),)

    def _of(self, operation: str) -> re.Pattern[str] | None:
        prefix = operation
        while prefix and prefix not in self._patterns:
            prefix = prefix.rpartition("/")[0]
        return self._patterns.get(prefix)


class PatternPlugin(PluginWithOptions[PatternOptions]):
    """Registers the scorer, if there is a pattern."""

    name = "pattern"
    Options = PatternOptions

    @hookimpl
    def hive_scorers(self) -> Sequence[Scorer]:
        """The scorer, or nothing without patterns."""
        return (Pattern(self.options.patterns),) if self.options.patterns else ()

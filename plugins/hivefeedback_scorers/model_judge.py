"""Lets a model judge runs; the score is called ``model_judge``. Off unless configured.

The model is asked by a thread beside the recorder, at most so often and for so much money an hour,
and its score comes later, like feedback. With the extra ``litellm`` it is named::

    options:
      model_judge: {model: gpt-4o-mini, operations: ["text-to-text"], max_calls_per_hour: 60}

or it is any function: ``FeedbackLoop(plugins=[ModelJudge(ask)])``, where ``ask(prompt)`` answers the
model's text, or the text with what the call has cost in USD. What was left out is counted in
``loop.counters``: ``model_judge_skipped_calls``, ``_skipped_usd``, ``_skipped_full``,
``_unreadable``, ``_failed``. Runs that are left out stay unjudged; where nothing but the judge says
whether a run was good, it is not learnt from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from importlib.metadata import entry_points

from hivefeedback.errors import ConfigurationError
from hivefeedback.hooks import Scorer, Voice, hookimpl
from hivefeedback.model import Event, Run, Score, is_counted
from hivefeedback_scorers.allowance import Allowance
from hivefeedback_scorers.later import Later
from hivefeedback_scorers.prefixes import by_prefix
from hivefeedback_scorers.rubric import CRITERIA, prompt_of, value_of

__all__ = ["MODELS_GROUP", "Ask", "ModelJudge", "ModelJudgeOptions"]

MODELS_GROUP = "hivefeedback.models"
"""Entry points of functions (model, timeout_s) → ``Ask``, through which models are called by name."""
Ask = Callable[[str], str | tuple[str, float | None]]
"""Gets a prompt; answers the model's text, or (text, USD that the call has cost or None)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelJudgeOptions:
    """Who judges what, and how much of it.

    Args:
        model: Name of the model; empty: nobody judges.
        via: Entry point through which it is called.
        criterion: What is judged: overall, relevance, accuracy, helpfulness or creativity.
        operations: Prefixes of the operations that are judged; ``""`` is every operation.
        share: Part of the runs that is judged, drawn by their ids, in (0, 1].
        max_calls_per_hour: Most calls in any 3600 seconds; 60, one a minute, shows a trend within hours.
        max_usd_per_hour: Most USD in any 3600 seconds.
        max_usd_per_call: What one call is taken to cost until its cost is known, and where nobody tells it.
        max_waiting: Runs that may wait for the judge.
        timeout_s: How long a call may take, where the way it is called knows timeouts.
    """

    model: str = ""
    via: str = "litellm"
    criterion: str = "overall"
    operations: tuple[str, ...] = ("",)
    share: float = 1.0
    max_calls_per_hour: int = 60
    max_usd_per_hour: float = 0.5
    max_usd_per_call: float = 0.02
    max_waiting: int = 100
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if self.criterion not in CRITERIA:
            raise ValueError(f"criterion {self.criterion!r} is not known; known: {', '.join(CRITERIA)}")
        if not 0.0 < self.share <= 1.0:
            raise ValueError(f"share is {self.share}; expected more than 0 and at most 1")
        if self.max_calls_per_hour < 0 or self.max_waiting < 1 or not self.timeout_s > 0:
            raise ValueError("max_calls_per_hour must be >= 0, max_waiting >= 1 and timeout_s > 0")
        if not 0.0 <= self.max_usd_per_call <= self.max_usd_per_hour:
            raise ValueError("0 <= max_usd_per_call <= max_usd_per_hour must hold")


class ModelJudge:
    """Asks a model about counted runs with an output.

    >>> from hivefeedback.model import Event, Run
    >>> run = Run("a", input="Capital of France?", output="Paris")
    >>> event = Event(producer="p", epoch=1, seq=1, event_id="r", event_time_s=0.0, ingest_time_s=0.0, body=run)
    >>> ModelJudge(lambda prompt: '{"rating": 5}').score(event)[0].value
    1.0

    Args:
        ask: Calls the model; default: the one that the options name.
        options: Who judges what; of the loop's options where they name this plugin.
        clock: Seconds for what is allowed in an hour; only differences count.
    """

    name: str = "model_judge"
    needs_output = True
    Options = ModelJudgeOptions

    def __init__(
        self,
        ask: Ask | None = None,
        options: ModelJudgeOptions | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask, self._clock = ask, clock
        self._given = options
        self._use(options or ModelJudgeOptions())

    def configure(self, options: object) -> None:
        """Take the options, unless some were given with the function.

        Raises:
            ConfigurationError: Nothing that is installed can call the model.
        """
        assert isinstance(options, ModelJudgeOptions)
        self._use(self._given or options)
        if self._ask is None and self._options.model:
            self._ask = _ask_by_name(self._options)

    def _use(self, options: ModelJudgeOptions) -> None:
        self._options, self._operations = options, dict.fromkeys(options.operations, True)
        self._later = Later(self.name, max_waiting=options.max_waiting)
        self._allowance = Allowance(
            calls=options.max_calls_per_hour,
            usd=options.max_usd_per_hour,
            usd_per_call=options.max_usd_per_call,
            clock=self._clock,
        )

    def take_voice(self, voice: Voice) -> None:
        """Scores come later."""
        self._later.voice = voice

    def score(self, event: Event) -> Sequence[Score]:
        """Nothing yet, in a loop with threads; else what the model says."""
        run = event.body
        if not isinstance(run, Run) or run.output is None or not is_counted(run.outcome):
            return ()
        if not by_prefix(self._operations, run.operation) or not _is_drawn(event.event_id, self._options.share):
            return ()
        if not self._later.has_room() or not self._is_allowed():
            return ()
        prompt = prompt_of(run, event.event_id, self._options.criterion)
        return self._later.ask(partial(self._judge, event.event_id, prompt))

    def _is_allowed(self) -> bool:
        """Take one call of the hour's allowance; before it waits, so that what is left out costs next to nothing."""
        shortage = self._allowance.take()
        if shortage is not None:
            self._later.note(f"skipped_{shortage}", "the hour's allowance is used up; the runs stay unjudged")
        return shortage is None

    def _judge(self, run_id: str, prompt: str) -> Score | None:
        assert self._ask is not None
        usd: float | None = None
        try:
            answer = self._ask(prompt)
            text, usd = answer if isinstance(answer, tuple) else (answer, None)
        finally:
            self._allowance.settle(usd)
        value = value_of(text)
        if value is None:
            self._later.note("unreadable", "the judge answered something else than a rating")
            return None
        return Score(run_id=run_id, name=self.name, value=value, source=self._options.model or self.name)

    @hookimpl
    def hive_scorers(self) -> Sequence[Scorer]:
        """The plugin is its scorer, if there is a model."""
        return (self,) if self._ask is not None else ()


def _is_drawn(run_id: str, share: float) -> bool:
    """Whether a run is in the sample: by its id alone, so that each process and replay draws alike."""
    return share >= 1.0 or int.from_bytes(sha256(run_id.encode()).digest()[:8], "big") < share * 2**64


def _ask_by_name(options: ModelJudgeOptions) -> Ask:
    for point in entry_points(group=MODELS_GROUP):
        if point.name == options.via:
            ask: Ask = point.load()(options.model, timeout_s=options.timeout_s)
            return ask
    raise ConfigurationError(
        f"model_judge cannot call {options.model!r} via {options.via!r}: no installed package has an entry point of "
        f"that name in the group {MODELS_GROUP!r}"
    )

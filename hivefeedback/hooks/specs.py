"""The hooks: six stages in calling order, then what plugins register.

Values are read-only; hooks return values and are handed no store to write to. Answer None or an
empty sequence where there is nothing to say. A hook that raises, hangs or answers the wrong type
costs its own answer alone: it is counted and named, and after five errors in a row quarantined
until ``hivefeedback plugins enable``. pluggy calls by argument name: take only those you need.
"""

# mypy: disable-error-code="empty-body"
# A spec has a docstring and no body: pluggy only reads its name and arguments.

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pluggy
from msgspec import Struct

from hivefeedback.hooks.protocols import ArchiveFactory, Executor, Gate, Policy, Ranker, Scorer, StoreFactory, Tag
from hivefeedback.model import (
    Configuration,
    Event,
    Finding,
    JsonValue,
    Ledger,
    Mutation,
    Outlook,
    Plan,
    Receipt,
    Rollout,
    Score,
    StepCounts,
    Verdict,
)
from hivefeedback.stats import View

__all__ = ["Argument", "Collected", "Command", "HttpRoute", "PolicyFactory", "hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("hivefeedback")
hookimpl = pluggy.HookimplMarker("hivefeedback")
"""Mark a method as an implementation of the hook of its name."""


class Collected(Struct, frozen=True):
    """What a collect hook answers.

    Args:
        scores: Judgements of runs of this batch.
        tags: Facts to add to a run's attributes.
        scrubbed: Events to store instead of those with the same ``event_id``.
    """

    scores: Sequence[Score] = ()
    tags: Sequence[Tag] = ()
    scrubbed: Sequence[Event] = ()


PolicyFactory = Callable[[int], Policy]
"""Makes a policy from a seed."""


class Argument(Struct, frozen=True):
    """One argument of a CLI command: ``name`` positional, ``--name`` an option.

    ``type`` is the name of a builtin: ``str``, ``int``, ``float`` or ``bool`` (a switch).
    """

    name: str
    help: str
    type: str = "str"
    default: JsonValue = None


class Command(Struct, frozen=True):
    """A CLI command; ``run`` gets the store's URL and the arguments by name and answers the exit code."""

    name: str
    help: str
    run: Callable[..., int]
    arguments: tuple[Argument, ...] = ()


class HttpRoute(Struct, frozen=True):
    """An HTTP route; ``handle`` gets the parsed body (None for GET) and answers JSON."""

    method: str
    path: str
    handle: Callable[[JsonValue], JsonValue]
    role: str = "read"


# --- the six stages, in calling order -----------------------------------------------------------


@hookspec
def hive_collect(events: Sequence[Event]) -> Collected | None:
    """Judge, tag or scrub a batch of events before it is learnt and stored.

    Recorder thread, once per batch (at most 50 events), so it must be quick: the batch after it waits.

    Args:
        events: The batch in order; run bodies still hold ``input``, ``output``, ``reference``. The
            scores that the hooks gave come in a call of their own, for those that only look on.

    Returns:
        Scores, tags and scrubbed events, or None.
    """


@hookspec
def hive_analyze(view: View, config: Configuration, now_s: float) -> Sequence[Finding]:
    """Say what got worse or could be better.

    Turn thread, once per turn.

    Args:
        view: Aggregates of the analysis window, with its true coverage.
        config: The live configuration.
        now_s: Seconds since 1970 UTC.

    Returns:
        Findings; they are judged by their intervals, so report what is significant.
    """


@hookspec
def hive_plan(findings: Sequence[Finding], view: View, config: Configuration, now_s: float) -> Sequence[Mutation]:
    """Propose mutations with expected effect, confidence and risk.

    Turn thread, once per turn, also without findings.

    Args:
        findings: Of this turn's analyzers, the most severe first.
        view: Aggregates of the analysis window.
        config: The live configuration.
        now_s: Seconds since 1970 UTC.

    Returns:
        Candidate mutations; core drops those whose target already has an open one.
    """


@hookspec
def hive_validate(plan: Plan, view: View, config: Configuration, ledger: Ledger, now_s: float) -> Sequence[Verdict]:
    """Judge the mutations of a plan without side effects.

    Turn thread (or the thread of ``propose``), once per plan.

    Args:
        plan: What is to be judged.
        view: Aggregates of the analysis window.
        config: The live configuration.
        ledger: The life of every mutation so far.
        now_s: Seconds since 1970 UTC.

    Returns:
        Verdicts; one ``no`` stops a mutation, ``ask`` sends it to a person. Where a plugin raises, hangs, is
        out of service or judges what it was not asked about, that is its no to the whole plan: nothing
        unjudged may pass, as with a gate. None: nothing to say.
    """


@hookspec
def hive_execute(mutation: Mutation, config: Configuration) -> Receipt | None:
    """Turn an approved mutation into a change.

    Turn thread, once per approved mutation; the first receipt counts.

    Args:
        mutation: Prepared and validated.
        config: The live configuration.

    Returns:
        A receipt, or None where the kind is not this plugin's.
    """


@hookspec
def hive_monitor(rollout: Rollout, counts: Sequence[StepCounts], view: View, now_s: float) -> Outlook | None:
    """Say how an open rollout goes on.

    Turn thread, once per turn and open rollout. The most careful answer of all monitors counts:
    roll back, then pause, continue, widen, promote.

    Args:
        rollout: The rollout as it stands.
        counts: Units and failed units of both arms, by the share at which they were first seen.
        view: Aggregates since the rollout began; ``view.arms(rollout.rollout_id)`` has both arms.
        now_s: Seconds since 1970 UTC.

    Returns:
        An outlook with its numbers, or None.
    """


# --- registration: each called once, when the loop is made -------------------------------------


@hookspec
def hive_stores() -> Mapping[str, StoreFactory]:
    """Stores by the scheme of their URL (``sqlite``)."""


@hookspec
def hive_policies() -> Mapping[str, PolicyFactory]:
    """Policies by name."""


@hookspec
def hive_scorers() -> Sequence[Scorer]:
    """Scorers; each is asked about each llm and agent run."""


@hookspec
def hive_rankers() -> Sequence[Ranker]:
    """Rankers."""


@hookspec
def hive_executors() -> Sequence[Executor]:
    """Executors, one per mutation kind; of several the last registered counts."""


@hookspec
def hive_gates() -> Sequence[Gate]:
    """Gates; all are asked about each mutation."""


@hookspec
def hive_routes() -> Sequence[HttpRoute]:
    """HTTP routes of the server, which is to come; nobody asks yet."""


@hookspec
def hive_commands() -> Sequence[Command]:
    """Commands of the CLI."""


@hookspec
def hive_archives() -> Mapping[str, ArchiveFactory]:
    """Archives for events that leave the log, by the name of their format (``jsonl``)."""

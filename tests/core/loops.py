"""Small loops and what they logged, for the tests of the core."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from hivefeedback import FeedbackLoop
from hivefeedback.hooks import Policy, PolicyFactory
from hivefeedback.model import (
    Control,
    DecisionRecord,
    Deployment,
    Event,
    JournalEntry,
    Mutation,
    MutationKind,
    PutDeployment,
    Rollout,
)
from hivefeedback.testing import EvenPolicy, FakeClock

T = TypeVar("T")
B = TypeVar("B")

STORES = ("stores",)
"""Plugins of a loop that only needs a place to write to; loading few makes tests quick."""


def sync_loop(
    *deployments: str | Deployment,
    clock: FakeClock | None = None,
    policy: str | Policy | PolicyFactory | None = None,
    allow: Sequence[str] | None = STORES,
    **more: Any,
) -> FeedbackLoop:
    """A loop with a given clock: no threads, everything is learnt at once."""
    return FeedbackLoop(
        more.pop("store", "memory://"),
        deployments or ("a", "b"),
        policy=policy if policy is not None else EvenPolicy(),
        clock=clock or FakeClock(),
        plugins_allow=None if allow is None else list(allow),
        **more,
    )


def live_loop(*deployments: str | Deployment, **more: Any) -> FeedbackLoop:
    """A loop with threads and the clock of the machine."""
    return FeedbackLoop(
        more.pop("store", "memory://"),
        deployments or ("a", "b"),
        policy=more.pop("policy", None) or EvenPolicy(),
        plugins_allow=list(more.pop("allow", STORES)),
        **more,
    )


def events(loop: FeedbackLoop) -> list[Event]:
    """Everything that was logged, in order."""
    found: list[Event] = []
    after = 0
    while page := loop.store.log.read(after=after, limit=10_000):
        found += [event for _, event in page]
        after = page[-1][0]
    return found


def bodies(loop: FeedbackLoop, kind: type[B]) -> list[B]:
    """Bodies of one type among the logged events."""
    return [e.body for e in events(loop) if isinstance(e.body, kind)]


def told(loop: FeedbackLoop, kind: type[B]) -> list[B]:
    """What the loop logged about itself, of one type."""
    return [c.what for c in bodies(loop, Control) if isinstance(c.what, kind)]


def decisions(loop: FeedbackLoop) -> list[DecisionRecord]:
    """Decisions as they were logged."""
    return bodies(loop, DecisionRecord)


def until(is_true: Callable[[], T], *, deadline_s: float = 20.0) -> T:
    """Look again and again until something holds."""
    end = time.monotonic() + deadline_s
    while not (answer := is_true()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)
    return answer


def open_rollout(
    loop: FeedbackLoop,
    patch: Iterable[object] = (PutDeployment(Deployment("a", model="better")),),
    *,
    share: float = 0.5,
    rollout_id: str = "m-1",
    limits: dict[str, float] | None = None,
) -> Rollout:
    """Serve a patch to a share of the units, as the turn does after its gates."""
    mutation = Mutation(kind=MutationKind.MODEL_SWAP, target="a", to="better", mutation_id=rollout_id)
    now_s = loop._clock()
    rollout = Rollout(
        rollout_id=rollout_id,
        mutation=mutation,
        patch=tuple(patch),  # type: ignore[arg-type]  # any operations
        salt="salt",
        share=share,
        step=0,
        started_at_s=now_s,
        step_started_at_s=now_s,
        limits=limits,
    )
    _append(loop, JournalEntry(at_s=now_s, state="proposed", mutation_id=rollout_id, mutation=mutation))
    _append(loop, JournalEntry(at_s=now_s, state="canary", mutation_id=rollout_id, rollout=rollout))
    loop.refresh()
    return rollout


def end_rollout(loop: FeedbackLoop, rollout: Rollout, state: str) -> None:
    """Promote a rollout or take it back."""
    patch = rollout.patch if state == "promoted" else ()
    entry = JournalEntry(at_s=loop._clock(), state=state, mutation_id=rollout.rollout_id, patch=patch)  # type: ignore[arg-type]  # "promoted" or "rolled_back"
    _append(loop, entry)
    loop.refresh()


def _append(loop: FeedbackLoop, entry: JournalEntry) -> None:
    journal = loop.store.journal
    journal.append(entry, expected_head=journal.head())

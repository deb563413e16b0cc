"""Of several cures for one thing the most promising goes first, and the others wait for what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hivefeedback import FeedbackLoop, Plugin, hookimpl
from hivefeedback.model import Configuration, Deployment, Finding, Mutation, MutationKind
from hivefeedback.stats import View
from hivefeedback.testing import FakeClock

FINDING = Finding(finding_id="f-1", analyzer="x", kind="degradation", message="answers got worse", deployment="a")


class _Planner(Plugin):
    """Wants what it is told to want; one of several planners that look at the same finding."""

    name = "planner"

    def __init__(self, *wanted: Mutation) -> None:
        self.wanted = list(wanted)

    @hookimpl
    def hive_analyze(self, view: View, config: Configuration, now_s: float) -> Sequence[Finding]:
        return [FINDING]

    @hookimpl
    def hive_plan(
        self, findings: Sequence[Finding], view: View, config: Configuration, now_s: float
    ) -> Sequence[Mutation]:
        return self.wanted


def _wants(kind: MutationKind, target: str, to: object, priority: float, finding_id: str = "f-1") -> Mutation:
    return Mutation(
        kind=kind,
        target=target,
        to=to,  # type: ignore[arg-type]  # any JSON
        priority=priority,
        planner=f"planner of {kind}",
        finding_id=finding_id,
        confidence=0.9,
    )


def _cures() -> list[Mutation]:
    return [
        _wants(MutationKind.ROUTE_CHANGE, "x", ["b"], 0.2),
        _wants(MutationKind.PROMPT_PATCH, "p", "Say {what} well", 0.5),
        _wants(MutationKind.PARAM_SET, "a", {"max_tokens": 768}, 0.4),
        _wants(MutationKind.MODEL_SWAP, "a", "better", 0.3),
    ]


def _loop(planner: _Planner) -> FeedbackLoop:
    loop = FeedbackLoop(
        "memory://",
        [Deployment("a", params={"max_tokens": 512}), "b"],
        prompts={"p": "Say {what}"},
        plugins=[planner],
        clock=FakeClock(),
    )
    loop.set_route("x", ["a", "b"])
    return loop


def test_of_several_plans_for_one_finding_the_most_promising_goes_first_and_the_others_wait() -> None:
    """S4.4: actions are ordered by impact and urgency."""
    with _loop(_Planner(*_cures())) as loop:
        turn = loop.turn()
        assert [m.kind for m in turn.plan.mutations] == [MutationKind.PROMPT_PATCH]
        assert len(turn.dropped) == 3
        assert all("it waits for PROMPT_PATCH of 'p', which is about the same finding" in s for s in turn.dropped)
        open_id = turn.plan.mutations[0].mutation_id
        again = loop.turn()
        assert again.plan.mutations == ()
        assert sum(f"waits for {open_id}" in s for s in again.dropped) == 3


def test_the_next_promising_one_is_tried_when_the_first_was_taken_back() -> None:
    with _loop(_Planner(*_cures())) as loop:
        tried = []
        for _ in range(4):
            (mutation,) = loop.turn().plan.mutations
            tried.append(mutation.kind.value)
            loop.rollback(mutation.mutation_id, why="it did not help")
        assert tried == ["PROMPT_PATCH", "PARAM_SET", "MODEL_SWAP", "ROUTE_CHANGE"]
        assert loop.turn().plan.mutations == (), "nothing is tried again within the window"


def test_plans_for_different_findings_of_different_things_do_not_wait() -> None:
    planner = _Planner(
        _wants(MutationKind.PROMPT_PATCH, "p", "Say {what} well", 0.5),
        _wants(MutationKind.PARAM_SET, "b", {"max_tokens": 100}, 0.4, finding_id="f-2"),
    )
    with _loop(planner) as loop:
        assert len(loop.turn().plan.mutations) == 2


def test_a_plan_that_waits_for_a_person_does_not_keep_other_cures_of_the_finding_waiting() -> None:
    risky, other = _cures()[1], _cures()[3]
    with _loop(_Planner(replace(risky, risk="high"), other)) as loop:
        assert [m.kind for m in loop.turn().plan.mutations] == [MutationKind.PROMPT_PATCH]
        assert [m.kind for m in loop.turn().plan.mutations] == [MutationKind.MODEL_SWAP]
        states = [life.state for life in loop.ledger.lives.values()]
        assert states == ["awaiting_approval", "canary"]


def test_what_a_person_proposes_waits_for_nobody_and_nobody_for_it() -> None:
    with _loop(_Planner(*_cures())) as loop:
        by_hand = loop.propose(Mutation(kind=MutationKind.PARAM_SET, target="a", to={"max_tokens": 600}))
        turn = loop.turn()
        assert [m.kind for m in turn.plan.mutations] == [MutationKind.PROMPT_PATCH]
        assert loop.ledger.lives[by_hand].is_open
        loop.propose(Mutation(kind=MutationKind.MODEL_SWAP, target="b", to="m", finding_id="f-1"))

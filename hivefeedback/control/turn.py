"""One turn: analyze, plan, validate, execute, monitor; by the leader alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from hivefeedback.control.approval import expire
from hivefeedback.control.context import Context
from hivefeedback.control.execute import execute_ready
from hivefeedback.control.lease import Leadership
from hivefeedback.control.options import Mode
from hivefeedback.control.plans import plan_of, select
from hivefeedback.control.propose import propose_planned
from hivefeedback.control.repeats import repeats_of
from hivefeedback.control.rollout import monitor_rollouts
from hivefeedback.control.spans import stage
from hivefeedback.control.undo import close_orphans
from hivefeedback.control.upkeep import keep_up
from hivefeedback.control.validate import judge, unjudged
from hivefeedback.errors import ConflictError
from hivefeedback.model import Finding, Mutation, Outlook, Plan, Receipt, Verdict
from hivefeedback.stats import View

__all__ = ["Turn", "run_turn"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a turn did.

    Args:
        turn_id: Name of the turn in spans.
        leader: False where another process leads; then nothing was done.
        mode: The mode it ran in.
        findings: What the analyzers found, the most severe first.
        plan: What was put before the gates.
        verdicts: The gates' answers.
        receipts: Changes that began: canaries and acts outside.
        outcomes: How each open rollout goes on.
        dropped: A sentence for each planned mutation that was not proposed.
    """

    turn_id: str
    leader: bool
    mode: Mode
    findings: tuple[Finding, ...] = ()
    plan: Plan = field(default_factory=lambda: plan_of("", ()))
    verdicts: tuple[Verdict, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    outcomes: tuple[Outlook, ...] = ()
    dropped: tuple[str, ...] = ()


def run_turn(ctx: Context, leadership: Leadership, number: int) -> Turn:
    """Run the stages that the mode allows.

    Every step is one entry of the journal, so a turn that ends half-way is taken up by the next.
    A leader that was replaced while it worked stops at its next entry.
    """
    mode = ctx.options.mode
    turn = Turn(turn_id=f"t-{number}", leader=False, mode=mode)
    token = 0 if mode == "off" else leadership.take()
    if not token:
        return turn
    try:
        return _led(ctx, leadership, replace(turn, turn_id=f"t-{token}.{number}", leader=True))
    finally:
        if mode != "act":  # who may not act must not keep one that may from leading
            leadership.release()


def _led(ctx: Context, leadership: Leadership, turn: Turn) -> Turn:
    """The stages of a turn that began as the leader's."""
    ctx.keeper.refresh()
    expire(ctx)
    close_orphans(ctx, by="turn")
    view = ctx.view().with_repeats(repeats_of(ctx))
    try:
        for work in _WORK[turn.mode]:
            token = leadership.take()  # renewed for each stage: hooks may take longer than a lease
            if not token:
                return replace(turn, leader=False)
            turn = work(ctx, turn, view, token)
        keep_up(ctx, lambda: leadership.take() > 0)
    except ConflictError as error:
        log.warning("turn %s ends, since a newer leader took over: %s", turn.turn_id, error)
        return replace(turn, leader=False)
    return replace(turn, leader=leadership.is_held)


def _analyzed(ctx: Context, turn: Turn, view: View, token: int) -> Turn:
    with stage("analyze", turn.turn_id):
        found = ctx.stages.analyze(view, ctx.keeper.configuration, ctx.clock())
    return replace(turn, findings=tuple(found))


def _planned(ctx: Context, turn: Turn, view: View, token: int) -> Turn:
    """Plan, store and judge; together with what an earlier turn left unjudged."""
    with stage("plan", turn.turn_id):
        candidates = ctx.stages.plan(turn.findings, view, ctx.keeper.configuration, ctx.clock())
        selection = select(ctx, candidates, view)
        waiting = unjudged(ctx)
        proposed = [_proposed(ctx, mutation, turn, token) for mutation in selection.mutations]
        plan = plan_of(turn.turn_id, [*waiting, *(m for m in proposed if m is not None)])
    with stage("validate", turn.turn_id):
        verdicts = judge(ctx, plan, view, token=token)
    return replace(turn, plan=plan, verdicts=verdicts, dropped=tuple(selection.dropped))


def _proposed(ctx: Context, mutation: Mutation, turn: Turn, token: int) -> Mutation | None:
    finding = next((f for f in turn.findings if f.finding_id == mutation.finding_id), None)
    return propose_planned(ctx, mutation, finding, token=token)


def _executed(ctx: Context, turn: Turn, view: View, token: int) -> Turn:
    with stage("execute", turn.turn_id):
        return replace(turn, receipts=execute_ready(ctx, token=token))


def _monitored(ctx: Context, turn: Turn, view: View, token: int) -> Turn:
    with stage("monitor", turn.turn_id):
        return replace(turn, outcomes=monitor_rollouts(ctx, token=token))


Work = Callable[[Context, Turn, View, int], Turn]
_WORK: Final[Mapping[Mode, tuple[Work, ...]]] = {
    "off": (),
    "observe": (_analyzed,),
    "advise": (_analyzed, _planned),
    "act": (_analyzed, _planned, _executed, _monitored),
}

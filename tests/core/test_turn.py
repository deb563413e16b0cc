"""The turn: six stages, one leader, nothing lost when it dies half-way."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hivefeedback import FeedbackLoop, Plugin, hookimpl
from hivefeedback.control import Control, Turn, archiving
from hivefeedback.errors import PluginError, RefusedError
from hivefeedback.hooks import Record, TrimmedLog
from hivefeedback.model import Configuration, Deployment, Event, Finding, Interval, Mutation, MutationKind
from hivefeedback.stats import View
from hivefeedback.testing import FakeClock
from hivefeedback.testing.control import (
    CrashError,
    CrashingJournal,
    FakeStages,
    OutsideExecutor,
    Rig,
    SwapExecutor,
    swap,
)
from hivefeedback.testing.store_samples import commit_of, run_event
from hivefeedback_stores.memory import MemoryStore

DEGRADED = Finding(
    finding_id="degradation:a",
    analyzer="degradation",
    kind="degradation",
    message="a fell from 0.9 to 0.3",
    severity=0.8,
    before=Interval(estimate=0.9, low=0.85, high=0.95),
    p_value=0.001,
    n_runs=40,
)


def lives(control: Control) -> dict[str, str]:
    return {name: life.state for name, life in control.ledger.lives.items()}


def test_a_plan_goes_from_finding_to_canary_in_one_turn(rig: Rig) -> None:
    rig.stages.findings = [DEGRADED]
    rig.stages.planned = [swap(finding_id="degradation:a", planner="model_swap", evidence=("f" * 32,))]
    rig.stages.answers = {"limits": "yes"}
    control = rig.control()
    turn = control.turn()
    assert rig.stages.asked == ["analyze", "plan", "validate", "execute", "monitor"]
    assert (turn.leader, turn.mode, turn.findings) == (True, "act", (DEGRADED,))
    (mutation,) = turn.plan.mutations
    assert mutation.mutation_id == "m-4"  # three declarations came before
    assert mutation.from_ == "a"
    assert [v.mutation_id for v in turn.verdicts] == ["m-4"]
    assert [r.mutation_id for r in turn.receipts] == ["m-4"]
    assert [o.decided for o in turn.outcomes] == ["continue"]
    assert rig.states("m-4") == ["proposed", "validated", "canary"]
    rollout = control.configuration.rollouts["m-4"]
    assert (rollout.step, rollout.share) == (0, 0.05)
    assert control.configuration.deployments["a"].model == "a"


def test_the_content_hash_of_a_plan_depends_on_its_content_and_not_on_ids(rig: Rig) -> None:
    def hash_of(to: str) -> str:
        one = Rig(MemoryStore(), FakeStages(planned=[swap(to=to)]))
        one.control().declare([Deployment("a")], {f"p{i}": "x" for i in range(len(to))})
        return one.control(mode="advise").turn().plan.content_hash

    first = hash_of("x")
    assert first == hash_of("x")
    assert len(first) == 64
    assert first != hash_of("yy")


def test_an_open_mutation_is_not_planned_again(rig: Rig) -> None:
    rig.stages.planned = [swap()]
    control = rig.control()
    control.turn()
    turn = control.turn()
    assert turn.plan.mutations == ()
    assert turn.dropped == ("MODEL_SWAP of 'a': another change of it is open",)


def test_of_two_changes_to_one_target_the_more_urgent_is_proposed(rig: Rig) -> None:
    rig.stages.planned = [swap(to="slow", priority=0.2), swap(to="urgent", priority=0.9), swap("b")]
    turn = rig.control().turn()
    assert [(m.target, m.to) for m in turn.plan.mutations] == [("a", "urgent"), ("b", "better")]


def test_a_change_that_its_executor_refuses_is_dropped_and_named(rig: Rig) -> None:
    rig.stages.planned = [swap("nobody"), swap("b")]
    turn = rig.control().turn()
    assert [m.target for m in turn.plan.mutations] == ["b"]
    assert turn.dropped == ("MODEL_SWAP of 'nobody': deployment 'nobody' is not known",)


def test_an_executor_that_raises_anything_costs_only_its_own_mutation(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: SwapExecutor, mutation: Mutation, config: object) -> Mutation:
        raise ZeroDivisionError

    monkeypatch.setattr(SwapExecutor, "prepare", broken)
    rig.stages.planned = [swap(), Mutation(kind=MutationKind.PROMPT_PATCH, target="p", to="new")]
    turn = rig.control().turn()
    assert [m.kind for m in turn.plan.mutations] == [MutationKind.PROMPT_PATCH]
    assert "ZeroDivisionError" in turn.dropped[0]
    with pytest.raises(PluginError):
        rig.control().propose(swap())


def test_a_planned_prompt_text_is_stored_beside_the_journal_and_not_in_it(rig: Rig) -> None:
    rig.stages.planned = [Mutation(kind=MutationKind.PROMPT_PATCH, target="p", to="a new text")]
    control = rig.control()
    control.turn()
    assert "a new text" in control.bodies().values()
    assert "a new text" not in repr(rig.store.journal.read())


@pytest.mark.parametrize(
    ("mode", "asked"), [("off", []), ("observe", ["analyze"]), ("advise", ["analyze", "plan", "validate"])]
)
def test_only_act_changes_what_is_served(rig: Rig, mode: str, asked: list[str]) -> None:
    rig.stages.findings, rig.stages.planned = [DEGRADED], [swap()]
    before = rig.store.journal.head()
    control = rig.control(mode=mode)
    turn = control.turn()
    assert rig.stages.asked == asked
    assert turn.mode == mode
    assert turn.leader == (mode != "off")
    assert turn.receipts == ()
    assert not control.configuration.rollouts
    if mode != "advise":
        assert rig.store.journal.head() == before


def test_a_change_validated_under_advise_is_executed_once_somebody_acts(rig: Rig) -> None:
    mutation_id = rig.control(mode="advise").propose(swap())
    rig.control("advisor", mode="advise").turn()
    assert rig.states(mutation_id) == ["proposed", "validated"]
    rig.control("actor").turn()
    assert rig.states(mutation_id)[-1] == "canary"


def test_a_verdict_that_is_too_old_is_asked_for_again_before_execution(rig: Rig) -> None:
    mutation_id = rig.control(mode="advise").propose(swap())
    rig.clock.advance(3601)
    rig.stages.answers = {"limits": "no"}
    turn = rig.control().turn()
    assert [m.mutation_id for m in turn.plan.mutations] == [mutation_id]
    assert rig.states(mutation_id) == ["proposed", "validated", "rejected"]


def test_an_old_approval_stays_one_when_the_gates_are_asked_again(rig: Rig) -> None:
    rig.stages.answers = {"risk": "ask"}
    advising = rig.control(mode="advise")
    mutation_id = advising.propose(swap())
    advising.approve(mutation_id, by="ann", why="measured it")
    rig.clock.advance(3601)
    rig.control().turn()
    assert rig.states(mutation_id) == ["proposed", "awaiting_approval", "approved", "approved", "canary"]
    assert [e.by for e in rig.store.journal.read() if e.state == "approved"] == ["ann", "ann"]


def test_a_gate_that_only_the_acting_process_has_is_asked_before_it_acts(rig: Rig) -> None:
    command_line = Rig(rig.store, FakeStages(answers={"limits": "yes"}), rig.clock).control("command line")
    refused, passed = command_line.propose(swap("a")), command_line.propose(swap("b", risk="high"))
    command_line.approve(passed, by="ann")
    rig.stages.answers = {"limits": "yes", "house rule": "no"}
    control = rig.control()
    control.turn()
    assert rig.states(refused) == ["proposed", "validated", "rejected"]
    assert rig.states(passed) == ["proposed", "awaiting_approval", "approved", "rejected"]
    assert "house rule says no" in control.why(refused).text()


def test_a_gate_of_the_acting_process_that_agrees_costs_one_more_entry_and_no_approval(rig: Rig) -> None:
    command_line = Rig(rig.store, FakeStages(answers={"limits": "ask"}), rig.clock).control("command line")
    mutation_id = command_line.propose(swap())
    command_line.approve(mutation_id, by="ann")
    rig.stages.answers = {"house rule": "yes"}
    control = rig.control()
    control.turn()
    control.turn()
    assert rig.states(mutation_id) == ["proposed", "awaiting_approval", "approved", "approved", "canary"]
    assert rig.store.journal.read()[-2].by == "ann"


def test_a_gate_that_the_acting_process_has_not_need_not_be_asked_again(rig: Rig) -> None:
    elsewhere = Rig(rig.store, FakeStages(answers={"limits": "yes", "other": "yes"}), rig.clock)
    mutation_id = elsewhere.control("elsewhere").propose(swap())
    rig.stages.answers = {"limits": "yes"}
    rig.control().turn()
    assert rig.states(mutation_id) == ["proposed", "validated", "canary"]


def test_what_the_gates_refused_is_journalled_again_only_when_they_would_let_it_pass(rig: Rig) -> None:
    rig.stages.planned, rig.stages.answers = [swap()], {"limits": "no"}
    control = rig.control()
    assert control.turn().plan.mutations[0].mutation_id == "m-4"
    head = rig.store.journal.head()
    turn = control.turn()
    assert rig.store.journal.head() == head
    assert "gate 'limits' refuses it as it refused m-4" in turn.dropped[0]
    rig.stages.answers = {"limits": "yes"}
    assert len(control.turn().receipts) == 1


def test_a_change_that_was_taken_back_is_not_planned_again_within_the_window(rig: Rig) -> None:
    rig.stages.planned, rig.stages.outlooks = [swap()], {"sequential": "roll_back"}
    control = rig.control()
    control.turn()
    rig.stages.outlooks = {}
    assert lives(control) == {"m-4": "rolled_back"}
    assert "rolled back as m-4" in control.turn().dropped[0]
    rig.stages.planned = [swap(to="another")]
    assert len(control.turn().plan.mutations) == 1
    control.rollback_all()
    rig.clock.advance(86_401)
    rig.stages.planned = [swap()]
    assert len(control.turn().plan.mutations) == 1


def test_a_mutation_whose_target_was_edited_after_the_verdict_is_rejected(rig: Rig) -> None:
    control = rig.control()
    mutation_id = control.propose(swap())
    rig.control().add_deployment(Deployment("a", model="by hand"))
    control.turn()
    assert rig.states(mutation_id)[-1] == "rejected"
    assert "changed since it was proposed" in control.why(mutation_id).text()


def test_an_edit_between_receipt_and_append_makes_the_canary_wait_and_then_be_rejected(rig: Rig) -> None:
    control = rig.control()
    mutation_id = control.propose(swap())
    rig.stages.during = {"execute": lambda: rig.control("other").add_deployment(Deployment("a", model="by hand"))}
    assert control.turn().receipts == ()
    rig.stages.during = {}
    control.turn()
    assert rig.states(mutation_id)[-1] == "rejected"
    assert control.configuration.deployments["a"].model == "by hand"


def test_a_second_change_of_one_target_waits_for_the_first(rig: Rig) -> None:
    control = rig.control()
    first, second = control.propose(swap(to="x")), control.propose(swap(to="y"))
    assert [r.mutation_id for r in control.turn().receipts] == [first]
    assert lives(control) == {first: "canary", second: "validated"}
    rig.stages.outlooks = {"m": "roll_back"}
    control.turn()
    rig.stages.outlooks = {}
    assert [r.mutation_id for r in control.turn().receipts] == [second]


def test_a_kind_whose_executor_answers_nothing_fails_and_says_so(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    control = rig.control()
    mutation_id = control.propose(swap())
    monkeypatch.setattr(FakeStages, "execute", lambda self, mutation, config: None)
    control.turn()
    assert lives(control) == {mutation_id: "failed"}
    assert "no change" in control.why(mutation_id).text()


def test_a_mutation_that_is_not_what_the_gates_judged_is_not_executed(rig: Rig) -> None:
    control = rig.control()
    mutation_id = control.propose(swap())
    forged = rig.store.journal.read()[-1]
    rig.control("forger").keeper.append(
        lambda c, x: type(forged)(at_s=rig.clock(), state="validated", mutation_id=mutation_id, plan_hash="0" * 64)
    )
    control.turn()
    assert rig.states(mutation_id)[-1] == "rejected"
    assert "not what the gates judged" in control.why(mutation_id).text()


# --- external executors ---------------------------------------------------------------------------

REMEMBER = Mutation(kind=MutationKind.MEMORY_UPDATE, target="agent", to=["x"])


def outside(rig: Rig) -> OutsideExecutor:
    executor = rig.stages.executors[MutationKind.MEMORY_UPDATE]
    assert isinstance(executor, OutsideExecutor)
    return executor


def test_an_act_outside_is_announced_done_verified_and_confirmed(rig: Rig) -> None:
    control = rig.control()
    mutation_id = control.propose(REMEMBER)
    control.turn()
    assert rig.states(mutation_id) == ["proposed", "validated", "applying", "promoted"]
    assert outside(rig).outside == {"agent": ["x"]}
    control.rollback(mutation_id)
    assert outside(rig).outside == {}
    assert rig.states(mutation_id)[-1] == "rolled_back"


def test_an_act_outside_that_cannot_be_verified_fails(rig: Rig) -> None:
    outside(rig).is_broken = True
    control = rig.control()
    mutation_id = control.propose(REMEMBER)
    control.turn()
    assert lives(control) == {mutation_id: "failed"}


@pytest.mark.parametrize(("is_done", "acts"), [(True, 0), (False, 1)])
def test_an_act_outside_that_a_crash_interrupted_is_done_exactly_once(rig: Rig, is_done: bool, acts: int) -> None:
    control = rig.control()
    mutation_id = control.propose(REMEMBER)
    real = rig.store.journal
    rig.store.journal = CrashingJournal(real, at=1, is_stored=True)  # dies after the intent
    with pytest.raises(CrashError):
        control.turn()
    rig.store.journal = real
    if is_done:
        outside(rig).outside["agent"] = ["x"]
    rig.control().turn()
    assert rig.states(mutation_id)[-1] == "promoted"
    assert len(outside(rig).acts) == acts


# --- death half-way -------------------------------------------------------------------------------


def finished(rig: Rig) -> tuple[dict[str, str], str]:
    """Turns of a fresh process until nothing moves, and what came of it."""
    control = rig.control()
    for _ in range(4):
        control.turn()
    return lives(control), control.configuration.deployments["a"].model


@pytest.mark.parametrize("is_stored", [False, True])
@pytest.mark.parametrize("at", range(1, 13))
def test_a_turn_that_dies_between_any_two_appends_is_taken_up_by_the_next(at: int, is_stored: bool) -> None:
    rig = Rig(MemoryStore(), FakeStages(planned=[swap("a"), swap("b")], outlooks={"m": "promote"}))
    rig.control().declare([Deployment("a"), Deployment("b")])
    for number in range(3, 20):
        rig.count(f"m-{number}")
    real = rig.store.journal
    dying = CrashingJournal(real, at=at, is_stored=is_stored)
    rig.store.journal = dying
    crashed = False
    try:
        rig.control().turn()
    except CrashError:
        crashed = True
    assert crashed == (dying.n_appends >= at)
    rig.store.journal = real
    rig.stages.planned = [] if at > 4 else rig.stages.planned  # what was not even stored has to be planned again
    states, model = finished(rig)
    served = [s for s in states.values() if s == "promoted"]
    assert len(served) >= 2
    assert model == "better"
    entries = rig.store.journal.read()
    for name in states:
        assert [e.state for e in entries if e.mutation_id == name].count("promoted") <= 1


# --- the lease ------------------------------------------------------------------------------------


def test_who_does_not_lead_does_nothing(rig: Rig) -> None:
    leader, other = rig.control("one"), rig.control("two")
    rig.stages.planned = [swap()]
    assert leader.turn().leader
    rig.stages.asked.clear()
    turn = other.turn()
    assert turn == Turn(turn_id="t-1", leader=False, mode="act", plan=turn.plan)
    assert rig.stages.asked == []


def test_a_leader_that_closes_hands_over_at_once(rig: Rig) -> None:
    leader, other = rig.control("one"), rig.control("two")
    leader.turn()
    leader.close()
    assert other.turn().leader
    assert not leader.turn().leader


@pytest.mark.parametrize("mode", ["observe", "advise"])
def test_a_process_that_may_not_act_gives_the_lease_back_after_each_turn(rig: Rig, mode: str) -> None:
    passive, acting = rig.control("server", mode=mode), rig.control("application")
    for _ in range(2):
        assert passive.turn().leader
    assert acting.turn().leader
    assert not passive.turn().leader


def test_a_leader_that_is_replaced_while_it_works_writes_nothing_more(rig: Rig) -> None:
    old, new = rig.control("old"), rig.control("new")
    mutation_id = old.propose(swap())

    def overtake() -> None:
        rig.store.config.release("old")
        assert new.turn().leader

    calls: list[int] = []

    def once() -> None:
        calls.append(1)
        if len(calls) == 1:
            overtake()

    rig.stages.during = {"execute": once}
    turn = old.turn()
    assert not turn.leader
    assert rig.states(mutation_id).count("canary") == 1


# --- upkeep ---------------------------------------------------------------------------------------


def test_upkeep_is_done_once_an_hour_whichever_process_leads(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[float] = []
    dropped: list[float] = []
    monkeypatch.setattr(rig.store.aggregates, "compact", lambda *, now_s: done.append(now_s))
    monkeypatch.setattr(rig.store.log, "retain", lambda *, before_s: dropped.append(before_s))
    for _ in range(3):
        control = rig.control()
        control.turn()
        control.close()
        rig.clock.advance(1801)
    assert len(done) == 2
    assert done[1] - done[0] == 3602
    assert done[0] - dropped[0] == 30 * 86400


@pytest.mark.parametrize("step", ["before", "compact", "page"])
def test_a_leader_that_is_replaced_in_its_upkeep_leaves_the_rest_to_the_new_one(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(archiving, "PAGE", 10)
    old = rig.control("old", mode="observe", retain_events_n=5)
    rig.store.commit(commit_of(1, [run_event(n, at_s=rig.clock()) for n in range(1, 46)]))
    done: list[str] = []

    def overtake(what: str) -> None:
        done.append(what)
        if what == step:
            rig.store.config.release("old")
            assert rig.store.config.acquire("new", length_s=600.0) is not None

    assert isinstance(rig.store.log, TrimmedLog)
    compact, drop = rig.store.aggregates.compact, rig.store.log.drop

    def compact_and(*, now_s: float) -> None:
        compact(now_s=now_s)
        overtake("compact")

    def drop_and(placed: Sequence[tuple[int, Event]]) -> int:
        n = drop(placed)
        overtake("page")
        return n

    monkeypatch.setattr(rig.store.aggregates, "compact", compact_and)
    monkeypatch.setattr(rig.store.log, "drop", drop_and)
    rig.stages.during = {"analyze": lambda: overtake("before")}
    turn = old.turn()
    assert not turn.leader
    assert done == ["before", "compact", "page"][: len(done)]
    assert done[-1] == step
    assert rig.store.log.count() == (35 if step == "page" else 45)
    assert rig.store.state.get("control", "upkeep_at_s") is None


def test_an_unreadable_note_of_the_last_upkeep_means_that_it_is_due(rig: Rig) -> None:
    rig.store.state.put(Record("control", "upkeep_at_s", b"yesterday"))
    rig.control().turn()
    record = rig.store.state.get("control", "upkeep_at_s")
    assert record is not None
    assert float(record.value) == rig.clock()


def test_counts_of_a_rollout_go_a_day_after_its_end_and_never_before(rig: Rig) -> None:
    control = rig.control(canary_max_age_s=1e9)
    ended, open_ = control.propose(swap("a")), control.propose(swap("b"))
    control.turn()
    rig.count(ended)
    rig.count(open_)
    rig.count("gone")  # of a store that was put back
    control.rollback(ended)
    rig.clock.advance(86400.0)
    control.turn()
    assert [r.key for r in rig.store.state.list("rollout")] == [f"{ended}/rig/1", f"{open_}/rig/1"]
    rig.clock.advance(3600.0)
    control.turn()
    assert [r.key for r in rig.store.state.list("rollout")] == [f"{open_}/rig/1"]


# --- proposals ------------------------------------------------------------------------------------


def test_a_refused_proposal_is_kept_and_names_the_gate(rig: Rig) -> None:
    rig.stages.answers = {"limits": "yes", "conflict": "no"}
    control = rig.control()
    with pytest.raises(RefusedError, match="m-4 was refused by gate 'conflict': conflict says no"):
        control.propose(swap(), by="ann")
    assert rig.states("m-4") == ["proposed", "rejected"]


def test_a_proposal_needs_no_lease(rig: Rig) -> None:
    rig.control("leader").turn()
    assert rig.control("other").propose(swap()) == "m-4"


def test_of_two_processes_that_judge_a_proposal_at_once_only_the_faster_is_journalled(rig: Rig) -> None:
    judged: list[int] = []

    def overtake() -> None:
        judged.append(1)
        if len(judged) == 1:
            rig.control("leader", mode="advise").turn()

    rig.stages.during = {"validate": overtake}
    mutation_id = rig.control().propose(swap())
    assert len(judged) == 2
    assert rig.states(mutation_id) == ["proposed", "validated"]


def test_nothing_can_be_proposed_while_everything_is_off(rig: Rig) -> None:
    with pytest.raises(RefusedError, match="off"):
        rig.control(mode="off").propose(swap())


def test_a_proposal_that_died_before_the_gates_is_judged_by_the_next_turn(rig: Rig) -> None:
    real = rig.store.journal
    rig.store.journal = CrashingJournal(real, at=2, is_stored=False)
    with pytest.raises(CrashError):
        rig.control().propose(swap())
    rig.store.journal = real
    assert rig.states("m-4") == ["proposed"]
    rig.control().turn()
    assert rig.states("m-4") == ["proposed", "validated", "canary"]


def test_the_reason_of_a_person_is_kept_beside_the_journal(rig: Rig) -> None:
    control = rig.control()
    mutation_id = control.propose(swap(reason="my secret reason"))
    assert "my secret reason" not in repr(rig.store.journal.read())
    assert control.why(mutation_id).steps[0].reason == "my secret reason"


def test_a_kind_that_no_plugin_executes_is_refused_with_the_kinds_that_are(rig: Rig) -> None:
    with pytest.raises(ValueError, match="no plugin can execute LORA_APPLY; kinds that can be executed: MEMORY_UPDATE"):
        rig.control().propose(Mutation(kind=MutationKind.LORA_APPLY, target="a", to="x"))


# --- work that waits ------------------------------------------------------------------------------


def test_what_another_process_approved_is_work_until_a_turn_has_seen_it(rig: Rig) -> None:
    control, command_line = rig.control(), rig.control("command line")
    control.turn()
    assert not control.has_work()
    mutation_id = command_line.propose(swap(risk="high"))
    control.refresh()
    assert not control.has_work()  # it waits for a person
    command_line.approve(mutation_id, by="ann")
    control.refresh()
    assert control.has_work()
    control.turn()
    assert rig.states(mutation_id)[-1] == "canary"
    assert not control.has_work()


def test_what_waits_before_the_first_turn_is_work(rig: Rig) -> None:
    rig.control("command line").propose(swap())
    assert rig.control().has_work()


@pytest.mark.parametrize("mode", ["off", "observe", "advise"])
def test_only_a_process_that_may_act_has_work(rig: Rig, mode: str) -> None:
    rig.control("command line").propose(swap())
    assert not rig.control(mode=mode).has_work()


def test_a_paused_rollout_that_a_person_lets_pass_is_work(rig: Rig) -> None:
    control = rig.control()
    mutation_id = control.propose(swap())
    rig.stages.outlooks = {"m": "pause"}
    control.turn()
    control.turn()
    assert not control.has_work()
    rig.control("command line").approve(mutation_id, by="ann")
    control.refresh()
    assert control.has_work()
    control.turn()
    assert rig.states(mutation_id)[-1] == "promoted"


def test_a_change_that_has_to_wait_for_another_one_is_not_work_again_and_again(rig: Rig) -> None:
    control = rig.control()
    first, second = control.propose(swap(to="x")), control.propose(swap(to="y"))
    control.turn()
    control.turn()
    assert [control.ledger.lives[m].state for m in (first, second)] == ["canary", "validated"]
    assert not control.has_work()


def test_while_another_process_leads_its_turn_is_left_to_do_it(rig: Rig) -> None:
    leader, other = rig.control("leader", lease_s=60.0), rig.control("other", lease_s=60.0)
    leader.turn()
    leader.propose(swap())
    other.refresh()
    assert other.has_work()
    assert not other.turn().leader
    assert not other.has_work()
    assert leader.has_work()
    leader.close()
    rig.clock.advance(60.0)
    assert other.has_work()


def test_two_cures_of_one_deployment_are_not_tried_at_the_same_time() -> None:
    """Each would be the other's control; the less urgent one waits."""

    class Planner(Plugin):
        name = "planner"

        @hookimpl
        def hive_plan(
            self, findings: Sequence[Finding], view: View, config: Configuration, now_s: float
        ) -> Sequence[Mutation]:
            swap_it = Mutation(kind=MutationKind.MODEL_SWAP, target="a", to="m", priority=0.9, planner="p")
            leave_it = Mutation(kind=MutationKind.ROUTE_CHANGE, target="x", to=["b"], priority=0.4, planner="p")
            return [leave_it, swap_it]

    with FeedbackLoop(store="memory://", deployments=["a", "b"], plugins=[Planner()], clock=FakeClock()) as loop:
        loop.set_route("x", ["a"])
        turn = loop.turn()
        assert [m.kind for m in turn.plan.mutations] == [MutationKind.MODEL_SWAP]
        assert any("same deployment" in sentence for sentence in turn.dropped)
        assert loop.turn().plan.mutations == (), "the first one is still open"

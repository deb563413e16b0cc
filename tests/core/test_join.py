"""A bounded memory of recent runs, by everything that feedback may name."""

from __future__ import annotations

from hivefeedback.model import Feedback
from hivefeedback.recording.feedback.join import Joins, KnownRun, Recent


def run(run_id: str, deployment: str = "a", kind: str = "llm", trace_id: str = "") -> KnownRun:
    return KnownRun(run_id, deployment, "x", "ok", kind, deployment, 0, (), 0.0, trace_id)


def add(joins: Joins, known: KnownRun, *, root: bool = True, session: str = "", decision: str = "") -> KnownRun:
    joins.add(known, is_root=root, decision_id=decision, response_id="", session_id=session)
    return known


def test_what_was_added_first_is_forgotten_first() -> None:
    recent: Recent[int] = Recent(2)
    for i, key in enumerate("abc"):
        recent.add(key, i)
    assert [recent.get(key) for key in "abc"] == [None, 1, 2]
    assert (recent.pop("b"), recent.pop("b"), len(recent)) == (1, None, 1)


def test_the_most_exact_name_counts() -> None:
    joins = Joins(10)
    one = add(joins, run("one"), session="s")
    two = add(joins, run("two"), session="s", decision="d")
    assert joins.find(Feedback(run_id="one", session_id="s")) == (one, one)
    assert joins.find(Feedback(decision_id="d")) == (two, two)
    assert joins.find(Feedback(session_id="s")) == (two, two)
    assert joins.find(Feedback(run_id="gone", session_id="s")) == (None, None)
    assert joins.find(Feedback()) == (None, None)


def test_the_root_of_a_trace_is_the_run_without_parent_else_the_first() -> None:
    joins = Joins(10)
    first = add(joins, run("first", kind="tool", trace_id="t"), root=False)
    add(joins, run("second", kind="tool", trace_id="t"), root=False)
    assert joins.find(Feedback(trace_id="t")) == (first, None)
    root = add(joins, run("root", kind="agent", trace_id="t"))
    add(joins, run("another root", kind="agent", trace_id="t"))
    assert joins.find(Feedback(trace_id="t")) == (root, None)


def test_a_deployment_is_credited_only_if_it_alone_served_the_trace() -> None:
    joins = Joins(10)
    root = add(joins, run("root", kind="agent", trace_id="t"))
    served = add(joins, run("llm", "a", trace_id="t"), root=False)
    assert joins.find(Feedback(trace_id="t")) == joins.find(Feedback(run_id="root")) == (root, served)
    again = add(joins, run("llm 2", "a", trace_id="t"), root=False)
    assert joins.find(Feedback(trace_id="t")) == (root, again)
    add(joins, run("llm 3", "b", trace_id="t"), root=False)
    assert joins.find(Feedback(trace_id="t")) == joins.find(Feedback(run_id="root")) == (root, None)
    assert joins.find(Feedback(run_id="llm")) == (served, served)


def test_an_id_can_be_claimed_once() -> None:
    joins = Joins(10)
    assert [joins.claim("r"), joins.claim("r")] == [True, False]
    add(joins, run("known"))
    assert joins.claim("known") is False


def test_after_forgetting_runs_nothing_is_found_but_decisions() -> None:
    joins = Joins(10)
    add(joins, run("r", trace_id="t"), session="s", decision="d")
    joins.forget_runs()
    for feedback in (Feedback(run_id="r"), Feedback(trace_id="t"), Feedback(decision_id="d"), Feedback(session_id="s")):
        assert joins.find(feedback) == (None, None)

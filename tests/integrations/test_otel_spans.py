"""Events of a batch become spans: names, places, parents and what must not leave the house."""

from __future__ import annotations

import itertools

import pytest

from hivefeedback import Feedback, Run, Score, telemetry
from hivefeedback.model import Assignment, Body, DecisionRecord, Event
from hivefeedback_otel.ids import derived_span_id, derived_trace_id, span_number, trace_number
from hivefeedback_otel.spans import ROUTE_WAITS_S, SpanData, SpanMaker

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
DECIDED = DecisionRecord(
    "text-to-text/medical",
    deployment="a",
    propensity=0.25,
    assignments=(Assignment("m-7", "canary", 0.05),),
    config_version=12,
    reason="policy",
)
seq = itertools.count(1)


def event(body: Body, event_id: str = "", at_s: float = 1000.0) -> Event:
    number = next(seq)
    return Event("p", 1, number, event_id or f"e{number}", at_s, at_s, body)


def run_event(run: Run, event_id: str = "", at_s: float = 1000.0) -> Event:
    return event(run, event_id or run.run_id, at_s)


def only(spans: list[SpanData], start: str) -> SpanData:
    (found,) = [s for s in spans if s.name.startswith(start)]
    return found


@pytest.fixture
def maker() -> SpanMaker:
    return SpanMaker()


def test_a_run_keeps_its_ids_times_and_numbers(maker: SpanMaker) -> None:
    run = Run(
        "a", "text-to-text/medical", "ok", 0.5, run_id="r1", trace_id=TRACE, span_id=SPAN, ttft_s=0.1,
        tokens_in=3, tokens_out=4, cost_usd=0.01, session_id="s", attributes={telemetry.REQUEST_MODEL: "gpt-x"},
    )  # fmt: skip
    (span,) = maker.spans([run_event(run)])
    assert span.name == "chat gpt-x"
    assert (span.place.trace_id, span.place.span_id, span.parent_id) == (int(TRACE, 16), int(SPAN, 16), 0)
    assert (span.start_ns, span.end_ns) == (1_000_000_000_000, 1_000_500_000_000)
    assert span.attributes == {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-x", "gen_ai.conversation.id": "s",
        "gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 4, "gen_ai.response.time_to_first_chunk": 0.1,
        "hivefeedback.run.id": "r1", "hivefeedback.deployment": "a", "hivefeedback.operation": "text-to-text/medical",
        "hivefeedback.outcome": "ok", "hivefeedback.cost_usd": 0.01,
    }  # fmt: skip
    assert span.is_client
    assert not span.is_error


@pytest.mark.parametrize(
    ("kind", "name"),
    [("agent", "invoke_agent x"), ("tool", "execute_tool x"), ("chain", "invoke_workflow x"),
     ("retriever", "retrieval x"), ("evaluation", "evaluation x")],
)  # fmt: skip
def test_each_kind_has_its_name(maker: SpanMaker, kind: str, name: str) -> None:
    (span,) = maker.spans([run_event(Run("x", kind=kind, run_id="r"))])
    assert span.name == name
    assert not span.is_client


def test_a_failed_run_is_an_error_with_its_type(maker: SpanMaker) -> None:
    bare, named = maker.spans(
        [run_event(Run("a", "o", "timeout"), "r1"), run_event(Run("a", "o", "model_error", error="APIError"), "r2")]
    )
    assert (bare.is_error, bare.attributes[telemetry.ERROR_TYPE]) == (True, "timeout")
    assert (named.is_error, named.attributes[telemetry.ERROR_TYPE]) == (True, "APIError")
    (cancelled,) = maker.spans([run_event(Run("a", "o", "cancelled"), "r3")])
    assert not cancelled.is_error


def test_a_decision_is_a_route_span_beside_its_run(maker: SpanMaker) -> None:
    spans = maker.spans(
        [
            event(DECIDED, "d1", 999.0),
            run_event(Run("a", "o", run_id="r1", trace_id=TRACE, parent_id=SPAN, decision_id="d1")),
        ]
    )
    route, chat = only(spans, "route"), only(spans, "chat")
    assert route.name == "route text-to-text/medical"
    assert route.place.trace_id == chat.place.trace_id == int(TRACE, 16)
    assert route.parent_id == chat.parent_id == int(SPAN, 16)
    for span in (route, chat):
        assert span.attributes[telemetry.CONFIG_VERSION] == 12
        assert span.attributes[telemetry.PROPENSITY] == 0.25
        assert span.attributes[telemetry.ASSIGNMENTS] == ("m-7:canary",)
    ((name, flag),) = route.events
    assert (name, flag["feature_flag.key"], flag["feature_flag.result.variant"]) == (
        "feature_flag.evaluation",
        "m-7",
        "canary",
    )


def test_runs_without_anything_above_them_hang_below_their_decision(maker: SpanMaker) -> None:
    (waiting) = maker.spans([event(DECIDED, "d1")])
    assert waiting == []
    spans = maker.spans(
        [
            run_event(Run("a", "o", "timeout", run_id="r1", decision_id="d1")),
            run_event(Run("b", "o", "ok", run_id="r2", decision_id="d1", attempt=2)),
        ]
    )
    route = only(spans, "route")
    assert [s.parent_id for s in spans if s is not route] == [route.place.span_id] * 2
    assert {s.place.trace_id for s in spans} == {derived_trace_id("d1")}
    assert len({s.place.span_id for s in spans}) == 3


def test_a_decision_without_a_run_is_sent_after_a_while(maker: SpanMaker) -> None:
    maker.spans([event(DECIDED, "d1", 1000.0)])
    assert maker.spans([run_event(Run("a", "o"), "r1", 1000.0 + ROUTE_WAITS_S - 1)])[0].name == "chat a"
    late = maker.spans([run_event(Run("a", "o", trace_id=TRACE, decision_id="x"), "r2", 1001.0 + ROUTE_WAITS_S)])
    assert only(late, "route").place.trace_id == derived_trace_id("d1")
    (linked,) = maker.spans([run_event(Run("a", "o", trace_id=TRACE, decision_id="d1"), "r3", 2000.0)])
    assert linked.links == (only(late, "route").place,)


def test_the_applications_span_is_the_parent_of_a_root(maker: SpanMaker) -> None:
    run = Run("a", "o", run_id="r", trace_id=TRACE, attributes={telemetry.PARENT_SPAN: SPAN})
    assert maker.spans([run_event(run)])[0].parent_id == int(SPAN, 16)


def test_a_parent_may_be_named_by_its_run_id(maker: SpanMaker) -> None:
    parent, child = maker.spans(
        [run_event(Run("a", kind="agent", run_id="r1")), run_event(Run("b", run_id="r2", parent_id="r1"))]
    )
    assert child.parent_id == parent.place.span_id
    assert child.place.trace_id == parent.place.trace_id


def test_a_link_to_a_trace_alone_hits_its_first_root(maker: SpanMaker) -> None:
    first, second = maker.spans(
        [run_event(Run("a", trace_id=TRACE, run_id="r1")), run_event(Run("a", trace_id=TRACE, run_id="r2"))]
    )
    assert first.place.span_id == int(TRACE[16:], 16)
    assert second.place.span_id == derived_span_id("r2")


@pytest.mark.parametrize(
    "feedback",
    [
        Feedback("rating", 0.75, run_id="r1"),
        Feedback("rating", 0.75, trace_id=TRACE),
        Feedback("rating", 0.75, decision_id="d9"),
        Feedback("rating", 0.75, response_id="resp"),
        Feedback("rating", 0.75, session_id="s"),
        Score("r1", "rating", 0.75),
    ],
)
def test_a_judgement_hangs_below_what_it_judges(maker: SpanMaker, feedback: Feedback | Score) -> None:
    run = Run("a", run_id="r1", trace_id=TRACE, decision_id="d9", response_id="resp", session_id="s")
    (judged,) = maker.spans([run_event(run)])
    (span,) = maker.spans([event(feedback)])
    assert (span.name, span.parent_id) == ("evaluation rating", judged.place.span_id)
    assert span.place.trace_id == judged.place.trace_id
    ((name, attributes),) = span.events
    assert (name, attributes["gen_ai.evaluation.name"], attributes["gen_ai.evaluation.score.value"]) == (
        "gen_ai.evaluation.result",
        "rating",
        0.75,
    )


def test_feedback_on_something_unknown_still_lands_in_the_named_trace(maker: SpanMaker) -> None:
    (span,) = maker.spans([event(Feedback("rating", 1.0, trace_id=TRACE))])
    assert (span.place.trace_id, span.parent_id) == (int(TRACE, 16), 0)
    (lost,) = maker.spans([event(Feedback("rating", 1.0))])
    assert lost.place.trace_id != 0


def test_no_content_leaves_the_house(maker: SpanMaker) -> None:
    run = Run("a", run_id="r", input="secret", output="secret", reference="secret", user_id="secret")
    feedback = Feedback("correction", 1.0, comment="secret", correction="secret", run_id="r")
    assert "secret" not in repr(maker.spans([run_event(run), event(feedback)]))


def test_ids_that_are_none_are_replaced_by_derived_ones() -> None:
    assert trace_number("not hex") == trace_number("") == trace_number("0" * 32) == 0
    assert trace_number("0199aaaa-0000-7000-8000-0123456789ab") == 0x0199AAAA000070008000_0123456789AB
    assert span_number(TRACE) == span_number("+123456789abcdef") == 0
    assert derived_trace_id("x") == derived_trace_id("x") != derived_trace_id("y")
    assert 0 < derived_span_id("x") < 1 << 64

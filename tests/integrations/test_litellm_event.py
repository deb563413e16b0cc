"""How LiteLLM's events, errors and model lists are read."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any, cast

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.model import Configuration, Deployment, Price, Run
from hivefeedback.testing import FakeClock
from tests.core.loops import bodies

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else importing litellm fetches a price list
litellm = pytest.importorskip("litellm")

from hivefeedback_litellm import FeedbackLogger  # noqa: E402 - after the environment is set
from hivefeedback_litellm.adopt import adopt, deployment_from, price_of  # noqa: E402
from hivefeedback_litellm.flights import Recent  # noqa: E402
from hivefeedback_litellm.outcome import outcome_of_answer, outcome_of_error  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:Item.*ReadOnly:UserWarning")


class Recorder:
    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.configuration = Configuration(deployments={"known": Deployment("known")})
        self.added: list[Deployment] = []

    def record(self, run: Run) -> str:
        self.runs.append(run)
        return "r"

    def add_deployment(self, deployment: Deployment) -> None:
        self.added.append(deployment)


class FakeRouter:
    def __init__(self, *entries: dict[str, Any]) -> None:
        self.model_list = list(entries)


def entry(name: str, model: str = "openai/never-heard-of", **params: Any) -> dict[str, Any]:
    return {"model_name": "g", "litellm_params": {"model": model, **params}, "model_info": {"id": name}}


def event(**payload: Any) -> dict[str, Any]:
    known = {
        "id": "chatcmpl-1",
        "litellm_call_id": "call-1",
        "model_id": "a",
        "startTime": 100.0,
        "completionStartTime": 100.25,
        "endTime": 101.5,
        "response_time": 0.25,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "response_cost": 0.0,
        "stream": True,
    }
    return {
        "standard_logging_object": {**known, **payload},
        "litellm_params": {"metadata": {"model_group": "g"}},
        "litellm_trace_id": "8839404e-27fa-4e9c-9aee-4a201e0a5776",
    }


class Answer:
    def __init__(self, *finished: str) -> None:
        self.choices = [type("Choice", (), {"finish_reason": f, "message": None})() for f in finished]


def recorded(kwargs: dict[str, Any], answer: Any = None, **params: Any) -> Run:
    loop = Recorder()
    logger = FeedbackLogger(cast(Any, loop), FakeRouter(entry("a", **params)))
    logger.log_success_event(kwargs=kwargs, response_obj=answer or Answer("stop"), start_time=None, end_time=None)
    assert not logger.counters
    return loop.runs[0]


def test_the_duration_of_a_stream_is_not_its_response_time() -> None:
    run = recorded(event())
    assert (run.started_at_s, run.duration_s, run.ttft_s) == (100.0, 1.5, 0.25)


def test_a_call_that_is_no_stream_has_no_time_to_the_first_token() -> None:
    assert recorded(event(stream=False)).ttft_s is None


def test_a_cost_of_zero_for_an_unknown_price_is_unknown() -> None:
    assert recorded(event()).cost_usd is None


@pytest.mark.parametrize(
    ("payload", "cost_usd", "source"),
    [
        ({}, 20e-6, "list_price"),
        ({"cache_hit": True}, None, None),
        ({"prompt_tokens": None, "completion_tokens": None}, None, None),
        ({"response_cost": 0.5}, 0.5, None),
    ],
)
def test_a_cost_of_zero_for_a_known_price_is_worked_out_by_the_recorder(
    payload: dict[str, Any], cost_usd: float | None, source: str | None
) -> None:
    router = FakeRouter(entry("a", input_cost_per_token=1e-6, output_cost_per_token=2e-6))
    with FeedbackLoop("memory://", clock=FakeClock(), plugins_allow=["stores", "policies"]) as loop:
        adopt(loop, router.model_list)
        logger = FeedbackLogger(loop, router)
        logger.log_success_event(kwargs=event(**payload), response_obj=Answer("stop"), start_time=None, end_time=None)
        (run,) = bodies(loop, Run)
    assert run.cost_usd == (None if cost_usd is None else pytest.approx(cost_usd))
    assert run.attributes.get("cost_source") == source


def test_the_cost_that_litellm_knows_is_taken() -> None:
    assert recorded(event(response_cost=0.5)).cost_usd == 0.5


def test_a_cache_hit_is_no_success_of_the_model() -> None:
    assert recorded(event(cache_hit=True)).outcome == "cache_hit"


@pytest.mark.parametrize(
    ("finished", "expected"),
    [
        (("stop",), "ok"),
        (("tool_calls",), "ok"),
        (("stop", "length"), "truncated"),
        (("content_filter",), "refused"),
        ((), "ok"),
    ],
)
def test_the_end_of_the_choices_says_how_an_answer_ended(finished: tuple[str, ...], expected: str) -> None:
    assert outcome_of_answer(Answer(*finished), cache_hit=False) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("RateLimitError", "rate_limited"),
        ("Timeout", "timeout"),
        ("InternalServerError", "model_error"),
        ("ServiceUnavailableError", "model_error"),
        ("BadGatewayError", "model_error"),
        ("APIConnectionError", "model_error"),
        ("AuthenticationError", "internal"),
        ("NotFoundError", "internal"),
        ("BadRequestError", "internal"),
        ("ContextWindowExceededError", "internal"),
        ("ContentPolicyViolationError", "refused"),
    ],
)
def test_litellms_own_exceptions_are_told_apart(error: str, expected: str) -> None:
    status = getattr(litellm.exceptions, error)("no", llm_provider="openai", model="a").status_code
    assert outcome_of_error(error, status) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("CancelledError", "cancelled"),
        ("TimeoutError", "timeout"),
        ("ReadTimeout", "timeout"),
        ("ConnectionResetError", "model_error"),
        ("RemoteProtocolError", "model_error"),
        ("ModuleNotFoundError", "internal"),
        ("KeyError", "internal"),
    ],
)
def test_an_exception_without_status_counts_only_where_it_is_the_line(error: str, expected: str) -> None:
    assert outcome_of_error(error, None) == expected


def test_a_failure_is_read_from_the_payload_where_the_exception_is_gone() -> None:
    loop = Recorder()
    logger = FeedbackLogger(cast(Any, loop), FakeRouter(entry("a")))
    told = {"error_information": {"error_class": "RateLimitError", "error_code": "429"}}
    logger.log_failure_event(kwargs=event(**told), response_obj=None, start_time=None, end_time=None)
    (run,) = loop.runs
    assert (run.outcome, run.error, run.run_id, run.tokens_in) == ("rate_limited", "RateLimitError", "", None)


def test_the_same_attempt_is_recorded_once_and_the_next_attempt_again() -> None:
    loop = Recorder()
    logger = FeedbackLogger(cast(Any, loop), FakeRouter(entry("a")))
    for _ in range(2):
        logger.log_failure_event(kwargs=event(), response_obj=None, start_time=None, end_time=None)
    retry = event()
    retry["litellm_params"]["metadata"]["attempted_retries"] = 1
    logger.log_failure_event(kwargs=retry, response_obj=None, start_time=None, end_time=None)
    assert [r.attempt for r in loop.runs] == [1, 2]


@pytest.mark.parametrize("kwargs", [{}, {"standard_logging_object": None}, {"litellm_params": None}, event(model_id=3)])
def test_nonsense_is_no_run_and_no_exception(kwargs: dict[str, Any]) -> None:
    loop = Recorder()
    logger = FeedbackLogger(cast(Any, loop), FakeRouter(entry("a")))
    logger.log_success_event(kwargs=kwargs, response_obj=None, start_time=None, end_time=None)
    logger.log_failure_event(kwargs=kwargs, response_obj=None, start_time=None, end_time=None)
    assert loop.runs == []


def test_content_reaches_scorers_only_when_asked() -> None:
    answer = litellm.ModelResponse(choices=[{"message": {"content": "forty-two"}, "finish_reason": "stop"}])
    assert recorded(event(), answer).output is None
    loop = Recorder()
    logger = FeedbackLogger(cast(Any, loop), FakeRouter(entry("a")), capture_content=True)
    logger.log_success_event(kwargs=event(), response_obj=answer, start_time=None, end_time=None)
    assert loop.runs[0].output == "forty-two"


def test_two_loggers_differ_in_a_public_attribute_since_litellm_drops_look_alikes() -> None:
    loop, router = cast(Any, Recorder()), FakeRouter()
    first, second = FeedbackLogger(loop, router), FeedbackLogger(loop, router)
    manager = litellm.logging_callback_manager
    assert manager._get_custom_logger_key(first) != manager._get_custom_logger_key(second)


def test_a_model_list_is_adopted_but_what_is_declared_stays() -> None:
    loop = Recorder()
    added = adopt(cast(Any, loop), [entry("known", "openai/other"), entry("new", "openai/gpt-4o-mini", tags=["x"])])
    assert added == ["new"]
    (deployment,) = loop.added
    assert (deployment.model, deployment.tags) == ("openai/gpt-4o-mini", ("x",))
    assert deployment.price is not None
    assert deployment.price.output_usd_per_mtok > deployment.price.input_usd_per_mtok > 0


def test_a_price_of_the_entry_beats_the_cost_map_and_an_unknown_one_stays_unknown() -> None:
    assert price_of(entry("a", "openai/gpt-4o-mini", input_cost_per_token=1.5e-7)) == Price(0.15, 0.0)
    assert deployment_from(entry("a")).price is None


def test_what_is_too_old_is_forgotten() -> None:
    clock = FakeClock()
    recent: Recent[int] = Recent(size=100, ttl_s=10, clock=clock)
    recent.put("a", 1)
    assert not recent.first("a", 2)
    clock.advance(11)
    assert recent.get("a") is None
    assert recent.first("a", 2)
    clock.advance(11)
    for n in range(100):
        recent.put(n, n)
    assert len(recent) <= 100
    assert recent.get("a") is None


def test_the_package_imports_without_litellm_and_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['litellm'] = None\n"
        "import hivefeedback_litellm as h\n"
        "from hivefeedback.errors import MissingExtraError\n"
        "try: h.attach\n"
        "except MissingExtraError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'hivefeedback[litellm]'" in done.stdout


def test_importing_the_package_does_not_import_litellm() -> None:
    program = "import sys, hivefeedback_litellm; print('litellm' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

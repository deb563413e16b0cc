"""The one object that LiteLLM calls: decision before each attempt, outcome after it."""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from hivefeedback.errors import MissingExtraError
from hivefeedback.model import Outcome, Run
from hivefeedback_litellm.choose import Chooser, OperationOf
from hivefeedback_litellm.event import attempt_key, run_of_event, run_of_failed_attempt, served_by
from hivefeedback_litellm.flights import Recent
from hivefeedback_litellm.outcome import outcome_of_answer, outcome_of_error
from hivefeedback_litellm.owned import Owned
from hivefeedback_litellm.request import Json, deployment_id, ids_of, metadata_of, stamp_of, text
from hivefeedback_litellm.serve import prompted_as_decided, served_as_decided
from hivefeedback_litellm.sync import call_in_turn, planned_calls

try:
    from litellm.integrations.custom_logger import CustomLogger
except ImportError as error:
    raise MissingExtraError("the LiteLLM integration", "litellm") from error

if TYPE_CHECKING:
    from hivefeedback import FeedbackLoop

__all__ = ["FeedbackLogger"]

_log = logging.getLogger(__name__)


class FeedbackLogger(CustomLogger):
    """Decides among the deployments of one router and records each attempt once.

    Made by ``attach``. LiteLLM's callbacks are global to the process, so calls of other routers
    come here too and are left alone. Every method is guarded: whatever breaks here, the request
    goes on as if nobody had looked.

    Args:
        loop: The loop that decides and learns.
        router: The router whose deployments are meant.
        operation: Operation of the requests that name none in ``metadata["operation"]``: a path,
            or a function of (model group, metadata). Default: the model group.
        capture_content: True passes answers to scorers; they are not stored unless the loop's
            ``store_content`` says so.
    """

    def __init__(
        self,
        loop: FeedbackLoop,
        router: Any,
        *,
        operation: str | OperationOf | None = None,
        capture_content: bool = False,
    ) -> None:
        super().__init__()
        # two loggers with the same public attributes count as one for LiteLLM: the second is dropped
        self.hivefeedback_id = uuid.uuid4().hex
        self.loop, self.router = loop, router
        self.counters: Counter[str] = Counter()
        self._capture_content = capture_content
        self._chooser = Chooser(loop, router, operation)
        self._owned = Owned(router)
        self._settled: Recent[bool] = Recent()

    async def async_filter_deployments(
        self,
        model: str,
        healthy_deployments: list[Any],
        messages: Any,
        request_kwargs: dict[str, Any] | None = None,
        parent_otel_span: Any = None,
    ) -> list[Any]:
        """Before each async attempt: pick among the deployments that LiteLLM finds healthy."""
        try:
            ids = ids_of(healthy_deployments)
            # all of a list belong to one router, so the first one says whose
            if request_kwargs is None or not ids or self._owned.entry(ids[0]) is None:
                return healthy_deployments
            return self._chooser.narrow(model, healthy_deployments, ids, request_kwargs)
        except Exception as error:  # noqa: BLE001 - plugin border: an exception here would fail the request
            self._broken("async_filter_deployments", error)
            return healthy_deployments

    async def async_pre_call_deployment_hook(self, kwargs: dict[str, Any], call_type: Any) -> dict[str, Any] | None:
        """After the pick: serve what a rollout or promotion changed: model, parameters, the named prompt.

        So it is in the modes that only look, and for retries: whoever selected a deployment, it is
        served as it is configured now.
        """
        try:
            metadata = metadata_of(kwargs)
            flight = self._chooser.flight_of(metadata)
            entry = self._owned.entry(served_by(kwargs, {}))
            if flight is None or entry is None:
                return None
            flight.in_air = deployment_id(entry)
            changed = prompted_as_decided(kwargs.get("messages"), flight.decision, metadata)
            served = flight.served_by(deployment_id(entry))
            if served is not None:
                changed |= served_as_decided(kwargs, served, entry)
            return {**kwargs, **changed} if changed else None
        except Exception as error:  # noqa: BLE001 - plugin border: an exception here would fail the request
            self._broken("async_pre_call_deployment_hook", error)
            return None

    async def async_post_call_failure_deployment_hook(
        self,
        request_data: Mapping[str, object],
        exception: Exception,
        call_type: Any,
        fallback_depth: int | None = None,
    ) -> None:
        """After each failed async attempt; the only sign of it in the proxy."""
        try:
            metadata = metadata_of(request_data)
            outcome = outcome_of_error(type(exception).__name__, _status(exception))
            operation = self._operation(metadata)
            run = run_of_failed_attempt(request_data, exception, outcome, operation)
            flight = self._chooser.flight_of(metadata)
            if flight is not None and flight.attempt_started_s:
                run = replace(run, duration_s=time.monotonic() - flight.attempt_started_s)
            self._record(run, text(request_data.get("litellm_call_id")), metadata)
        except Exception as error:  # noqa: BLE001 - plugin border
            self._broken("async_post_call_failure_deployment_hook", error)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """After an async call that returned; LiteLLM calls this from its background worker."""
        self._succeeded(kwargs, response_obj)

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """After a sync call that returned."""
        self._succeeded(kwargs, response_obj)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """After an async call that raised, and for streams that die half-way."""
        self._failed(kwargs, response_obj)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """After a sync call that raised."""
        self._failed(kwargs, response_obj)

    def completion(self, model: str, messages: list[Any], **kwargs: Any) -> Any:
        """``router.completion`` with the loop's pick; LiteLLM calls no filter hook for sync calls.

        Each attempt serves the next best deployment; the last one has the router's own fallbacks.

        Raises:
            Exception: Whatever the last attempt raised.
        """
        try:
            calls = planned_calls(self.router, self._chooser, model, kwargs)
        except Exception as error:  # noqa: BLE001 - plugin border: the call is made as if nobody had looked
            self._broken("completion", error)
            calls = [kwargs]
        return call_in_turn(self.router, model, messages, calls)

    def detach(self) -> None:
        """Take the logger out of LiteLLM; the router serves as before."""
        import litellm

        litellm.logging_callback_manager.remove_callback_from_all_lists(self)

    def _succeeded(self, kwargs: Json, answer: Any) -> None:
        try:
            payload: Json = kwargs.get("standard_logging_object") or {}
            outcome = outcome_of_answer(answer, cache_hit=bool(kwargs.get("cache_hit") or payload.get("cache_hit")))
            self._settle(kwargs, answer, outcome)
        except Exception as error:  # noqa: BLE001 - plugin border, on LiteLLM's worker
            self._broken("log_success_event", error)

    def _failed(self, kwargs: Json, answer: Any) -> None:
        try:
            payload: Json = kwargs.get("standard_logging_object") or {}
            told: Json = payload.get("error_information") or {}
            error = kwargs.get("exception")
            name = type(error).__name__ if isinstance(error, BaseException) else text(told.get("error_class"))
            code = text(told.get("error_code"))
            status = _status(error) or (int(code) if code.isdigit() else None)
            self._settle(kwargs, None, outcome_of_error(name, status))
        except Exception as broken:  # noqa: BLE001 - plugin border, on LiteLLM's worker
            self._broken("log_failure_event", broken)

    def _settle(self, kwargs: Json, answer: Any, outcome: Outcome) -> None:
        params: Json = kwargs.get("litellm_params") or {}
        metadata = metadata_of(params)
        if self._owned.entry(served_by(params, kwargs.get("standard_logging_object") or {})) is None:
            return
        run = run_of_event(kwargs, answer, outcome, self._operation(metadata))
        if self._capture_content and answer is not None:
            run = replace(run, output=_content(answer))
        self._record(run, run.attributes.get("litellm.call_id", ""), metadata)

    def _record(self, run: Run, call_id: object, metadata: Json) -> None:
        if self._owned.entry(run.deployment) is None:
            return
        if not self._settled.first(attempt_key(str(call_id), run.deployment, metadata), True):
            return
        flight = self._chooser.flight_of(metadata)
        if flight is not None:
            flight.in_air = ""
            run = replace(run, retry_of=flight.last_run)
        run_id = self.loop.record(run)
        if flight is not None and run.error:
            flight.failed |= {run.deployment}
            flight.last_run = run_id

    def _operation(self, metadata: Json) -> str:
        return stamp_of(metadata).operation or self._chooser.operation_of(text(metadata.get("model_group")), metadata)

    def _broken(self, hook: str, error: Exception) -> None:
        self.counters[hook] += 1
        level = logging.WARNING if self.counters[hook] == 1 else logging.DEBUG
        _log.log(level, "hivefeedback left a LiteLLM call alone: %s failed: %r", hook, error)


def _status(error: object) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def _content(answer: object) -> str | None:
    choices = getattr(answer, "choices", None)
    content = getattr(getattr(choices[0], "message", None), "content", None) if choices else None
    return content if isinstance(content, str) else None

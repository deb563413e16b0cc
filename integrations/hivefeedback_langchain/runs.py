"""Makes a ``Run`` of an ended LangChain run and hands it to the loop."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

from hivefeedback import telemetry
from hivefeedback.model import BLAMED, Configuration, Outcome, Run
from hivefeedback_langchain import config
from hivefeedback_langchain.call import Call, Names, RunSink, served_deployment
from hivefeedback_langchain.live import LiveRun
from hivefeedback_langchain.reply import NO_REPLY, Reply

__all__ = ["Runs"]

log = logging.getLogger(__name__)

_MAX_RETRIES: Final = 1000
"""Decisions whose last failure is remembered, to number the next attempt."""


class Runs:
    """Says what served a run, under which decision and operation, and counts our own errors.

    Args:
        loop: Takes the runs.
        operation: What kind of work, where the metadata of a call do not say it.
        deployment: Says the deployment of a model call, or nothing.
    """

    def __init__(
        self, loop: RunSink, operation: str | Callable[[Call], str], deployment: Callable[[Call], str] | None
    ) -> None:
        self._loop = loop
        self._record = loop.record
        self._operation = operation
        self._deployment = deployment
        self._names = Names.of(Configuration())
        self._failed: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self.errors: dict[str, int] = {}

    def number_attempt(self, run: LiveRun, tags: list[str] | None) -> None:
        """A call whose decision has just failed is its next attempt: a retry or a fallback."""
        before = self._failed.get(run.metadata.get(config.DECISION_ID, "")) if self._failed else None
        if before is not None:
            run.retry_of, run.attempt = before[0], before[1] + 1
        elif tags:
            number = next((tag[14:] for tag in tags if tag.startswith("retry:attempt:")), "")
            run.attempt = int(number) if number.isdigit() else 1

    def expected(self, live: LiveRun) -> str:
        """The deployment of a model call that has not ended, as far as it can be told before the answer."""
        return self._served(live, NO_REPLY)

    def finish(self, live: LiveRun, outcome: Outcome, reply: Reply, error: str) -> None:
        """Hand one ended run to the loop; links between runs are not recorded."""
        kind, metadata = live.kind, live.metadata
        if not kind:
            return
        decision_id, decided = metadata.get(config.DECISION_ID, ""), ""
        deployment = live.name or kind  # only llm runs count for deployments; others go by their name
        if kind == "llm":
            deployment = self._served(live, reply)
            if "lc_source" in metadata or "lc_internal_call" in metadata:
                outcome, decision_id = "internal", ""  # the framework's own call, not the agent's
            elif decision_id:
                decided = metadata.get(config.DEPLOYMENT, "")
                self._remember(decision_id, live, outcome)
        own = live.run_id.hex
        run = Run(
            deployment, metadata.get(config.OPERATION) or self._operation_of(live, reply), outcome,
            time.perf_counter() - live.started_s, kind, _text_id(own), live.started_at_s,
            live.root.trace_id if live.parent_id is not None else live.ambient_trace or own, own[16:],
            live.span_above if live.parent is not None else "", reply.response_id, decision_id, decided,
            live.attempt, live.retry_of, live.ttft_s, reply.tokens_in, reply.tokens_out, reply.cost_usd,
            agent_id=metadata.get("lc_agent_name") or "", session_id=_session(metadata),
            user_id=metadata.get(config.USER_ID, ""), attributes=_attributes(live),
            input=live.input, output=reply.text, error=error,
        )  # fmt: skip
        self._record(run)

    def _served(self, live: LiveRun, reply: Reply) -> str:
        """The deployment of a model call."""
        current = self._loop.configuration
        if current is not self._names.config:
            self._names = Names.of(current)
        names, deployment = self._names, ""
        if self._deployment is not None:
            deployment = self._asked(self._deployment, live, reply)
        if not deployment:
            asked = live.metadata.get("ls_model_name") or ""
            deployment = served_deployment(live.metadata, asked, reply.model, names.ids) or live.name or live.kind
        return deployment

    def _operation_of(self, live: LiveRun, reply: Reply) -> str:
        operation = self._operation
        return operation if isinstance(operation, str) else self._asked(operation, live, reply)

    def _asked(self, function: Callable[[Call], str], live: LiveRun, reply: Reply) -> str:
        """The user's callable; where it fails the run is recorded without its answer."""
        try:
            asked = live.metadata.get("ls_model_name") or ""
            return function(Call(live.kind, live.name, live.metadata, asked, reply.model))
        except Exception as error:  # noqa: BLE001  # the host's guard: a run is worth more than its label
            self.count(error)
            return ""

    def _remember(self, decision_id: str, live: LiveRun, outcome: Outcome) -> None:
        if outcome in BLAMED:
            self._failed[decision_id] = (_text_id(live.run_id.hex), live.attempt)
            if len(self._failed) > _MAX_RETRIES:
                self._failed.popitem(last=False)
        elif self._failed:
            self._failed.pop(decision_id, None)

    def count(self, error: Exception) -> None:
        """An error of ours: counted by its class, told once."""
        name = type(error).__name__
        self.errors[name] = self.errors.get(name, 0) + 1
        level = logging.WARNING if self.errors[name] == 1 else logging.DEBUG
        log.log(level, "a LangChain run could not be recorded (counted as %s): %s", name, error, exc_info=level > 10)


def _text_id(hex_id: str) -> str:
    """A run id as LangChain writes it: a UUID with dashes (``str(UUID)`` costs three times as much)."""
    return f"{hex_id[:8]}-{hex_id[8:12]}-{hex_id[12:16]}-{hex_id[16:20]}-{hex_id[20:]}"


def _session(metadata: Mapping[str, Any]) -> str:
    session = metadata.get(config.SESSION_ID) or metadata.get("thread_id") or metadata.get("session_id")
    return str(session) if session else ""


def _attributes(live: LiveRun) -> dict[str, str | int | float | bool]:
    """What spans need and the run itself does not say.

    The ambient span is no ``parent_id``: in the loop's eyes a run without a run above it is a root.
    """
    found: dict[str, str | int | float | bool] = {}
    if live.ambient_span:
        found[telemetry.PARENT_SPAN] = live.ambient_span
    if live.kind == "llm":
        provider, model = live.metadata.get("ls_provider"), live.metadata.get("ls_model_name")
        if provider:
            found[telemetry.PROVIDER_NAME] = provider
        if model:
            found[telemetry.REQUEST_MODEL] = model
    return found

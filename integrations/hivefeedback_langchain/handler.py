"""A callback handler that records every root, model, tool and retriever run of LangChain.

All callbacks run inline and do no I/O: a dict operation at the start, building a ``Run`` at the
end. A handler may be shared by all threads and tasks of a process. Content of prompts and answers
is read only with ``capture_content=True``.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, get_buffer_string
from opentelemetry import trace
from opentelemetry.context import Context, get_current

from hivefeedback import telemetry
from hivefeedback.model import BLAMED, Configuration, Outcome, Run
from hivefeedback_langchain import config
from hivefeedback_langchain.call import Call, Names, RunSink, served_deployment
from hivefeedback_langchain.live import LiveRun, LiveRuns
from hivefeedback_langchain.outcome import is_interrupt, outcome_of_error
from hivefeedback_langchain.reply import MAX_TEXT, NO_REPLY, Reply, read_reply

if TYPE_CHECKING:
    from langchain_core.documents import Document
    from langchain_core.outputs import LLMResult

__all__ = ["FeedbackCallbackHandler"]

log = logging.getLogger(__name__)

_MAX_RETRIES: Final = 1000
"""Decisions whose last failure is remembered, to number the next attempt."""
_NOTHING: Final[Mapping[str, Any]] = {}


class FeedbackCallbackHandler(BaseCallbackHandler):
    """Hands every finished run to a loop; make one per loop and pass it in ``callbacks``.

    ``trace_id`` of the runs is the ambient OpenTelemetry trace where there is one when the root
    starts, else the root's run id as 32 hex digits. The id of a run is LangChain's own.

    Args:
        loop: Takes the runs; a ``FeedbackLoop``.
        operation: What kind of work, or a callable that says it of a ``Call``. The metadata
            ``hivefeedback.operation`` of a call wins over it.
        deployment: Says the deployment of a model call, where the decision in the metadata and
            the model's name do not; an empty answer means: as without it.
        capture_content: Hand inputs and outputs to the loop, for scorers.
        cap: Live runs that are kept; 10 000 is some MB. The oldest go as ``abandoned``.
        ttl_s: Seconds without a sign of life after which a run is ``abandoned``; an hour, longer
            than calls to models take.
        clock: Seconds since 1970 UTC, for the start of runs.
    """

    run_inline = True
    raise_error = False

    def __init__(
        self,
        loop: RunSink,
        *,
        operation: str | Callable[[Call], str] = "text-to-text",
        deployment: Callable[[Call], str] | None = None,
        capture_content: bool = False,
        cap: int = 10_000,
        ttl_s: float = 3600.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._record = loop.record
        self._loop = loop
        self._names = Names.of(Configuration())
        self._operation = operation
        self._deployment = deployment
        self._captures = capture_content
        self._clock = clock
        self._live = LiveRuns(cap=cap, ttl_s=ttl_s)
        self._failed: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._errors: dict[str, int] = {}

    @property
    def n_live(self) -> int:
        """Runs that have started and not ended."""
        return len(self._live)

    @property
    def errors(self) -> Mapping[str, int]:
        """Errors of this handler by class name; the application never sees them."""
        return dict(self._errors)

    # --- starts -------------------------------------------------------------------------------

    def _start(
        self,
        kind: str,
        run_id: UUID,
        parent_id: UUID | None,
        metadata: dict[str, Any] | None,
        tags: list[str] | None,
        name: str | None,
        content: object,
    ) -> None:
        try:
            parent = self._live.get(parent_id) if parent_id is not None else None
            known, now_s = metadata or _NOTHING, time.perf_counter()
            run = LiveRun(kind, run_id, parent_id, parent, known, name or "", now_s, self._clock(), now_s)
            if parent is None and (context := get_current()):
                _take_ambient(run, context)  # an empty context has no span; that look is all that most calls pay
            if kind == "llm" and (tags or self._failed):
                self._number_attempt(run, known, tags)
            if self._captures and kind:
                run.input = _text(content)[:MAX_TEXT]
            for gone in self._live.add(run):
                self._finish(gone, "abandoned", NO_REPLY, "")
        except Exception as error:  # noqa: BLE001  # the host's guard: no error of ours reaches the application
            self._count(error)

    def _number_attempt(self, run: LiveRun, metadata: Mapping[str, Any], tags: list[str] | None) -> None:
        """A call whose decision has just failed is its next attempt: a retry or a fallback."""
        before = self._failed.get(metadata.get(config.DECISION_ID, ""))
        if before is not None:
            run.retry_of, run.attempt = before[0], before[1] + 1
        elif tags:
            number = next((tag[14:] for tag in tags if tag.startswith("retry:attempt:")), "")
            run.attempt = int(number) if number.isdigit() else 1

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A chat model was called."""
        self._start(
            "llm", run_id, parent_run_id, metadata, tags, kwargs.get("name") or _class_name(serialized), messages
        )

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A text model was called."""
        self._start(
            "llm", run_id, parent_run_id, metadata, tags, kwargs.get("name") or _class_name(serialized), prompts
        )

    def on_chain_start(
        self,
        serialized: dict[str, Any],
        inputs: dict[str, Any],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A chain, graph or agent started; recorded where it is a root."""
        if parent_run_id is not None:
            self._start("", run_id, parent_run_id, metadata, None, None, None)
            return
        name = kwargs.get("name")
        is_agent = bool(metadata and "lc_agent_name" in metadata) or name == "LangGraph"
        kind = "agent" if is_agent else "chain"
        self._start(kind, run_id, None, metadata, None, name, inputs)

    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A tool was called."""
        name = kwargs.get("name") or _class_name(serialized)
        self._start("tool", run_id, parent_run_id, metadata, None, name, input_str)

    def on_retriever_start(
        self,
        serialized: dict[str, Any],
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A retriever was asked."""
        name = kwargs.get("name") or _class_name(serialized)
        self._start("retriever", run_id, parent_run_id, metadata, None, name, query)

    # --- on the way ---------------------------------------------------------------------------

    def on_llm_new_token(self, token: str | list[str | dict[str, Any]], *, run_id: UUID, **kwargs: Any) -> None:
        """A chunk of a stream; only the first one matters."""
        run = self._live.get(run_id)
        if run is not None and run.ttft_s is None:
            run.ttft_s = time.perf_counter() - run.started_s

    def on_stream_event(self, event: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """The same for ``stream_events(version="v3")``, which emits no tokens."""
        run = self._live.get(run_id)
        if run is not None and run.ttft_s is None and event.get("event") == "content-block-delta":
            run.ttft_s = time.perf_counter() - run.started_s

    def on_interrupt(self, event: object) -> None:
        """LangGraph's lifecycle event; the interrupt itself arrives as an error of its node."""

    def on_resume(self, event: object) -> None:
        """LangGraph's lifecycle event; the resumed graph is a new root of the same thread."""

    # --- ends ---------------------------------------------------------------------------------

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """A model answered."""
        try:
            run = self._live.pop(run_id)
            if run is not None:
                asked, streamed = run.metadata.get("ls_model_name") or "", run.ttft_s is not None
                reply = read_reply(response, requested_model=asked, is_streamed=streamed, with_text=self._captures)
                self._finish(run, reply.outcome, reply, "")
        except Exception as problem:  # noqa: BLE001  # the host's guard: no error of ours reaches the application
            self._count(problem)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A model call failed, or its stream was closed early."""
        self._end(run_id, error, None)

    def on_chain_end(self, outputs: dict[str, Any], *, run_id: UUID, **kwargs: Any) -> None:
        """A chain, graph or agent ended."""
        self._end(run_id, None, outputs)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A chain, graph or agent failed, was cancelled or interrupted."""
        self._end(run_id, error, None)

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A tool answered; a ``ToolMessage`` with status ``error`` is a failure that was handled."""
        self._end(run_id, None, output, "model_error" if getattr(output, "status", "") == "error" else "ok")

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A tool failed."""
        self._end(run_id, error, None)

    def on_retriever_end(self, documents: Sequence[Document], *, run_id: UUID, **kwargs: Any) -> None:
        """A retriever answered."""
        self._end(run_id, None, None)

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A retriever failed."""
        self._end(run_id, error, None)

    def _end(self, run_id: UUID, error: BaseException | None, output: object, outcome: Outcome = "ok") -> None:
        try:
            run = self._live.pop(run_id)
            if run is None:
                return
            if error is not None:
                outcome = outcome_of_error(error)
                if is_interrupt(error):
                    run.root.is_interrupted = True
            if run.children:
                self._close_below(run, outcome)
            if not run.kind:
                return
            if outcome == "ok" and run.is_interrupted:
                outcome = "control_flow"  # the graph waits for a person: neither done nor failed
            reply = Reply(text=_text(output)[:MAX_TEXT]) if self._captures and output is not None else NO_REPLY
            self._finish(run, outcome, reply, type(error).__name__ if error is not None else "")
        except Exception as problem:  # noqa: BLE001  # the host's guard: no error of ours reaches the application
            self._count(problem)

    def _close_below(self, run: LiveRun, outcome: Outcome) -> None:
        """What still lives below an ended run gets no end of its own: it was cancelled with it."""
        below: Outcome = outcome if outcome in ("timeout", "abandoned") else "cancelled"
        for child in self._live.close(run):
            self._finish(child, below, NO_REPLY, "")

    # --- the record ---------------------------------------------------------------------------

    def _finish(self, live: LiveRun, outcome: Outcome, reply: Reply, error: str) -> None:
        """Hand one ended run to the loop."""
        kind, metadata, above = live.kind, live.metadata, live.parent
        if not kind:
            return
        deployment, decided = live.name or kind, ""  # only llm runs count for deployments; others go by their name
        decision_id, cost_usd = metadata.get(config.DECISION_ID, ""), reply.cost_usd
        if kind == "llm":
            names = self._current_names()
            deployment = self._served(live, reply, names) or deployment
            decided = metadata.get(config.DEPLOYMENT, "")
            if "lc_source" in metadata or "lc_internal_call" in metadata:
                outcome, decision_id, decided = "internal", "", ""  # the framework's own call, not the agent's
            elif decision_id:
                self._remember(decision_id, live, outcome)
            if cost_usd is None and names.prices:
                cost_usd = names.cost_usd(deployment, reply.tokens_in, reply.tokens_out)
        own = live.run_id.hex
        self._record(
            Run(
                deployment,
                metadata.get(config.OPERATION) or self._operation_of(live, reply),
                outcome,
                time.perf_counter() - live.started_s,
                kind,
                _text_id(own),
                live.started_at_s,
                live.root.trace_id if above is not None else live.trace_id,
                own[16:],
                live.span_above if above is not None else "",
                reply.response_id,
                decision_id,
                decided,
                live.attempt,
                live.retry_of,
                live.ttft_s,
                reply.tokens_in,
                reply.tokens_out,
                cost_usd,
                agent_id=metadata.get("lc_agent_name") or "",
                session_id=_session(metadata),
                user_id=metadata.get(config.USER_ID, ""),
                attributes=_attributes(live),
                input=live.input,
                output=reply.text,
                error=error,
            )
        )

    def _current_names(self) -> Names:
        current = self._loop.configuration
        if current is not self._names.config:
            self._names = Names.of(current)
        return self._names

    def _served(self, live: LiveRun, reply: Reply, names: Names) -> str:
        if self._deployment is not None:
            named = self._asked(self._deployment, live, reply)
            if named:
                return named
        return served_deployment(live.metadata, live.metadata.get("ls_model_name") or "", reply.model, names.ids)

    def _operation_of(self, live: LiveRun, reply: Reply) -> str:
        operation = self._operation
        return operation if isinstance(operation, str) else self._asked(operation, live, reply)

    def _asked(self, function: Callable[[Call], str], live: LiveRun, reply: Reply) -> str:
        """The user's callable; where it fails the run is recorded without its answer."""
        try:
            asked = live.metadata.get("ls_model_name") or ""
            return function(Call(live.kind, live.name, live.metadata, asked, reply.model))
        except Exception as error:  # noqa: BLE001  # the host's guard: a run is worth more than its label
            self._count(error)
            return ""

    def _remember(self, decision_id: str, live: LiveRun, outcome: Outcome) -> None:
        if outcome in BLAMED:
            self._failed[decision_id] = (_text_id(live.run_id.hex), live.attempt)
            if len(self._failed) > _MAX_RETRIES:
                self._failed.popitem(last=False)
        elif self._failed:
            self._failed.pop(decision_id, None)

    def _count(self, error: Exception) -> None:
        name = type(error).__name__
        self._errors[name] = self._errors.get(name, 0) + 1
        level = logging.WARNING if self._errors[name] == 1 else logging.DEBUG
        log.log(level, "a LangChain run could not be recorded (counted as %s): %s", name, error, exc_info=level > 10)


def _take_ambient(run: LiveRun, context: Context) -> None:
    """The trace and span around a root, where there are any."""
    span = trace.get_current_span(context).get_span_context()
    if span.is_valid:
        run.ambient_trace, run.ambient_span = f"{span.trace_id:032x}", f"{span.span_id:016x}"


def _class_name(serialized: dict[str, Any] | None) -> str:
    return serialized.get("name") or "" if serialized else ""


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


def _text(value: object) -> str:
    """Input or output as text: of messages the whole conversation, of a state its last message."""
    if isinstance(value, Mapping) and value.get("messages"):
        value = value["messages"][-1]
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list) and value and isinstance(value[0], BaseMessage):
        return get_buffer_string(value)
    return str(getattr(value, "text", value))

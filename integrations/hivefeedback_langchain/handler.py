"""A callback handler that records every root, model, tool and retriever run of LangChain.

All callbacks run inline and do no I/O: a dict operation at the start, building a ``Run`` at the
end. A handler may be shared by all threads and tasks of a process. Content of prompts and answers
is read only with ``capture_content=True``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, get_buffer_string
from opentelemetry import trace
from opentelemetry.context import Context, get_current

from hivefeedback.model import Outcome
from hivefeedback_langchain.call import Call, RunSink
from hivefeedback_langchain.live import LiveRun, LiveRuns
from hivefeedback_langchain.outcome import is_interrupt, outcome_of_error
from hivefeedback_langchain.reply import MAX_TEXT, NO_REPLY, Reply, read_reply
from hivefeedback_langchain.runs import Runs

if TYPE_CHECKING:
    from langchain_core.documents import Document
    from langchain_core.outputs import LLMResult

__all__ = ["FeedbackCallbackHandler"]

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
        self._runs = Runs(loop, operation, deployment)
        self._captures = capture_content
        self._clock = clock
        self._live = LiveRuns(cap=cap, ttl_s=ttl_s)
        flights = getattr(loop, "flights", None)
        if flights is not None:
            flights.watch(self.in_flight)

    def __deepcopy__(self, memo: dict[int, Any]) -> FeedbackCallbackHandler:
        """Itself: a copied chain reports to the same loop."""
        return self

    @property
    def n_live(self) -> int:
        """Runs that have started and not ended."""
        return len(self._live)

    def in_flight(self) -> dict[str, int]:
        """Model calls under way per deployment; the loop asks this when it ranks by load."""
        return dict(Counter(self._runs.expected(run) for run in self._live.models()))

    @property
    def errors(self) -> Mapping[str, int]:
        """Errors of this handler by class name; the application never sees them."""
        return dict(self._runs.errors)

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
            if kind == "llm":
                self._runs.number_attempt(run, tags)
            if self._captures and kind:
                run.input = _text(content)[:MAX_TEXT]
            for gone in self._live.add(run):
                self._runs.finish(gone, "abandoned", NO_REPLY, "")
        except Exception as error:  # noqa: BLE001  # the host's guard: no error of ours reaches the application
            self._runs.count(error)

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
                self._runs.finish(run, reply.outcome, reply, "")
        except Exception as problem:  # noqa: BLE001  # the host's guard: no error of ours reaches the application
            self._runs.count(problem)

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
            self._runs.finish(run, outcome, reply, type(error).__name__ if error is not None else "")
        except Exception as problem:  # noqa: BLE001  # the host's guard: no error of ours reaches the application
            self._runs.count(problem)

    def _close_below(self, run: LiveRun, outcome: Outcome) -> None:
        """What still lives below an ended run gets no end of its own: it was cancelled with it."""
        below: Outcome = outcome if outcome in ("timeout", "abandoned") else "cancelled"
        for child in self._live.close(run):
            self._runs.finish(child, below, NO_REPLY, "")


def _take_ambient(run: LiveRun, context: Context) -> None:
    """The trace and span around a root, where there are any."""
    span = trace.get_current_span(context).get_span_context()
    if span.is_valid:
        run.ambient_trace, run.ambient_span = f"{span.trace_id:032x}", f"{span.span_id:016x}"


def _class_name(serialized: dict[str, Any] | None) -> str:
    return serialized.get("name") or "" if serialized else ""


def _text(value: object) -> str:
    """Input or output as text: of messages the whole conversation, of a state its last message."""
    if isinstance(value, Mapping) and value.get("messages"):
        value = value["messages"][-1]
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list) and value and isinstance(value[0], BaseMessage):
        return get_buffer_string(value)
    return str(getattr(value, "text", value))

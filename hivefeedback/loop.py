"""``FeedbackLoop``: the face of hivefeedback, a thin facade over the engine and control.

It is long since it is the public face: one method for each thing that can be asked for, each with
its meaning, units and errors. What can be asked for beside the application's calls stands in the
parts that it inherits, ``engine.changing``, ``turning``, ``asking``, ``listening`` and ``erasing``.
What the methods do lies in ``engine`` and ``control``.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from inspect import isawaitable
from os import PathLike
from types import TracebackType
from typing import Any, Literal, TypeVar

from hivefeedback.control import Turn
from hivefeedback.engine import Engine, TrackedRun, Tracking, new_identity
from hivefeedback.engine.asking import Asking
from hivefeedback.engine.assemble import (
    begin_strictly,
    begin_with_store,
    check_policy,
    make_bus,
    make_control,
    make_policy,
    make_registry,
    open_store,
)
from hivefeedback.engine.calling import MAX_ATTEMPTS, Attempts
from hivefeedback.engine.changing import Changing
from hivefeedback.engine.clocks import sound_clock
from hivefeedback.engine.closing import close_within
from hivefeedback.engine.erasing import Erasing
from hivefeedback.engine.flights import Flights
from hivefeedback.engine.lifetime import Lifetime
from hivefeedback.engine.listening import Listening
from hivefeedback.engine.memory import Indices
from hivefeedback.engine.passive import Passive, first_candidate
from hivefeedback.engine.prompts import Prompts
from hivefeedback.engine.quarantine import Quarantine
from hivefeedback.engine.turning import Turning
from hivefeedback.engine.voice import LoopVoice
from hivefeedback.errors import ConfigurationError
from hivefeedback.hooks import Policy, PolicyFactory, Store
from hivefeedback.hooks.guard import PluginInfo
from hivefeedback.model import OBSERVED, Adapter, Decision, Deployment, Feedback, Run
from hivefeedback.queries import InsightLimits, StatRow, Stats, query_runs
from hivefeedback.recording import Counters
from hivefeedback.serving import as_given
from hivefeedback.settings import Settings, insight_limits, load_settings, unknown_variables
from hivefeedback.settings.declared import declared_adapters, declared_deployments
from hivefeedback.stats import View

__all__ = ["FeedbackLoop", "Prompts", "StatRow", "Stats", "TrackedRun", "Turn"]

log = logging.getLogger(__name__)
T = TypeVar("T")
Mode = Literal["off", "observe", "advise", "act"]

_READ_AGAIN = frozenset({tuple, list, str})
"""Candidates that can be read a second time, where deciding fails; others are read first."""


class FeedbackLoop(Changing, Turning, Asking, Listening, Erasing):
    """Decides, records, learns, and changes the configuration with proof.

    ``decide``, ``record`` and ``feedback`` may be called from any thread or coroutine; they cost
    microseconds, never wait and never raise. What waits has an async twin (``aflush`` …).

    With a given ``clock`` the loop is deterministic and has no thread: what is recorded is learnt
    and committed before ``record`` returns.

    Args:
        store: URL of the store, such as ``sqlite:///hive.db``; default: the one of the settings.
        deployments: What can be drawn; ids are enough.
        prompts: Named prompts with ``{field}`` fields.
        policy: Name, instance, or factory taking a seed.
        plugins: Plugin objects beside those that are installed.
        mode: ``off``, ``observe``, ``advise`` or ``act``.
        seed: Of all draws; default: a new one.
        clock: Seconds since 1970 UTC.
        config: Path of a ``hivefeedback.yaml``.
        options: Options of plugins, by plugin name.
        adapters: LoRA adapters that may be put on a deployment; names are enough.
        settings: Any field of ``hivefeedback.settings.Settings``.

    Raises:
        ConfigurationError: A setting, plugin or declaration is wrong; the sentence names it.
        StoreError: Only with ``on_store_error="raise"``; else memory stands in and says so.
    """

    def __init__(
        self,
        store: str | None = None,
        deployments: Iterable[Deployment | str] | None = None,
        prompts: Mapping[str, str] | None = None,
        policy: str | Policy | PolicyFactory | None = None,
        plugins: Iterable[object] = (),
        mode: Mode | None = None,
        seed: int | None = None,
        clock: Callable[[], float] | None = None,
        *,
        config: str | PathLike[str] | None = None,
        options: Mapping[str, Mapping[str, object]] | None = None,
        adapters: Iterable[Adapter | str] | None = None,
        **settings: Any,
    ) -> None:
        name = policy if isinstance(policy, str) else None
        self.settings: Settings = load_settings(config, store=store, policy=name, mode=mode, seed=seed, **settings)
        self._counters = Counters()
        self.flights = Flights()
        self.prompts = Prompts(self._add_prompt, lambda: self.configuration, self._body)
        self._clock: Callable[[], float] = sound_clock(clock)
        self._is_inline = clock is not None
        self._is_closed = False
        self._policy_given = policy
        given = deployments if deployments is not None else self.settings.deployments
        declared = declared_deployments(given, self.settings.prices)
        texts = dict(_prompts(prompts) if prompts is not None else self.settings.prompts)
        self._passive = Passive(self.settings.mode, declared, texts)
        self._adapters = declared_adapters(adapters if adapters is not None else self.settings.adapters)
        self._insight_limits = InsightLimits(**insight_limits(self.settings.thresholds))
        self._memories = Indices()
        self._engine: Engine | None = None
        self._bus = make_bus(self.settings, self.counters, is_inline=self._is_inline)
        self._is_passive, self._run_prefix = True, "r"
        self.registry = make_registry(self.settings, is_inline=self._is_inline, options=options, plugins=plugins)
        if not self.settings.safety_checks:
            self.counters.note("safety_checks_off", "what the gates refuse is served all the same; for developers only")
        for sentence in unknown_variables([info.name for info in self.registry.plugins()]):
            log.warning("%s", sentence)
        self._open(declared, texts)

    def _open(self, declared: list[Deployment], texts: dict[str, str]) -> None:
        s = self.settings

        begin = partial(self._begin, declared=declared, texts=texts)
        if s.mode == "off":
            begin(open_store(self.registry, "memory://"))
            return
        check_policy(self.registry, self._wanted_policy)
        if s.on_store_error == "raise":
            begin_strictly(self.registry, s.store, begin)
        else:
            begin_with_store(self.registry, s.store, self.counters, begin)
        self._lifetime = Lifetime(self, self._after_fork, flush_s=s.exit_flush_s)
        voice = LoopVoice(say=self.feedback, note=self.counters.note, is_inline=self._is_inline)
        self.registry.give_voice(voice)

    def _begin(self, store: Store, *, declared: list[Deployment], texts: dict[str, str]) -> None:
        """Everything that is read and written at start."""
        self.store = store
        self._quarantine = Quarantine(self.registry, store)
        self._control = make_control(self.settings, store, self.registry, self._clock)
        if self.settings.mode == "off":
            return
        self._quarantine.follow()
        self._control.refresh()
        self._control.declare(declared, texts)
        self._control.declare_adapters(self._adapters)
        self._use(self._make_engine())

    def _use(self, engine: Engine) -> None:
        """Keep what the application's thread touches one attribute away."""
        self._engine = engine
        self._is_passive = self._is_inline
        self._ring, self._items, self._ring_free = engine.ring, engine.ring.items, engine.ring.free
        self._next_number, self._run_prefix = engine.numbers.__next__, engine.run_prefix
        engine.start()

    @property
    def _wanted_policy(self) -> str | Policy | PolicyFactory:
        return self._policy_given if self._policy_given is not None else self.settings.policy

    def _make_engine(self) -> Engine:
        s = self.settings
        seed = s.seed if s.seed is not None else (0 if self._is_inline else secrets.randbits(48))
        return Engine(
            s,
            self.registry,
            self.store,
            self._control,
            make_policy(self.registry, self._wanted_policy, seed),
            new_identity(self.store, is_deterministic=self._is_inline),
            seed=seed,
            clock=self._clock,
            is_inline=self._is_inline,
            counters=self.counters,
            bus=self._bus,
            on_poll=self._on_poll,
        )

    def _on_poll(self) -> None:
        """The committer's thread: follow what other processes said of plugins, and do approved work at once."""
        self._quarantine.follow()
        if self._turns is not None and self._control.has_work():
            self._turns.wake()

    def _after_fork(self) -> None:
        """In a forked child: threads are gone and ids would repeat, so the running parts are made anew."""
        if self._is_closed or self._engine is None:
            return
        self.registry.guard.renew()
        self._bus.renew()
        self.flights.clear()
        self._memories = Indices()
        try:
            self._control = make_control(self.settings, self.store, self.registry, self._clock)
            self._control.refresh()
            self._use(self._make_engine())
        except Exception as error:  # noqa: BLE001  # in the child of the host's fork: it must go on
            log.error("hivefeedback is off in a forked process: %s", error)
            self._engine, self._is_passive = None, True
        if self._turns is not None:
            self._begin_turns()

    # --- the application's thread -------------------------------------------------------------------

    def decide(
        self,
        operation: str,
        candidates: Sequence[str] | None = None,
        session_id: str | None = None,
        *,
        sticky: bool = True,
    ) -> Decision:
        """Pick what to serve a request with. Microseconds; never waits, never raises.

        Args:
            operation: What kind of work, a path such as ``text-to-text/medical``.
            candidates: Ids to choose from; default: what the route says, else all deployments.
            session_id: Unit of canaries, and of ``sticky``.
            sticky: Repeat the first draw of (session, operation) while that deployment is a
                candidate and its breaker closed.
        """
        engine = self._engine
        try:
            if engine is None or self._is_closed:
                reason = "closed" if self._is_closed else "off"
                return self._passive.decide(operation, candidates, reason, self._clock())
            if candidates is not None and candidates.__class__ not in _READ_AGAIN:
                candidates = as_given(candidates)  # read once, also where deciding fails
            if self._is_inline:
                return engine.decide(operation, candidates, session_id, sticky)
            return engine.decider.decide(operation, candidates, session_id, sticky)
        except Exception as error:  # noqa: BLE001  # the host's thread: the request goes on with the host's own choice
            self.counters.note("decide_failed", f"{type(error).__name__}: {error}")
            snapshot = engine.live.snapshot if engine is not None else self._passive.snapshot
            return first_candidate(snapshot, operation, candidates, "failed", time.time())

    def record(self, run: Run, *, durable: bool = False) -> str:
        """Take in a finished run; answers its id. Microseconds; never raises.

        Args:
            run: What happened.
            durable: Wait until it is committed (at most 10 s).
        """
        try:
            if self._is_passive:
                return self._record_passively(run)
            seq = self._next_number()
            items = self._items
            if (
                len(items) < self._ring_free or durable
            ):  # the ring's ``put``, written out: a call costs a third of all this
                items.append((seq, self._clock(), run))
                if self._ring.is_idle:
                    self._ring.wake()
            else:
                self._ring.put((seq, self._clock(), run))
            if durable and not self.flush(10.0):
                self.counters.note("not_durable", "the store did not take a durable run within 10 s; it is tried on")
            return run.run_id or f"{self._run_prefix}{seq}"
        except Exception as error:  # noqa: BLE001  # the host's thread: what it does must go on
            self.counters.note("record_failed", f"{type(error).__name__}: {error}")
            return ""

    def _record_passively(self, run: Run) -> str:
        """Inline loops learn at once; without an engine a run has an id and nothing else happens."""
        engine = self._engine
        if engine is None or self._is_closed:
            if self._is_closed:
                self.counters.note("after_close", "record() was called on a closed loop: the run has an id and is lost")
            return run.run_id or self._new_run_id()
        seq = engine.put(run)
        return run.run_id or f"{self._run_prefix}{seq}"

    def feedback(self, feedback: Feedback) -> None:
        """Take in a signal about a run, however late. Microseconds; never raises."""
        engine = self._engine
        try:
            if engine is None or self._is_closed:
                if self._is_closed:
                    self.counters.note("after_close", "feedback() was called on a closed loop: the feedback is lost")
                return
            engine.put(feedback)
        except Exception as error:  # noqa: BLE001  # the host's thread: what it does must go on
            self.counters.note("feedback_failed", f"{type(error).__name__}: {error}")

    def _new_run_id(self) -> str:
        return f"{self._run_prefix}{next(self._engine.numbers if self._engine else self._passive.numbers)}"

    def track(
        self,
        deployment: str,
        operation: str = "",
        *,
        decision: Decision | str | None = None,
        kind: str = "llm",
        agent_id: str = "",
        session_id: str = "",
        user_id: str = "",
        trace_id: str = "",
    ) -> Tracking:
        """Record a run around a block: ``with loop.track("a", operation="x") as run: ...``.

        Also ``async with``. An exception is recorded as the outcome that its type stands for and
        raised on. Of a ``decision`` the operation and the session are taken over; its id alone is enough
        to learn from, and says neither.
        """
        decided = decision if isinstance(decision, Decision) else None
        if decided is None and not isinstance(decision, str | None):
            self.counters.note("bad_decision", f"it is a {type(decision).__name__}; expected a Decision or its id")
        template = Run(
            deployment,
            operation if decided is None or operation else decided.operation,
            kind=kind,
            decision_id=decided.decision_id if decided else decision if isinstance(decision, str) else "",
            decided_deployment=(decided.deployment or "") if decided else "",
            agent_id=agent_id,
            session_id=session_id if decided is None or session_id else decided.session_id or "",
            user_id=user_id,
            trace_id=trace_id,
        )
        return Tracking(
            self.record,
            self._clock,
            run_id=self._new_run_id(),
            template=template,
            flights=self.flights,
            note=self.counters.note,
        )

    def log_run(
        self, models_used: Iterable[str], success_flag: bool, latency_ms: float | None = None, domain: str = ""
    ) -> str:
        """Record a query as LLMHive told it; answers the id of its root run. Never raises.

        It becomes a root run with the latency and the flag, and one llm run below it per model, since
        neither is that of each model (``hivefeedback.queries.llmhive``).

        Args:
            models_used: Ids of the deployments that had a part in the answer.
            success_flag: Whether the answer passed the fact check or the quality assessment.
            latency_ms: Of the whole query, in milliseconds.
            domain: Such as ``medical``, which is the operation ``text-to-text/medical``.
        """
        try:
            query = query_runs(self._new_run_id(), models_used, success_flag, latency_ms, domain)
        except Exception as error:  # noqa: BLE001  # the host's thread: what it does must go on
            self.counters.note("record_failed", f"{type(error).__name__}: {error}")
            return ""
        for run in query.runs:
            self.record(run)
        self.feedback(query.feedback)
        return query.runs[-1].run_id

    def call(
        self,
        fn: Callable[[Decision], T],
        operation: str,
        *,
        candidates: Sequence[str] | None = None,
        session_id: str | None = None,
        max_attempts: int = MAX_ATTEMPTS,
    ) -> T:
        """Decide, call ``fn(decision)``, record each attempt; on failure the next best, up to
        ``max_attempts`` in all. Returns what ``fn`` returned; re-raises the last exception."""
        attempts = self._attempts(operation, candidates, session_id, max_attempts)
        while True:
            with attempts.next() as decision:
                return attempts.answered(fn(decision))

    async def acall(
        self,
        fn: Callable[[Decision], Awaitable[T]],
        operation: str,
        *,
        candidates: Sequence[str] | None = None,
        session_id: str | None = None,
        max_attempts: int = MAX_ATTEMPTS,
    ) -> T:
        """The same for an async ``fn``; what a plain one answers is the answer."""
        attempts = self._attempts(operation, candidates, session_id, max_attempts)
        while True:
            with attempts.next() as decision:
                answer = fn(decision)
                return await answer if isawaitable(answer) else answer

    def _attempts(
        self, operation: str, candidates: Sequence[str] | None, session_id: str | None, max_attempts: int
    ) -> Attempts:
        decision = self.decide(operation, candidates, session_id)
        note = self.counters.note
        return Attempts(self.record, self._clock, self._new_run_id, decision, max_attempts, self.flights, note)

    # --- waiting --------------------------------------------------------------------------------------

    def flush(self, timeout_s: float | None = 30.0) -> bool:
        """Wait until everything recorded so far is learnt and committed; False where time ran out."""
        if self._engine is None or self._is_closed:
            return True
        return self._engine.flush(timeout_s)

    async def aflush(self, timeout_s: float | None = 30.0) -> bool:
        """The same without blocking the event loop."""
        return await asyncio.to_thread(self.flush, timeout_s)

    # --- looking ----------------------------------------------------------------------------------------------

    def view(self, window_s: float = 86400.0) -> View:
        """The aggregates of the last ``window_s`` seconds, for your own sums: see ``hivefeedback.stats.View``.

        Up to a day (or ``turn_window_s``) is kept current in this process and answered in milliseconds,
        but for the first time; a longer window is read from the store.
        """
        self._check_open()
        self.flush(1.0)
        return self._control.view(window_s)

    def observed(self) -> dict[str, list[str]]:
        """Deployments that served runs without being declared → operations seen in this process."""
        self._check_open()
        self.flush(1.0)
        here = self._engine.recorder.observed if self._engine else {}
        known = {r.key: list[str]() for r in self.store.state.list(OBSERVED)}
        known.update({name: sorted(operations) for name, operations in here.items()})
        return {name: seen for name, seen in known.items() if name not in self.configuration.deployments}

    @property
    def counters(self) -> Counters:
        """What went wrong, by name: what was lost, bad or left out. As of now, also while the recorder hangs."""
        if self._engine is not None:
            self._engine.drops.count()
        return self._counters

    def plugins(self) -> list[PluginInfo]:
        """All plugins with origin, state and errors, the broken ones too."""
        return self.registry.plugins()

    def enable_plugin(self, name: str) -> None:
        """Put a quarantined plugin back into service, in every process."""
        self._quarantine.end(name)

    # --- the end ----------------------------------------------------------------------------------------------------

    def close(self, timeout_s: float = 10.0) -> None:
        """Learn and commit what waits, give the lease back, end the threads. Again: nothing."""
        if self._is_closed:
            return
        end = time.monotonic() + timeout_s
        if self._turns is not None:
            self._turns.stop(timeout_s)
        engine = self._engine
        if engine is not None:
            self._passive.snapshot = engine.live.snapshot  # what was served last is served on
        self._is_closed = self._is_passive = True
        if engine is not None:
            self._lifetime.end()
            engine.stop(max(0.1, end - time.monotonic()))
        self._bus.close(max(0.1, (end - time.monotonic()) / 2))  # a subscriber that hangs leaves time for the rest
        close_within(
            max(0.1, end - time.monotonic()),
            {
                "dead letters could not be written": engine.beside.put_last_letters if engine is not None else bool,
                "the lease could not be given back": self._control.close,
                "a plugin's thread did not end": self.registry.close,
                "the store could not be closed": self.store.close,
            },
        )

    async def aclose(self, timeout_s: float = 10.0) -> None:
        """The same without blocking the event loop."""
        await asyncio.to_thread(self.close, timeout_s)

    def __enter__(self) -> FeedbackLoop:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> FeedbackLoop:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _prompts(given: object) -> Mapping[str, str]:
    """Their texts are checked where they are declared."""
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise ConfigurationError(
            f"prompts are {given!r:.100}; expected a mapping, such as {{'answer': 'Answer {{q}}.'}}"
        )
    return given

"""Calls a plugin so that it can only cost its own answer: guarded, timed, counted, named."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from hivefeedback.errors import HookTimeoutError, PluginError

__all__ = ["Guard", "PluginInfo"]

log = logging.getLogger(__name__)
T = TypeVar("T")

MAX_ABANDONED = 4
"""Hanging threads that are tolerated; after that only built-in plugins are called."""


@dataclass(slots=True, kw_only=True)
class PluginInfo:
    """What is known of one plugin.

    ``state`` is ``ok``, ``broken`` (it did not load) or ``quarantined`` (too many errors in a
    row, or it hung); ``origin`` is its distribution and version, or ``passed``; ``note`` is what the
    plugin says of itself that people should know (its attribute ``note``), such as that it only
    pretends to do something.
    """

    name: str
    origin: str = "passed"
    is_builtin: bool = False
    state: Literal["ok", "broken", "quarantined"] = "ok"
    errors: int = 0
    errors_in_row: int = 0
    last_error: str = ""
    hooks: tuple[str, ...] = ()
    note: str = ""


class Guard:
    """Runs callables of plugins and keeps the score of their errors.

    Args:
        max_errors: Errors in a row after which a plugin is quarantined.
        is_inline: Call on the caller's thread without a timeout (a loop with a given clock).
        on_quarantine: Told the plugin's info when it is quarantined.
    """

    def __init__(self, *, max_errors: int = 5, is_inline: bool = False) -> None:
        self._max_errors = max_errors
        self._is_inline = is_inline
        self._worker: _Worker | None = None
        self._n_abandoned = 0
        self._lock = threading.Lock()
        self.on_quarantine: Callable[[PluginInfo], None] = lambda info: None

    def call(self, info: PluginInfo, what: str, call: Callable[[], T], *, timeout_s: float, default: T) -> T:
        """The call's answer, or ``default`` where the plugin is out of service, raised or hung."""
        if info.state != "ok" or (self._n_abandoned >= MAX_ABANDONED and not info.is_builtin):
            return default
        try:
            answer = call() if self._is_inline or info.is_builtin else self._timed(call, timeout_s, what)
        except HookTimeoutError as error:
            self._count(info, what, error, is_final=True)
            return default
        except (Exception, SystemExit) as error:  # noqa: BLE001  # the plugin guard: what a plugin raises ends here
            self._count(info, what, error)
            return default
        info.errors_in_row = 0
        return answer

    def _timed(self, call: Callable[[], T], timeout_s: float, what: str) -> T:
        with self._lock:
            worker = self._worker or _Worker()
            self._worker = None
        try:
            answer = worker.run(call, timeout_s)
        except HookTimeoutError:
            with self._lock:
                self._n_abandoned += 1
            raise HookTimeoutError(f"{what} did not return within {timeout_s:g} s") from None
        finally:
            if worker.is_free:
                self._give_back(worker)
        return answer

    def _give_back(self, worker: _Worker) -> None:
        with self._lock:
            spare, self._worker = self._worker, worker
        if spare is not None:
            spare.stop()

    def _count(self, info: PluginInfo, what: str, error: BaseException, *, is_final: bool = False) -> None:
        info.errors += 1
        info.errors_in_row += 1
        info.last_error = f"{what}: {type(error).__name__}: {error}"[:500]
        if info.errors_in_row == 1:
            log.warning("plugin %r failed in %s: %s", info.name, what, info.last_error)
        if is_final or info.errors_in_row >= self._max_errors:
            info.state = "quarantined"
            log.warning(
                "plugin %r is quarantined; after mending it: hivefeedback plugins enable %s", info.name, info.name
            )
            self.on_quarantine(info)

    def renew(self) -> None:
        """In a forked child: no thread is there, the hanging ones neither, and the lock may be held for ever."""
        self._lock, self._worker, self._n_abandoned = threading.Lock(), None, 0

    def close(self) -> None:
        """Let the worker thread end."""
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()


class _Worker:
    """One daemon thread that runs one call at a time; abandoned when a call hangs."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], object], queue.SimpleQueue[tuple[bool, object]]] | None]
        self._calls = queue.SimpleQueue()
        self.is_free = True
        threading.Thread(target=self._serve, name="hivefeedback-hook", daemon=True).start()

    def run(self, call: Callable[[], T], timeout_s: float) -> T:
        answers: queue.SimpleQueue[tuple[bool, object]] = queue.SimpleQueue()
        self.is_free = False
        self._calls.put((call, answers))
        try:
            is_good, value = answers.get(timeout=timeout_s)
        except queue.Empty:
            self._calls.put(None)  # should it ever come back, it ends
            raise HookTimeoutError from None
        self.is_free = True
        if not is_good:
            raise value if isinstance(value, Exception) else PluginError(repr(value))
        return value  # type: ignore[return-value]  # the queue holds what ``call`` returned

    def stop(self) -> None:
        self._calls.put(None)

    def _serve(self) -> None:
        while (job := self._calls.get()) is not None:
            call, answers = job
            try:
                answers.put((True, call()))
            except BaseException as error:  # noqa: BLE001  # background thread: handed to the waiting caller
                answers.put((False, error))

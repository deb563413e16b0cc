"""``hivefeedback worker``: run the turns, and keep the store in order, in a process that serves nothing."""

from __future__ import annotations

import math
import queue
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

from hivefeedback.cli.answer import Answer, plain_data
from hivefeedback.cli.call import Call
from hivefeedback.cli.console import out, say
from hivefeedback.cli.exits import DONE, INTERRUPTED
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.words import clock_time, count
from hivefeedback.errors import InvalidInputError

if TYPE_CHECKING:
    from hivefeedback.loop import FeedbackLoop, Turn

__all__ = ["SPEC"]

_LOOK_S: Final = 0.2
"""How soon a signal is noticed: a wait goes on after its handler ran."""
_FINISH_S: Final = 8.0
"""How long the end waits for a turn; service managers kill after ten seconds or more."""
_AT_ONCE_S: Final = 0.5
_AGAIN_S: Final = 0.5
"""A second signal after so long is a second wish."""


class _Ended(BaseException):
    """The worker was told to end a second time, and no longer waits for anything. No guard of a plugin takes
    it for the plugin's own error."""


class _Signals:
    """Ctrl-C and SIGTERM, as something to look at."""

    def __init__(self) -> None:
        self.code: int | None = None
        self._since_s = 0.0

    def __call__(self, number: int, frame: object) -> None:
        now_s = time.monotonic()
        if self.code is None:
            self.code, self._since_s = INTERRUPTED if number == signal.SIGINT else DONE, now_s
        elif now_s - self._since_s >= _AGAIN_S:  # sooner it is the same one: to the process, and to its group
            self._since_s = math.inf
            raise _Ended

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catch them inside of the block."""
        before = {number: signal.signal(number, self) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run(call: Call) -> Answer:
    """Run turns until somebody says that it is enough."""
    every_s, for_s = _seconds(call, "every"), _seconds(call, "for")
    signals = _Signals()
    given: dict[str, Any] = {"mode": call.args.mode, "deployments": (), "prompts": {}, "adapters": ()}
    with signals.caught():
        try:
            with call.loop(may_create=True, is_told=False, **given) as loop:
                _until_told(call, loop, signals, every_s, for_s)
        except _Ended:  # also while the store is being opened
            say("what was in progress was abandoned")
    return Answer(code=signals.code or DONE)


def _until_told(call: Call, loop: FeedbackLoop, signals: _Signals, every_s: float | None, for_s: float | None) -> None:
    try:
        _work(call, loop, signals, every_s, for_s)
        loop.close(_FINISH_S)
    except _Ended:
        loop.close(_AT_ONCE_S)
        raise


def _work(call: Call, loop: FeedbackLoop, signals: _Signals, every_s: float | None, for_s: float | None) -> None:
    """The first turn at once, so that a store that cannot be used ends the command; then one after the other."""
    end_s = time.monotonic() + (for_s if for_s is not None else math.inf)
    told: queue.SimpleQueue[Turn] = queue.SimpleQueue()
    turn = loop.turn()
    _tell(call, turn)
    if call.args.once:
        loop.tidy()
        loop.flush(_FINISH_S)
        return
    loop.start(every_s, on_turn=told.put)
    while signals.code is None and time.monotonic() < end_s:
        try:
            turn = told.get(timeout=max(0.0, min(_LOOK_S, end_s - time.monotonic())))
        except queue.Empty:
            continue
        _tell(call, turn)


def _tell(call: Call, turn: Turn) -> None:
    at_s = call.clock()
    if call.is_json:
        out(msgspec.json.encode({"at_s": at_s, "store": call.store_url, **plain_data(turn)}).decode())
    else:
        out(f"{clock_time(at_s)} {_line(turn)}")


def _line(turn: Turn) -> str:
    """What a turn did, in a line.

    >>> from hivefeedback.control import Turn
    >>> _line(Turn(turn_id="t-1.1", leader=True, mode="act"))
    't-1.1: leads, nothing to do'
    """
    if not turn.leader:
        return f"{turn.turn_id}: another process leads"
    parts: list[tuple[str, Sequence[object]]] = [
        ("findings", turn.findings),
        ("planned", turn.plan.mutations),
        ("begun", turn.receipts),
        ("watched", turn.outcomes),
    ]
    said = [f"{name} {count(len(things))}" for name, things in parts if things]
    ended = [f"{o.rollout_id} {o.decided.replace('_', ' ')}" for o in turn.outcomes if o.decided != "continue"]
    return f"{turn.turn_id}: leads, {', '.join([*said, *ended]) or 'nothing to do'}"


def _seconds(call: Call, name: str) -> float | None:
    given: float | None = getattr(call.args, name)
    if given is not None and not 0 < given < math.inf:
        raise InvalidInputError(f"--{name} is {given:g}; expected seconds above 0")
    return given


SPEC: Final = Spec(
    name="worker",
    help="run the turns and keep the store in order, beside applications",
    run=run,
    writes_as_it_goes=True,
    arguments=(
        arg("--once", action="store_true", help="one turn, then end; for a scheduled job"),
        arg("--every", type=float, metavar="SECONDS", help="between two turns; default: turn_every_s"),
        arg("--for", type=float, metavar="SECONDS", help="end after so long; default: when it is told to"),
        arg(
            "--mode",
            choices=("observe", "advise", "act"),
            help="observe: analyze only; advise: all but execute; act: all; default: the setting",
        ),
    ),
    details=(
        "A worker serves nothing and declares nothing. It runs the turn, compacts the store, drops or archives what "
        "is due, and takes over what processes that are gone left, such as feedback that waits for its run. Start "
        "several where one may die: one leads, and another takes over within lease_s (15 s). Applications beside it "
        "call no start() then. Ctrl-C and SIGTERM let the turn in progress end, and give the lease back; the second "
        "one does not wait."
    ),
)

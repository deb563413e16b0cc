"""Dead letters are listed, tried again through the normal door, and erased with what they are about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from hivefeedback.engine.bus.bus import Bus
from hivefeedback.errors import UnknownNameError
from hivefeedback.hooks import EventLog, Selector, State, Store
from hivefeedback.hooks.named import run_named
from hivefeedback.model import DEAD_LETTER, DeadLetter, Feedback, Run, decoded
from hivefeedback.recording import letter_key, why_refused

__all__ = ["Doors", "Retried", "dead_letter", "dead_letters", "erase_letters", "retry"]


class Retried(Struct, frozen=True):
    """What became of a dead letter that was tried again; ``reason`` says why where it is still one."""

    letter_id: str
    is_done: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """What comes in takes these.

    Args:
        record: Takes in a run.
        feedback: Takes in feedback.
        flush: Waits until it is learnt and stored; False where time ran out.
        bus: Knows the subscribers of this process.
        now_s: Seconds since 1970 UTC.
    """

    record: Callable[[Run], str]
    feedback: Callable[[Feedback], None]
    flush: Callable[[], bool]
    bus: Bus
    now_s: float


def dead_letters(state: State) -> list[DeadLetter]:
    """All that are kept, the oldest first."""
    found = (_read(record.value) for record in state.list(DEAD_LETTER))
    return sorted((letter for letter in found if letter), key=lambda letter: (letter.at_s, letter.letter_id))


def dead_letter(state: State, letter_id: str) -> DeadLetter:
    """One of them.

    Raises:
        UnknownNameError: There is none of that name.
    """
    record = state.get(DEAD_LETTER, letter_key(letter_id))
    letter = _read(record.value) if record is not None else None
    if letter is None or letter.letter_id != letter_id:
        raise UnknownNameError("dead letter", letter_id, [known.letter_id for known in dead_letters(state)])
    return letter


def _read(value: bytes) -> DeadLetter | None:
    try:
        return decoded(value, DeadLetter)
    except msgspec.DecodeError:
        return None  # a newer version's


def retry(store: Store, letter: DeadLetter, doors: Doors) -> Retried:
    """Try it again, and remove the letter where that went well.

    It comes in under the id or key that it had, so that trying it twice counts once.
    """
    reason = _RETRIES[letter.cause](store.log, letter, doors)
    if reason is None and not doors.flush():
        reason = "the store did not take it in time; try again"
    if reason is None:
        store.state.delete(DEAD_LETTER, letter_key(letter.letter_id))
    return Retried(letter.letter_id, reason is None, reason or "")


def _retry_refused(log: EventLog, letter: DeadLetter, doors: Doors) -> str | None:
    """None where it was told again, else why not; the same for those that follow."""
    try:
        thing = _thing(letter)
    except msgspec.ValidationError as error:
        return f"still refused: {error}"
    still = why_refused(thing, doors.now_s)
    if still is not None:
        return f"still refused: {still}"
    if isinstance(thing, Run):
        doors.record(replace(thing, run_id=thing.run_id or letter.letter_id))
    else:
        doors.feedback(replace(thing, idempotency_key=thing.idempotency_key or letter.letter_id))
    return None


def _thing(letter: DeadLetter) -> Run | Feedback:
    body = {"type": letter.kind, **(letter.body or {})}
    return msgspec.convert(body, Run | Feedback)


def _retry_unmatched(log: EventLog, letter: DeadLetter, doors: Doors) -> str | None:
    stored = log.find(letter.event_id)
    feedback = stored.body if stored is not None else None
    if not isinstance(feedback, Feedback):
        return "the log does not hold the feedback any more"
    if run_named(log, feedback) is None:
        return "its run is still not known"
    doors.feedback(replace(feedback, idempotency_key=feedback.idempotency_key or letter.event_id))
    return None


def _retry_subscriber(log: EventLog, letter: DeadLetter, doors: Doors) -> str | None:
    subscription, event = doors.bus.named(letter.subscriber), log.find(letter.event_id)
    if subscription is None:
        return f"no subscriber {letter.subscriber!r} in this process; retry it in the one that has it"
    if event is None:
        return "the log does not hold the event any more"
    try:
        subscription.tell(event)
    except Exception as error:  # noqa: BLE001  # the plugin guard: a subscriber is a stranger's code
        return f"it fails still: {type(error).__name__}: {error}"
    return None


def _retry_lost(log: EventLog, letter: DeadLetter, doors: Doors) -> str | None:
    return f"nothing is left of what was lost: {letter.reason}"


_RETRIES: dict[str, Callable[[EventLog, DeadLetter, Doors], str | None]] = {
    "refused": _retry_refused,
    "unmatched": _retry_unmatched,
    "subscriber": _retry_subscriber,
    "lost": _retry_lost,
}


def erase_letters(store: Store, selector: Selector) -> int:
    """Remove those that are about what was erased, or whose event is not in the log any more; how many."""
    gone = [letter for letter in dead_letters(store.state) if _is_about(letter, selector) or _is_bare(store, letter)]
    return sum(store.state.delete(DEAD_LETTER, letter_key(letter.letter_id)) for letter in gone)


def _is_about(letter: DeadLetter, selector: Selector) -> bool:
    if selector.user is not None or (letter.body is None and selector.before_s is None):
        return False
    if selector.before_s is not None and not letter.at_s < selector.before_s:
        return False
    asked = {"deployment": selector.deployment, "agent_id": selector.agent, "session_id": selector.session}
    body = letter.body or {}
    return all(value is None or body.get(name) == value for name, value in asked.items())


def _is_bare(store: Store, letter: DeadLetter) -> bool:
    return bool(letter.event_id) and store.log.find(letter.event_id) is None

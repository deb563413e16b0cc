"""What comes in is checked here, in the recorder: a bad field costs itself, never the caller.

Each defect is counted under a name; the rest of the item is kept.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from math import isfinite
from typing import Any

from msgspec.structs import replace

from hivefeedback.model import INVERTED, OUTCOMES, Feedback, Run, has_value
from hivefeedback.model.ids import MAX_ID, clean_id
from hivefeedback.recording.counters import Counters

__all__ = [
    "MAX_AHEAD_S",
    "MAX_COST_USD",
    "MAX_COUNT",
    "MAX_DURATION_S",
    "MAX_ID",
    "Intake",
    "clean_id",
    "cut",
]

MAX_DURATION_S = 30 * 86400.0
MAX_COST_USD = 1e6
MAX_COUNT = 1 << 40
_MEASURES = (
    ("duration_s", MAX_DURATION_S),
    ("ttft_s", MAX_DURATION_S),
    ("cost_usd", MAX_COST_USD),
    ("memory_mb", 1e9),
)
"""Measures of a run and the largest value that is believed."""
_MAX_ATTRIBUTES = 64
MAX_AHEAD_S = 86400.0
_OUTCOMES = frozenset(OUTCOMES)
_RUN_IDS = (
    "deployment", "operation", "kind", "run_id", "trace_id", "span_id", "parent_id", "response_id", "decision_id",
    "decided_deployment", "retry_of", "agent_id", "session_id", "user_id", "error",
)  # fmt: skip
_FEEDBACK_IDS = (
    "name", "source", "idempotency_key", "run_id", "trace_id", "decision_id", "response_id", "session_id",
    "agent_id", "deployment", "operation",
)  # fmt: skip


class Intake:
    """Checks runs and feedback.

    Args:
        counters: Where defects are counted.
        user_key: Key of the store under which user ids are hashed.
        max_comment_bytes: Longer comments and corrections are cut.
    """

    def __init__(self, counters: Counters, *, user_key: bytes, max_comment_bytes: int) -> None:
        self._counters, self._user_key, self._max_comment_bytes = counters, user_key, max_comment_bytes

    def run(self, run: Run, now_s: float) -> Run | None:
        """The run with its defects mended, or None where nothing of it can be used."""
        if _is_clean(run, now_s):
            return run
        changes: dict[str, Any] = {}
        for name in _RUN_IDS:
            value = getattr(run, name)
            if value.__class__ is not str or len(value) > MAX_ID or not value.isascii():
                changes[name] = clean_id(value)
        if not run.deployment:
            self._counters.note("bad_run_without_deployment")
            return None
        if not isinstance(run.outcome, str) or run.outcome not in _OUTCOMES:
            self._counters.note("bad_outcome", f"{run.outcome!r} is not one of {', '.join(OUTCOMES)}")
            changes["outcome"] = "internal"
        user_id = changes.get("user_id", run.user_id)
        if user_id:
            changes["user_id"] = self.hash_user(user_id)
        self._numbers(run, changes)
        started = run.started_at_s
        if started is not None and not (_is_number(started) and 0 < started < now_s + MAX_AHEAD_S):
            self._counters.note("bad_started_at")
            changes["started_at_s"] = now_s
        elif started is not None:
            changes["started_at_s"] = float(started)
        if run.attributes.__class__ is not dict or run.attributes:
            changes["attributes"] = self.attributes(run.attributes)
        if run.prompts.__class__ is not tuple or run.prompts:
            changes["prompts"] = self._names(run.prompts)
        return replace(run, **changes) if changes else run

    def _numbers(self, run: Run, changes: dict[str, Any]) -> None:
        for name, most in _MEASURES:
            value = getattr(run, name)
            if value is None:
                continue
            if not (_is_number(value) and 0 <= value <= most):
                self._drop(name, changes)
            elif value.__class__ is not float:
                changes[name] = float(value)
        for name in ("tokens_in", "tokens_out"):
            value = getattr(run, name)
            if value is None:
                continue
            if not (_is_number(value) and 0 <= value <= MAX_COUNT):
                self._drop(name, changes)
            elif value.__class__ is not int:
                changes[name] = int(value)
        if run.attempt.__class__ is not int or run.attempt < 1:
            self._drop("attempt", changes, 1)

    def _drop(self, name: str, changes: dict[str, Any], instead: object = None) -> None:
        self._counters.note(f"bad_{name}")
        changes[name] = instead

    def attributes(self, attributes: object) -> dict[str, str | int | float | bool]:
        """Small facts as they are stored: at most 64 texts, numbers and truth values."""
        if not isinstance(attributes, Mapping):
            if attributes is not None:
                self._counters.note("bad_attributes")
            return {}
        kept: dict[str, str | int | float | bool] = {}
        for key, value in list(attributes.items())[:_MAX_ATTRIBUTES]:
            if isinstance(value, str):
                kept[clean_id(key)] = clean_id(value)
            elif isinstance(value, bool) or (_is_number(value) and abs(value) < 1 << 53):
                kept[clean_id(key)] = value if isinstance(value, int) else float(value)
            else:
                self._counters.note("bad_attribute")
        if len(attributes) > _MAX_ATTRIBUTES:
            self._counters.note("bad_attribute", f"more than {_MAX_ATTRIBUTES}")
        return kept

    def _names(self, names: object) -> tuple[str, ...]:
        """Names of prompts as they are stored: at most 64 texts."""
        if not isinstance(names, list | tuple | set | frozenset):
            self._counters.note("bad_prompts")
            return ()
        return tuple(sorted({clean_id(name) for name in names if isinstance(name, str)}))[:_MAX_ATTRIBUTES]

    def feedback(self, feedback: Feedback) -> Feedback | None:
        """The feedback with ``value`` in [0, 1], or None where it says nothing that can be used. A comment alone
        has no value; without a name of its own it is called ``comment``, since it is no rating."""
        changes: dict[str, Any] = {}
        for name in _FEEDBACK_IDS:
            value = getattr(feedback, name)
            if value.__class__ is not str or len(value) > MAX_ID or not value.isascii():
                changes[name] = clean_id(value)
        if not changes.get("name", feedback.name):
            changes["name"] = "rating"
        for name in ("comment", "correction"):
            text = getattr(feedback, name)
            if text.__class__ is not str or text:
                changes[name] = self._text(text)
        is_remark = bool(changes.get("comment")) and not has_value(feedback)
        if is_remark and changes.get("name", feedback.name) == "rating":
            changes["name"] = "comment"
        value = None if is_remark else self._value(changes.get("name", feedback.name), feedback)
        if value is None and not is_remark:
            return None
        rating = feedback.rating
        if rating is not None:
            changes["rating"] = float(rating) if _is_number(rating) and 1 <= rating <= 5 else None
        changes["value"] = value
        return replace(feedback, **changes)

    def _value(self, name: str, feedback: Feedback) -> float | None:
        value, rating = feedback.value, feedback.rating
        if value is None and rating is not None:
            if not (_is_number(rating) and 1 <= rating <= 5):
                self._counters.note("bad_rating", f"{rating!r} is not between 1 and 5")
                return None
            return (float(rating) - 1) / 4
        if value is None and (name in INVERTED or feedback.correction):
            return 1.0  # the fact alone counts
        if isinstance(value, bool):
            return float(value)
        if value is None:
            self._counters.note("bad_feedback_value", f"{name!r} has neither a value, a rating nor a comment")
            return None
        if not (_is_number(value) and 0 <= value <= 1):
            self._counters.note("bad_feedback_value", f"{name!r} is {value!r:.100}; expected a number in [0, 1]")
            return None
        return float(value)

    def _text(self, text: object) -> str:
        data = ("" if text is None else str(text)).encode("utf-8", "replace")
        if len(data) > self._max_comment_bytes:
            self._counters.note("comment_cut", f"longer than {self._max_comment_bytes} bytes")
            data = data[: self._max_comment_bytes]
        return data.decode("utf-8", "ignore")

    def hash_user(self, user_id: str) -> str:
        """A user id as it is stored."""
        return hmac.new(self._user_key, user_id.encode(), hashlib.sha256).hexdigest()[:32]


def cut(feedback: Feedback, max_bytes: int) -> Feedback:
    """The feedback with texts that are not much longer than what is kept; so that a book does not wait in
    memory, on the caller's thread. What is still too long is counted when it is taken in."""
    long = {
        name: text[: max_bytes + 1]
        for name in ("comment", "correction")
        if isinstance(text := getattr(feedback, name), str) and len(text) > max_bytes
    }
    return replace(feedback, **long) if long else feedback


def _is_clean(run: Run, now_s: float) -> bool:
    """True where nothing has to be mended: the common case, told by one join and a few comparisons.

    NaN fails every comparison, and a value of a wrong type raises.
    """
    try:
        ids = "".join((
            run.deployment, run.operation, run.kind, run.run_id, run.trace_id, run.span_id, run.parent_id,
            run.response_id, run.decision_id, run.decided_deployment, run.retry_of, run.agent_id, run.session_id,
            run.error,
        ))  # fmt: skip
        return (
            ids.isascii()
            and len(ids) <= MAX_ID
            and run.deployment != ""
            and run.outcome in _OUTCOMES
            and run.user_id == ""
            and run.attributes == {}
            and run.prompts == ()
            and (
                run.duration_s is None or (run.duration_s.__class__ is float and 0 <= run.duration_s <= MAX_DURATION_S)
            )
            and (run.tokens_in is None or (run.tokens_in.__class__ is int and 0 <= run.tokens_in <= MAX_COUNT))
            and (run.tokens_out is None or (run.tokens_out.__class__ is int and 0 <= run.tokens_out <= MAX_COUNT))
            and (run.cost_usd is None or (run.cost_usd.__class__ is float and 0 <= run.cost_usd <= MAX_COST_USD))
            and (run.ttft_s is None or (run.ttft_s.__class__ is float and 0 <= run.ttft_s <= MAX_DURATION_S))
            and run.memory_mb is None
            and (
                run.started_at_s is None
                or (run.started_at_s.__class__ is float and 0 < run.started_at_s < now_s + MAX_AHEAD_S)
            )
            and run.attempt.__class__ is int
            and run.attempt >= 1
        )
    except TypeError:
        return False


def _is_number(value: object) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)

"""Wire schema v1: five types of event under one envelope.

It cannot be added to old logs later, so it is complete from the first day. Fields that this
version does not know survive a round trip in ``Event.unknown``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec
from msgspec import UNSET, Struct, UnsetType

from hivefeedback.errors import StoreCorruptError, StoreVersionError
from hivefeedback.model.decision import Assignment
from hivefeedback.model.feedback import Feedback, Score
from hivefeedback.model.offer import Exclusion
from hivefeedback.model.run import Run

__all__ = [
    "SCHEMA_VERSION",
    "Alarm",
    "BatchCommitted",
    "Body",
    "CandidateSetSeen",
    "ConfigurationPublished",
    "Control",
    "DecisionRecord",
    "Erased",
    "Event",
    "EventsDropped",
    "FeedbackFound",
    "LearningShared",
    "LearntElsewhere",
    "SegmentStarted",
    "SharedRow",
    "SystemSample",
    "WeightsRefreshed",
    "What",
    "decode_event",
    "encode_event",
]

SCHEMA_VERSION: Final = 1


class DecisionRecord(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag="decision"):
    """A decision as it is logged; its id is the envelope's ``event_id``.

    Args:
        operation: What was to be done.
        candidate_set: Key of the candidates; the control event ``candidate_set`` lists them.
        deployment: What was chosen; None where there was nothing to choose from.
        variant: What is served: the deployment, or its canary variant.
        excluded: Candidates that could not be drawn, each with the reason.
        weights_version: Weights that it was drawn with.
        draw: The random number behind the choice; None where nothing was drawn.
        propensity: Chance of this choice, in (0, 1]; None where nothing was drawn.
        unit: What a rollout assigns: ``session`` or ``request``.
        is_first_of_unit: Whether it is the first of its session; always for a request.
        assignments: Arms of the open rollouts that it is in.
        config_version: Configuration that was served.
        reason: Why this one, in a word.
        session_id: The session, where one was given.
        shadow, shadow_propensity: What ``advise`` would have drawn, and its chance.
    """

    operation: str
    candidate_set: str = ""
    deployment: str | None = None
    variant: str | None = None
    excluded: tuple[Exclusion, ...] = ()
    weights_version: int = 0
    draw: int | None = None
    propensity: float | None = None
    unit: str = "request"
    is_first_of_unit: bool = True
    assignments: tuple[Assignment, ...] = ()
    config_version: int = 0
    reason: str = ""
    session_id: str = ""
    shadow: str | None = None
    shadow_propensity: float | None = None


class ConfigurationPublished(Struct, frozen=True, tag_field="kind", tag="configuration_published"):
    """The process began to serve a configuration, with weights of that version."""

    config_version: int
    weights_version: int = 0


class WeightsRefreshed(Struct, frozen=True, tag_field="kind", tag="weights_refreshed"):
    """New weights are served; ``rows`` are the operations that were recomputed.

    ``cause`` is ``learnt`` or ``shut`` (a breaker or a stopped rollout changed).
    """

    weights_version: int
    rows: tuple[str, ...] = ()
    cause: str = "learnt"


class BatchCommitted(Struct, frozen=True, tag_field="kind", tag="batch_committed"):
    """The end of a batch: everything with a smaller seq was learnt."""

    last_seq: int
    n_events: int


class CandidateSetSeen(Struct, frozen=True, tag_field="kind", tag="candidate_set"):
    """The members of a candidate set, logged once; decisions name its key."""

    key: str
    candidates: tuple[str, ...]


class SegmentStarted(Struct, frozen=True, tag_field="kind", tag="segment_started"):
    """A log segment begins: the checkpoint that replay starts from.

    Args:
        seed: Of all draws.
        config_version: What is served.
        policy: Name of the policy.
        policy_state: What it knows, base64.
        breakers: State of the breakers, base64.
        judged: Operations whose judgement is awaited since one was seen.
        settings: Settings that shape what is learnt and served, as text.
        plugins: Plugins in service and where each comes from.
        software: Version of hivefeedback.
    """

    seed: int
    config_version: int
    policy: str
    policy_state: str = ""
    breakers: str = ""
    judged: tuple[str, ...] = ()
    settings: dict[str, str] = {}
    plugins: dict[str, str] = {}
    software: str = ""


class SystemSample(Struct, frozen=True, tag_field="kind", tag="system_sample"):
    """Measures of process and host: name → value, unit in the name."""

    values: dict[str, float]


class Alarm(Struct, frozen=True, tag_field="kind", tag="alarm"):
    """A detector, a breaker or a harm test spoke."""

    name: str
    subject: str
    operation: str = ""
    numbers: dict[str, float] = {}


class Erased(Struct, frozen=True, tag_field="kind", tag="erased"):
    """Something was erased; ``selector`` says what, without naming a person."""

    selector: str
    n_events: int


class FeedbackFound(Struct, frozen=True, tag_field="kind", tag="feedback_found"):
    """Late feedback was joined with a run from the log: here it was learnt, not where it came in."""

    feedback_id: str
    run_id: str


class SharedRow(Struct, frozen=True, array_like=True):
    """Rewards of a deployment in an operation, as a process tells them to the others.

    Args:
        operation, deployment: Of the runs; a canary's variant has an id of its own.
        n: First rewards.
        total: Their sum.
        moved: By how much later judgements changed what was told before.
    """

    operation: str
    deployment: str
    n: int
    total: float
    moved: float = 0.0


class LearningShared(Struct, frozen=True, tag_field="kind", tag="learning_shared"):
    """This process told the others what it had learnt; ``number`` counts that."""

    number: int
    rows: tuple[SharedRow, ...] = ()


class LearntElsewhere(Struct, frozen=True, tag_field="kind", tag="learnt_elsewhere"):
    """The policy took in what other processes told, in one look.

    Args:
        origin: ``producer/epoch`` of the first of them.
        number: Of the last that was taken of that one.
        taken: All of them: origin → the first and the last number.
    """

    origin: str
    number: int
    taken: dict[str, tuple[int, int]] = {}


class EventsDropped(Struct, frozen=True, tag_field="kind", tag="events_dropped"):
    """Events that a full ring or a failing store lost, by what they were."""

    counts: dict[str, int]


What = (
    ConfigurationPublished
    | WeightsRefreshed
    | BatchCommitted
    | CandidateSetSeen
    | SegmentStarted
    | SystemSample
    | Alarm
    | Erased
    | EventsDropped
    | FeedbackFound
    | LearningShared
    | LearntElsewhere
)


class Control(Struct, frozen=True, tag_field="type", tag="control"):
    """Something that the loop itself did."""

    what: What


Body = DecisionRecord | Run | Feedback | Score | Control


class Event(Struct, frozen=True, gc=False):
    """The envelope of everything that is logged.

    Args:
        producer: Stable id of the process that made it.
        epoch: Grows with each start of that producer.
        seq: Position among the events of (producer, epoch); a gap is a dropped event.
        event_id: Id of the run, decision or other thing that the body is.
        event_time_s: When it happened, seconds since 1970 UTC.
        ingest_time_s: When it was taken in.
        body: What happened.
        sample_rate: Probability with which it was kept, drawn before the outcome was known; 1 where all are
            kept, 0 where it was not drawn and is here for another reason, such as a failure (``event_log: edge``).
            Who estimates from the log uses those above 0, each with the weight 1 / ``sample_rate``.
        schema_version: Version of this schema.
        unknown: Fields of a newer version, kept for the round trip: ``{"": {...}}`` those of the
            envelope, ``{"body": {...}}`` those of the body, ``{"what": {...}}`` those of what a
            control event holds.
    """

    producer: str
    epoch: int
    seq: int
    event_id: str
    event_time_s: float
    ingest_time_s: float
    body: Body
    sample_rate: float = 1.0
    schema_version: int = SCHEMA_VERSION
    unknown: Mapping[str, Mapping[str, Any]] | UnsetType = UNSET


_encoder = msgspec.json.Encoder()
_raw = msgspec.json.Decoder(dict[str, Any])
_ENVELOPE = frozenset(Event.__struct_fields__) - {"unknown"}
_BODIES: dict[str, frozenset[str]] = {
    "decision": frozenset((*DecisionRecord.__struct_fields__, "type")),
    "run": frozenset((*Run.__struct_fields__, "type")),
    "feedback": frozenset((*Feedback.__struct_fields__, "type")),
    "score": frozenset((*Score.__struct_fields__, "type")),
    "control": frozenset(("what", "type")),
}
_WHAT: dict[str, frozenset[str]] = {
    str(cls.__struct_config__.tag): frozenset((*cls.__struct_fields__, "kind")) for cls in get_args(What)
}


def encode_event(event: Event) -> bytes:
    """One event as JSON; what a newer version wrote is written back."""
    if not event.unknown:
        return _encoder.encode(event)
    plain: dict[str, Any] = msgspec.to_builtins(event)
    unknown = plain.pop("unknown")
    plain.update(unknown.get("", {}))
    plain["body"].update(unknown.get("body", {}))
    if "what" in unknown:
        plain["body"]["what"].update(unknown["what"])
    return _encoder.encode(plain)


def decode_event(data: bytes | str) -> Event:
    """Read one event.

    Raises:
        StoreCorruptError: It is not an event.
        StoreVersionError: It has a body that only a newer version knows.
    """
    try:
        raw = _raw.decode(data)
        body = raw.get("body")
        known = _BODIES.get(str(body.get("type"))) if isinstance(body, dict) else None
        if known is None:
            raise _unreadable(raw)
        event = msgspec.convert(raw, Event)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreCorruptError(f"an event cannot be read: {error}") from error
    outer = {k: v for k, v in raw.items() if k not in _ENVELOPE}
    inner = {k: v for k, v in raw["body"].items() if k not in known}
    inmost = _unknown_what(raw["body"]) if isinstance(event.body, Control) else {}
    if not outer and not inner and not inmost:
        return event
    unknown = {k: v for k, v in (("", outer), ("body", inner), ("what", inmost)) if v}
    return msgspec.structs.replace(event, unknown=unknown)


def _unknown_what(body: dict[str, Any]) -> dict[str, Any]:
    known = _WHAT[body["what"]["kind"]]
    return {k: v for k, v in body["what"].items() if k not in known}


def _unreadable(raw: dict[str, Any]) -> Exception:
    version = raw.get("schema_version", SCHEMA_VERSION)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        return StoreVersionError(f"an event has schema version {version}; this version reads up to {SCHEMA_VERSION}")
    return StoreCorruptError("an event has no body of a known type")

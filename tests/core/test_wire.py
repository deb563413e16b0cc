"""The wire schema and the Store protocols are frozen, and every event survives a round trip."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivefeedback import hooks, model, stats
from hivefeedback.errors import StoreCorruptError, StoreVersionError
from hivefeedback.model import Body, Control, DecisionRecord, Event, Feedback, Run, Score, decode_event, encode_event
from tests.signatures import protocol_of, schema_of

Frozen = Callable[[str, list[str]], None]

BODIES = (DecisionRecord, Run, Feedback, Score, Control)
WHAT = (
    model.ConfigurationPublished,
    model.WeightsRefreshed,
    model.BatchCommitted,
    model.CandidateSetSeen,
    model.SegmentStarted,
    model.SystemSample,
    model.Alarm,
    model.Erased,
    model.EventsDropped,
    model.FeedbackFound,
    model.LearningShared,
    model.LearntElsewhere,
)
LOGGED: tuple[type, ...] = (Event, *BODIES, *WHAT, model.Exclusion, model.Assignment, model.SharedRow)
JOURNALLED: tuple[type, ...] = (
    model.JournalEntry,
    model.Mutation,
    model.Effect,
    model.Verdict,
    model.Rollout,
    model.Deployment,
    model.Price,
    model.Route,
    *get_args(model.PatchOp),
    model.Configuration,
    model.PromptVersions,
    model.Adapter,
)
AGGREGATED: tuple[type, ...] = (stats.Cell, stats.Judged, stats.Delta, stats.Exemplar)
PROTOCOLS = ("Store", "StoreFactory", "EventLog", "Aggregates", "Journal", "Config", "State", "Policy", "Scorer",
             "Ranker", "Executor", "Gate", "KeepsState", "Tends", "AdapterServer", "TrimmedLog", "CarriedJournal",
             "ListedState", "WatchedJournal", "Archive", "ArchiveFactory")  # fmt: skip
CARRIED = ("Commit", "Record", "Selector", "Lease", "Observation", "Ranked", "Tag", "Collected", "LoadedAdapter")
ALIASES = {
    "Outcome": model.Outcome,
    "RunKind": model.RunKind,
    "EntryState": model.EntryState,
    "Risk": model.Risk,
    "Answer": model.Answer,
}


def test_the_wire_schema_only_grows(frozen: Frozen) -> None:
    lines = [f"SCHEMA_VERSION = {model.SCHEMA_VERSION}"]
    lines += [f"{name} = {' | '.join(map(repr, get_args(alias)))}" for name, alias in ALIASES.items()]
    lines += [f"MutationKind = {' | '.join(repr(k.value) for k in model.MutationKind)}"]
    lines += [line for cls in (*LOGGED, *JOURNALLED, *AGGREGATED) for line in schema_of(cls)]
    lines += [f"CellKey = ({', '.join(stats.CellKey._fields)})"]
    frozen("wire_schema", lines)


def test_the_store_protocol_only_grows(frozen: Frozen) -> None:
    lines = [line for name in PROTOCOLS for line in protocol_of(getattr(hooks, name))]
    frozen("store_protocol", lines + [line for name in CARRIED for line in schema_of(getattr(hooks, name))])


def test_every_kind_of_body_is_frozen() -> None:
    assert set(get_args(Body)) == set(BODIES)
    assert set(get_args(get_type_hints(Control)["what"])) == set(WHAT)


# --- round trips ---------------------------------------------------------------------------------

_NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
_INTEGERS = st.integers(min_value=-(2**63), max_value=2**63 - 1)
_SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=20),
    int: _INTEGERS,
    float: _NUMBERS,
    bool: st.booleans(),
    type(None): st.none(),
}


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type that the schema uses."""
    origin, args = get_origin(hint), get_args(hint)
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    if origin is Literal:
        return st.sampled_from(args)
    if origin is tuple:
        return st.lists(values_of(args[0]), max_size=3).map(tuple)
    if origin in (dict, Mapping):
        return st.dictionaries(values_of(args[0]), values_of(args[1]), max_size=3)
    if origin is Union or type(hint).__name__ == "UnionType":
        return st.one_of([values_of(a) for a in args])
    return structs_of(hint)


def structs_of(cls: type) -> st.SearchStrategy[Any]:
    """Values of a struct with any of its fields."""
    return st.builds(cls, **{name: values_of(hint) for name, hint in get_type_hints(cls).items()})


def event_with(body: Any) -> Event:
    return Event("host-1", 3, 7, "e-1", 1.5, 2.5, body)


@given(body=st.one_of([structs_of(cls) for cls in BODIES]))
def test_every_body_survives_a_round_trip(body: Any) -> None:
    event = event_with(body)
    assert decode_event(encode_event(event)) == event


@given(
    envelope=st.builds(
        Event,
        producer=st.text(),
        epoch=_INTEGERS,
        seq=_INTEGERS,
        event_id=st.text(),
        event_time_s=_NUMBERS,
        ingest_time_s=_NUMBERS,
        sample_rate=st.floats(0, 1),
        body=st.just(Score("r", "n", 0.5)),
    )
)
def test_every_envelope_survives_a_round_trip(envelope: Event) -> None:
    assert decode_event(encode_event(envelope)) == envelope


def written_by_a_newer_version(**more: Any) -> dict[str, Any]:
    raw: dict[str, Any] = msgspec.json.decode(encode_event(event_with(Run("a", "x", run_id="r"))))
    return {**raw, **more}


def test_fields_that_this_version_does_not_know_survive_a_round_trip() -> None:
    raw = written_by_a_newer_version(region="eu", nested={"deep": [1, {"x": None}]})
    raw["body"]["carbon_g"] = 0.2
    event = decode_event(msgspec.json.encode(raw))
    assert isinstance(event.body, Run)
    assert event.unknown == {"": {"region": "eu", "nested": {"deep": [1, {"x": None}]}}, "body": {"carbon_g": 0.2}}
    again: dict[str, Any] = msgspec.json.decode(encode_event(event))
    assert again["region"] == "eu"
    assert again["nested"] == {"deep": [1, {"x": None}]}
    assert again["body"] == raw["body"]
    assert decode_event(encode_event(event)) == event


@given(st.dictionaries(st.text(min_size=1).map("new_".__add__), st.integers(0, 9) | st.text(), max_size=4))
def test_any_unknown_fields_survive_reading_and_writing(more: dict[str, Any]) -> None:
    raw = written_by_a_newer_version(**more)
    raw["body"].update(more)
    again: dict[str, Any] = msgspec.json.decode(encode_event(decode_event(msgspec.json.encode(raw))))
    assert {k: again[k] for k in more} == more
    assert {k: again["body"][k] for k in more} == more


def test_unknown_fields_of_what_the_loop_did_survive_as_well() -> None:
    raw: dict[str, Any] = msgspec.json.decode(encode_event(event_with(Control(model.ConfigurationPublished(4)))))
    raw["body"]["what"]["by"] = "turn"
    event = decode_event(msgspec.json.encode(raw))
    assert event.body == Control(model.ConfigurationPublished(4))
    assert event.unknown == {"what": {"by": "turn"}}
    assert msgspec.json.decode(encode_event(event)) == raw


def test_a_body_of_a_newer_version_is_said_to_be_newer() -> None:
    raw = written_by_a_newer_version(schema_version=99, body={"type": "hologram"})
    with pytest.raises(StoreVersionError, match="schema version 99"):
        decode_event(msgspec.json.encode(raw))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"body": 5}',
        b'{"body": {"type": "run"}}',
        b'{"body": {"type": ["run"]}}',
        b"\xff\xfe",
        b'{"producer": "p"',
        b'{"body": {"type": "hologram"}}',
    ],
)
def test_what_is_no_event_is_said_to_be_corrupt(data: bytes) -> None:
    with pytest.raises(StoreCorruptError):
        decode_event(data)


def test_the_wire_form_of_a_run_is_as_published() -> None:
    event = event_with(Run("gpt-x", "text-to-text/medical", "ok", 0.8, run_id="r"))
    assert msgspec.json.decode(encode_event(event)) == {
        "producer": "host-1",
        "epoch": 3,
        "seq": 7,
        "event_id": "e-1",
        "event_time_s": 1.5,
        "ingest_time_s": 2.5,
        "body": {
            "type": "run",
            "deployment": "gpt-x",
            "operation": "text-to-text/medical",
            "duration_s": 0.8,
            "run_id": "r",
        },
        "sample_rate": 1.0,
        "schema_version": 1,
    }

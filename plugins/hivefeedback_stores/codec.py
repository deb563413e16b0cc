"""Values as bytes and back. JSON where people may look, msgpack for cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite, isnan
from typing import TypeVar

import msgspec
from msgspec import structs

from hivefeedback.errors import InvalidInputError, StoreCorruptError
from hivefeedback.model import (
    Alarm,
    Configuration,
    Control,
    Event,
    JournalEntry,
    Run,
    Score,
    SystemSample,
    decoded,
    encode_event,
    unpacked,
)

__all__ = [
    "decode",
    "decode_config",
    "decode_entry",
    "decode_packed",
    "encode",
    "event_bytes",
    "finite",
    "finite_event",
    "packed",
]

T = TypeVar("T")
_LARGEST = 1.7976931348623157e308
_encoder = msgspec.json.Encoder()
_packer = msgspec.msgpack.Encoder()
packed = _packer.encode


def encode(what: str, value: object) -> bytes:
    """A value as JSON.

    Raises:
        InvalidInputError: It holds a text that is no Unicode (a lone surrogate), or too large a number.
    """
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"{what} holds a lone surrogate, which no file can keep; replace it") from error
    except OverflowError as error:
        raise InvalidInputError(f"{what} holds a number that does not fit into 64 bits: {error}") from error


def event_bytes(event: Event) -> bytes:
    """One event as JSON; raises as ``encode`` does, and where a time or score is not finite.

    JSON has no infinity: it would be written as null, and the event could not be read again.
    """
    if not isfinite(event.event_time_s + event.ingest_time_s):
        raise InvalidInputError(f"event {event.event_id!r} has a time that is not finite")
    if event.body.__class__ is not Run:
        event = finite_event(event)
    try:
        return encode_event(event)
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"event {event.event_id!r} holds a lone surrogate; replace it") from error


def finite_event(event: Event) -> Event:
    """The event with numbers that JSON knows, where nobody needs others.

    Raises:
        InvalidInputError: It is a score that is no number.
    """
    body = event.body
    if isinstance(body, Score) and not isfinite(body.value):
        raise InvalidInputError(f"event {event.event_id!r} has a score that is not finite")
    return structs.replace(event, body=Control(_finite_what(body.what))) if isinstance(body, Control) else event


def _finite_what(what: T) -> T:
    if isinstance(what, Alarm):
        return structs.replace(what, numbers=_finite(what.numbers))
    if isinstance(what, SystemSample):
        return structs.replace(what, values=_finite(what.values))
    return what


def decode(what: str, data: bytes, type_: type[T]) -> T:
    """Read JSON; ``what`` names the thing in the error.

    Raises:
        StoreCorruptError: It is not such a value.
    """
    try:
        return decoded(data, type_)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise StoreCorruptError(f"{what} cannot be read: {error}") from error


def decode_packed(what: str, data: bytes, type_: type[T]) -> T:
    """Read msgpack; raises as ``decode`` does."""
    try:
        return unpacked(data, type_)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise StoreCorruptError(f"{what} cannot be read: {error}") from error


def decode_entry(data: bytes) -> JournalEntry:
    """Read a journal entry; raises as ``decode`` does."""
    return decode("a journal entry", data, JournalEntry)


def decode_config(data: bytes) -> Configuration:
    """Read a configuration; raises as ``decode`` does."""
    return decode("the configuration's checkpoint", data, Configuration)


def finite(entry: JournalEntry) -> JournalEntry:
    """The entry with numbers that JSON knows: infinities become the largest float, NaN goes.

    An e-value may be infinite; JSON would turn it into null, which is no number when read back.
    """
    verdicts = tuple(replace(v, numbers=_finite(v.numbers)) for v in entry.verdicts)
    return replace(entry, numbers=_finite(entry.numbers), verdicts=verdicts)


def _finite(numbers: Mapping[str, float]) -> dict[str, float]:
    return {k: v if isfinite(v) else (_LARGEST if v > 0 else -_LARGEST) for k, v in numbers.items() if not isnan(v)}

"""Decoders of struct types, each made once and by one thread at a time.

msgspec 0.22 works out a struct's fields in Python when it first meets the type, and crashes the process where
two threads meet it together. Our threads are many, and what crashes here takes the host along: so nobody
hands ``msgspec.json.decode`` a struct type of ours, and decoders are made here, or when a module is imported.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec

__all__ = ["decoded", "unpacked"]

T = TypeVar("T")


_decoders: dict[tuple[object, object], Any] = {}
_making = threading.Lock()


def decoded(data: bytes | str, type_: type[T]) -> T:
    """A value from JSON.

    Args:
        data: The JSON.
        type_: Its type.

    Raises:
        msgspec.MsgspecError: It is not such a value.
    """
    return cast(T, _decoder(msgspec.json.Decoder, type_).decode(data))


def unpacked(data: bytes, type_: type[T]) -> T:
    """A value from msgpack; raises as ``decoded`` does."""
    return cast(T, _decoder(msgspec.msgpack.Decoder, type_).decode(data))


def _decoder(make: Callable[[Any], Any], type_: object) -> Any:
    known = _decoders.get((make, type_))
    if known is None:
        with _making:
            known = _decoders[make, type_] = make(type_)
    return known

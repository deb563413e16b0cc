"""Whether what a plugin answers holds what its type says.

Python takes any value for a field; a wrong one would fail far from who gave it, and with it the turn.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from hivefeedback.errors import PluginError

__all__ = ["well_formed"]

T = TypeVar("T")


def well_formed(item: Any, kind: type[T]) -> T:
    """The item as it is.

    Raises:
        PluginError: It is of another kind, or one of its fields is; the message names that.
    """
    if not isinstance(item, kind):
        raise PluginError(f"answered {type(item).__name__}; expected {kind.__name__}")
    try:
        msgspec.convert(msgspec.to_builtins(item), kind)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise PluginError(f"answered an unusable {kind.__name__}: {error}") from error
    return item

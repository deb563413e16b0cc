"""Everything that hivefeedback raises on purpose.

HiveFeedbackError
├── ConfigurationError        a setting, file or declaration is wrong; raised at start
│   └── MissingExtraError     a feature needs an extra that is not installed
├── InvalidInputError         a value handed to a public method cannot be used
│   └── UnknownNameError      a deployment, prompt, mutation or plugin of that name is not known
├── ClosedError               the loop was closed
├── RefusedError              a gate, a mode or a role said no; the message says which and why
├── StoreError                the store could not do its work
│   ├── StoreUnreachableError the store cannot be opened, reached or written
│   ├── StoreCorruptError     the store's content is not what was written
│   ├── StoreVersionError     the store was written by a newer hivefeedback
│   └── ConflictError         a compare-and-set lost, or a fencing token is too old
└── PluginError               a plugin broke the contract of a hook or protocol
    └── HookTimeoutError      a hook did not return in time

Callers catch classes, never messages. None of these reaches the application from
``decide``, ``record`` or ``feedback``.
"""

from __future__ import annotations

import re

__all__ = [
    "ClosedError",
    "ConfigurationError",
    "ConflictError",
    "HiveFeedbackError",
    "HookTimeoutError",
    "InvalidInputError",
    "MissingExtraError",
    "PluginError",
    "RefusedError",
    "StoreCorruptError",
    "StoreError",
    "StoreUnreachableError",
    "StoreVersionError",
    "UnknownNameError",
]


class HiveFeedbackError(Exception):
    """Root of everything that hivefeedback raises on purpose."""


class ConfigurationError(HiveFeedbackError):
    """A setting, a configuration file or a declaration is wrong."""


class MissingExtraError(ConfigurationError):
    """A feature needs an optional dependency that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an extra; install it with: pip install 'hivefeedback[{extra}]'")
        self.extra = extra


class InvalidInputError(HiveFeedbackError, ValueError):
    """A value handed to a public method cannot be used."""


_MOST_NAMES = 12


def _natural(name: str) -> list[tuple[int, str]]:
    """Order in which people count: ``m-3`` comes before ``m-10``."""
    parts = re.split(r"(\d+)", name)  # text and digits by turns
    return [(len(p.lstrip("0")), p.lstrip("0")) if i % 2 else (0, p) for i, p in enumerate(parts)]


class UnknownNameError(InvalidInputError):
    """A name is not known; the message lists the names that are, or is the given ``sentence``."""

    def __init__(self, noun: str, name: str, known: list[str] | tuple[str, ...] = (), *, sentence: str = "") -> None:
        shown = ", ".join(repr(k) for k in sorted(known, key=_natural)[:_MOST_NAMES]) or "none"
        shown += f" and {len(known) - _MOST_NAMES} more" if len(known) > _MOST_NAMES else ""
        super().__init__(sentence or f"{noun} {name!r} is not known; known: {shown}")
        self.noun = noun
        self.name = name


class ClosedError(HiveFeedbackError):
    """The loop was closed; make a new FeedbackLoop."""


class RefusedError(HiveFeedbackError):
    """A gate, a mode or a role refused; the message names it and the reason."""


class StoreError(HiveFeedbackError):
    """The store could not do its work."""


class StoreUnreachableError(StoreError):
    """The store cannot be opened, reached or written."""


class StoreCorruptError(StoreError):
    """What the store holds is not what was written."""


class StoreVersionError(StoreError):
    """The store was written by a newer version of hivefeedback."""


class ConflictError(StoreError):
    """A compare-and-set lost against another writer, or a fencing token is too old."""


class PluginError(HiveFeedbackError):
    """A plugin broke the contract of a hook or protocol."""


class HookTimeoutError(PluginError):
    """A hook did not return within its time."""

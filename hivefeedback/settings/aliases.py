"""Variables of the systems that came before, with the meaning that they have here.

``HIVEFEEDBACK_...`` beats them, they beat the file. A variable that is not set changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from hivefeedback.errors import ConfigurationError

__all__ = ["ALIASES", "Alias", "aliases_in_force", "from_aliases"]

_WORDS: Final = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}
_STEPS: Final = (0.25, 0.5, 1.0)
"""Steps of a canary above the first."""

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Alias:
    """A variable: its name, what it sets here (for people), and the settings that its value stands for."""

    name: str
    meaning: str
    read: Callable[[str], Values]


def from_aliases(environ: Mapping[str, str] | None = None) -> Values:
    """The settings that the set variables stand for; of two modes the more careful one.

    Raises:
        ConfigurationError: A variable has a value that it cannot have; the sentence names it.
    """
    values: Values = {}
    for alias in aliases_in_force(environ):
        try:
            found = alias.read((os.environ if environ is None else environ)[alias.name].strip())
        except ValueError as error:
            raise ConfigurationError(f"environment variable {alias.name}: {error}") from error
        _merge(values, found)
    return values


def aliases_in_force(environ: Mapping[str, str] | None = None) -> list[Alias]:
    """The variables that are set, in the order of ``ALIASES``; an empty one counts as not set."""
    source = os.environ if environ is None else environ
    return [alias for alias in ALIASES if source.get(alias.name, "").strip()]


def _merge(values: Values, found: Values) -> None:
    for name, value in found.items():
        if isinstance(value, dict):
            _merge(values.setdefault(name, {}), value)
        else:
            values.setdefault(name, value)


def _flag(value: str) -> bool:
    flag = _WORDS.get(value.lower())
    if flag is None:
        raise ValueError(f"{value!r} is neither true nor false")
    return flag


def _number(value: str, low: float, high: float) -> float:
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not low <= number <= high:
        raise ValueError(f"{value!r} is no number from {low:g} to {high:g}")
    return number


def _whole(value: str, low: int, high: int) -> int:
    number = _number(value, low, high)
    if number != int(number):
        raise ValueError(f"{value!r} is no whole number")
    return int(number)


def _unless(value: str, off: Values) -> Values:
    return {} if _flag(value) else off


def _steps(value: str) -> Values:
    first = _number(value, 0.01, 100.0) / 100.0
    return {"canary_steps": [first, *(step for step in _STEPS if step > first)]}


def _bus(value: str) -> Values:
    if value.lower() != "memory":
        raise ValueError(
            f"{value!r} is not possible; the bus lies inside the process (memory), and what has to outlive it is "
            "kept by the store: HIVEFEEDBACK_STORE=sqlite:///hive.db"
        )
    return {}


def _file(value: str) -> Values:
    return {"store": f"json:///{quote(Path(value).expanduser().as_posix())}"}


ALIASES: Final = (
    Alias("FEEDBACK_LOOP_ENABLED", "false: mode off", lambda v: _unless(v, {"mode": "off"})),
    Alias("ORACLE_SYSTEM_ENABLED", "false: mode observe", lambda v: _unless(v, {"mode": "observe"})),
    Alias(
        "LORA_HOTPLUG_ENABLED",
        "false: the LoRA server that loads nothing",
        lambda v: _unless(v, {"options": {"lora": {"server": "noop"}}}),
    ),
    Alias(
        "ORACLE_CONFIDENCE_THRESHOLD",
        "limits.min_confidence",
        lambda v: {"limits": {"min_confidence": _number(v, 0.0, 1.0)}},
    ),
    Alias(
        "ORACLE_MAX_MUTATIONS_PER_HOUR",
        "limits.max_mutations_per_hour",
        lambda v: {"limits": {"max_mutations_per_hour": _whole(v, 0, 1_000_000)}},
    ),
    Alias("ORACLE_AUTO_ROLLBACK", "limits.auto_rollback", lambda v: {"limits": {"auto_rollback": _flag(v)}}),
    Alias("SAFETY_CHECKS_ENABLED", "safety_checks", lambda v: {"safety_checks": _flag(v)}),
    Alias(
        "REQUIRE_APPROVAL_FOR_HIGH_RISK",
        "limits.require_approval_for_high_risk",
        lambda v: {"limits": {"require_approval_for_high_risk": _flag(v)}},
    ),
    Alias("CANARY_DEPLOYMENT_PERCENT", "the first of canary_steps", _steps),
    Alias("EVENT_BUS_TYPE", "memory: the bus inside the process, as it always is", _bus),
    Alias("EVENT_BUS_MAX_SIZE", "ring_size", lambda v: {"ring_size": _whole(v, 16, 16_777_216)}),
    Alias("PERFORMANCE_METRICS_FILE", "a JSON store in that file", _file),
    Alias(
        "PERFORMANCE_FEEDBACK_ACCURACY_THRESHOLD",
        "options.thresholds.accuracy_threshold",
        lambda v: {"options": {"thresholds": {"accuracy_threshold": _number(v, 0.0, 1.0)}}},
    ),
)
"""All of them; the first that says something of a setting counts."""

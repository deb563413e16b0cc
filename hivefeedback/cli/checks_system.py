"""How process and host are, as far as plugins measure it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hivefeedback.cli.checks import Check
from hivefeedback.cli.words import amount

if TYPE_CHECKING:
    from hivefeedback.settings import Settings

__all__ = ["check_system"]

_MISSING: Final = (
    "nothing is measured; pip install 'hivefeedback[system]', or see whether the plugin 'system' is denied"
)


def check_system(settings: Settings, now_s: float) -> Check:
    """One sample, taken now."""
    from hivefeedback.cli.reader import make_registry

    registry = make_registry(settings)
    try:
        values = registry.sample()
    finally:
        registry.close()
    if not values:
        return Check("system", "note", _MISSING)
    return Check("system", "ok", ", ".join(f"{name} {amount(value)}" for name, value in sorted(values.items())))

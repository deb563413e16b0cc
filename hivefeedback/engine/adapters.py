"""Adapters as the host gives them: a value, or a name alone."""

from __future__ import annotations

from hivefeedback.errors import ConfigurationError
from hivefeedback.model import Adapter
from hivefeedback.model.ids import MAX_ID

__all__ = ["adapter_of"]


def adapter_of(given: Adapter | str) -> Adapter:
    """An adapter from a name or a value.

    Raises:
        ConfigurationError: It is neither, or a part of it cannot be used.
    """
    if not isinstance(given, Adapter | str):
        raise ConfigurationError(f"adapter {given!r} is {type(given).__name__}; expected Adapter or a name")
    made = Adapter(given) if isinstance(given, str) else given
    if not isinstance(made.name, str) or not made.name.strip() or len(made.name) > MAX_ID:
        raise ConfigurationError(
            f"an adapter has the name {made.name!r:.100}; give it a stable one, as its server does"
        )
    tags, models = _labels(made.name, "tags", made.tags), _labels(made.name, "models", made.models)
    gb = made.vram_gb
    if gb is not None and (isinstance(gb, bool) or not isinstance(gb, int | float) or not 0.0 <= gb < float("inf")):
        raise ConfigurationError(f"vram_gb of adapter {made.name!r} is {gb!r}; expected a number of GB, at least 0")
    return Adapter(made.name, tags, models, gb)


def _labels(name: str, what: str, given: object) -> tuple[str, ...]:
    """Texts as a caller without a type checker may give them; one text alone is a slip, not its letters."""
    if isinstance(given, list | tuple | set | frozenset) and all(isinstance(label, str) and label for label in given):
        return tuple(given) if isinstance(given, list | tuple) else tuple(sorted(given))
    raise ConfigurationError(f"{what} of adapter {name!r} are {given!r}; expected texts, such as ('legal',)")

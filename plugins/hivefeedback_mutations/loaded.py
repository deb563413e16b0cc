"""Room for LoRA adapters on one server: a bound in GB, the least recently used out first."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hivefeedback.errors import InvalidInputError
from hivefeedback.hooks import LoadedAdapter
from hivefeedback.model import Adapter

__all__ = ["make_room"]


def make_room(
    loaded: Sequence[LoadedAdapter], adapter: Adapter, *, vram_gb: float | None, in_use: Collection[str]
) -> tuple[list[LoadedAdapter], list[str]]:
    """Which of the loaded adapters stay, and the names of those that go, for a new one to fit.

    Args:
        loaded: What is loaded now, the new one aside.
        adapter: The new one; a size that is not stated counts as 0.
        vram_gb: Memory for adapters on the server, in GB; None: no bound.
        in_use: Adapters in service, which must stay.

    Raises:
        InvalidInputError: It does not fit beside those in use.

    >>> a, b = LoadedAdapter("a", vram_gb=2.0, used_s=1.0), LoadedAdapter("b", vram_gb=2.0, used_s=2.0)
    >>> make_room([a, b], Adapter("c", vram_gb=1.0), vram_gb=4.0, in_use=())[1]
    ['a']
    """
    kept, gone = list(loaded), list[str]()
    if vram_gb is None:
        return kept, gone
    needed = adapter.vram_gb or 0.0
    for oldest in sorted(loaded, key=lambda one: (one.used_s, one.adapter)):
        if _total(kept) + needed <= vram_gb:
            break
        if oldest.adapter not in in_use and oldest.vram_gb:
            kept.remove(oldest)
            gone.append(oldest.adapter)
    if _total(kept) + needed > vram_gb:
        raise InvalidInputError(
            f"adapter {adapter.name!r} needs {needed:g} GB; those in service take {_total(kept):g} of {vram_gb:g} GB. "
            "Take one of them off first, or raise the option vram_gb of plugin 'lora'"
        )
    return kept, gone


def _total(loaded: Sequence[LoadedAdapter]) -> float:
    return sum(one.vram_gb or 0.0 for one in loaded)

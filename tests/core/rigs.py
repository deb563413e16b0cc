"""A canary that is open, on a store that several controls share."""

from __future__ import annotations

from typing import Any

from hivefeedback.control import Control
from hivefeedback.testing.control import Rig, swap

__all__ = ["opened"]


def opened(rig: Rig, **options: Any) -> tuple[Control, str]:
    """A control and the mutation of ``a`` whose canary it has just begun."""
    control = rig.control(**options)
    mutation_id = control.propose(swap())
    control.turn()
    assert rig.states(mutation_id)[-1] == "canary"
    return control, mutation_id

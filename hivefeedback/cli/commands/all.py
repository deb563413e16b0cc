"""All commands, in the order in which the help lists them."""

from __future__ import annotations

from typing import Final

from hivefeedback.cli.commands import (
    demo,
    deployments,
    docs,
    doctor,
    erase,
    feedback,
    init,
    mutations,
    plugins,
    prompts,
    stats,
    turn,
    why,
)
from hivefeedback.cli.spec import Spec

__all__ = ["SPECS"]

SPECS: Final[tuple[Spec, ...]] = (
    demo.SPEC,
    init.SPEC,
    turn.SPEC,
    stats.SPEC,
    feedback.SPEC,
    deployments.SPEC,
    mutations.SPEC,
    why.SPEC,
    prompts.SPEC,
    plugins.SPEC,
    erase.SPEC,
    doctor.SPEC,
    docs.SPEC,
)

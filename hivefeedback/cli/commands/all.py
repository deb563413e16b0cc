"""All commands, in the order in which the help lists them."""

from __future__ import annotations

from typing import Final

from hivefeedback.cli.commands import (
    adapters,
    assign,
    blacklist,
    compare,
    dead_letters,
    demo,
    deployments,
    docs,
    doctor,
    erase,
    evaluations,
    export,
    feedback,
    import_,
    init,
    insights,
    memory,
    mutations,
    plugins,
    prompts,
    rank,
    recommend,
    stats,
    trend,
    turn,
    why,
    worker,
)
from hivefeedback.cli.spec import Spec

__all__ = ["SPECS"]

SPECS: Final[tuple[Spec, ...]] = (
    demo.SPEC,
    init.SPEC,
    turn.SPEC,
    worker.SPEC,
    stats.SPEC,
    compare.SPEC,
    rank.SPEC,
    recommend.SPEC,
    trend.SPEC,
    insights.SPEC,
    evaluations.SPEC,
    assign.SPEC,
    feedback.SPEC,
    deployments.SPEC,
    adapters.SPEC,
    blacklist.SPEC,
    mutations.SPEC,
    why.SPEC,
    prompts.SPEC,
    memory.SPEC,
    dead_letters.SPEC,
    plugins.SPEC,
    export.SPEC,
    import_.SPEC,
    erase.SPEC,
    doctor.SPEC,
    docs.SPEC,
)

"""``hivefeedback recommend``: which deployment to use, and why not the others."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from hivefeedback.cli.answer import Answer, plain_data
from hivefeedback.cli.call import Call
from hivefeedback.cli.exits import DONE, FAILED
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.window import CANDIDATE, OPERATION, WINDOW, covered
from hivefeedback.cli.words import number, plain

if TYPE_CHECKING:
    from hivefeedback.queries import Recommendation

__all__ = ["SPEC"]


def run(call: Call) -> Answer:
    """Read the window and choose."""
    from hivefeedback.queries import recommend

    args = call.args
    with call.reader() as reader:
        found = recommend(
            reader.basis(args.window),
            priority=args.priority,
            candidates=args.candidates,
            min_runs=args.min_runs,
            available_vram_gb=args.vram_gb,
            operation=args.operation,
        )
    code = DONE if found.deployment is not None else FAILED
    data = {"window_s": args.window, **plain_data(found)}
    if args.id_only:
        return Answer(data=data, text=plain(found.deployment or ""), remark=found.reason, code=code)
    return Answer(data=data, text=_text(found), code=code)


def _text(found: Recommendation) -> str:
    lines = [f"use {found.deployment}" if found.deployment is not None else "use none", found.reason]
    if found.is_fallback:
        lines.append("this is a fallback: too little is known to rank")
    lines += [f"next: {row.deployment} {row.score:.1f}, {row.reason}" for row in found.alternatives]
    lines += [f"not ranked: {out.deployment}, {out.reason}" for out in found.left_out]
    return "\n".join([*map(plain, lines), covered(found.coverage)])


def _whole(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 up")
    return value


SPEC: Final = Spec(
    name="recommend",
    help="choose a deployment, with the reason and a fallback",
    run=run,
    arguments=(
        arg(
            "--priority",
            default="balanced",
            metavar="NAME",
            help="balanced, speed, quality, reliable, or any ranker (balanced)",
        ),
        CANDIDATE,
        arg("--min-runs", type=_whole, default=10, metavar="N", help="runs that a candidate needs (10)"),
        arg("--vram-gb", type=number(0.0), metavar="GB", help="GPU memory that it must fit into"),
        OPERATION,
        WINDOW,
        arg("--id-only", action="store_true", help="print the id and nothing else, for scripts"),
    ),
    details="Exits with 1 where no candidate fits. In a script: MODEL=$(hivefeedback recommend --id-only)",
)

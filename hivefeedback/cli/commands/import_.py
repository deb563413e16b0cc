"""``hivefeedback import``: what other systems wrote down, or an export of ours, carried over."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from hivefeedback.cli import console
from hivefeedback.cli.answer import Answer, plain_data
from hivefeedback.cli.call import Call
from hivefeedback.cli.commands.import_export import import_export
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.words import count, plain

__all__ = ["SPEC"]

_ROOM: Final = "hivefeedback_import"
"""The integration that knows the formats; the core names it and knows none of them."""


def run(call: Call) -> Answer:
    """Read all files first, so that a broken one changes nothing; then carry them over one by one."""
    from hivefeedback.exchange import is_export

    paths = [Path(name).expanduser() for name in call.args.files]
    if any(is_export(path) for path in paths):
        return import_export(call, paths)
    room = import_module(_ROOM)
    carried = [room.read_file(path) for path in paths]
    if call.args.dry_run:
        found = [_planned(c) for c in carried]
        return Answer(data=_data(paths, found, is_dry=True), text=_text(paths, found, "would carry over"))
    found = []
    with call.loop(may_create=True, is_told=False) as loop:
        for path, content in zip(paths, carried, strict=True):
            with console.progress(f"importing {path.name}"):
                found.append(plain_data(room.carry_over(loop, content)))
    return Answer(data=_data(paths, found, is_dry=False), text=_text(paths, found, "carried over"))


def _planned(carried: Any) -> dict[str, Any]:
    """What a file holds; how much of it is known already is seen when it is carried over."""
    return {
        "kind": carried.kind,
        "n_runs": len(carried.runs),
        "n_ratings": sum(q.rating is not None for q in carried.runs),
        "n_queries": sum(t.n_queries for t in carried.totals),
        "n_deployments": len(carried.deployments),
        "left": list(carried.left),
    }


def _data(paths: Sequence[Path], found: Sequence[dict[str, Any]], *, is_dry: bool) -> dict[str, object]:
    files = [{"file": str(path), **numbers} for path, numbers in zip(paths, found, strict=True)]
    return {"is_dry_run": is_dry, "files": files}


def _text(paths: Sequence[Path], found: Sequence[dict[str, Any]], verb: str) -> str:
    lines = []
    for path, numbers in zip(paths, found, strict=True):
        lines.append(f"{plain(path.name)} ({numbers['kind']}): {verb} {_counted(numbers)}")
        lines += [f"  left: {plain(sentence)}" for sentence in numbers["left"]]
    return "\n".join(lines)


def _counted(numbers: dict[str, Any]) -> str:
    names = {"n_deployments": "deployments", "n_runs": "runs", "n_ratings": "ratings", "n_queries": "queries in sums"}
    parts = [f"{count(numbers[key])} {name}" for key, name in names.items() if numbers[key]]
    known = f"; {count(numbers['n_known'])} were there already" if numbers.get("n_known") else ""
    return (", ".join(parts) or "nothing") + known


SPEC: Final = Spec(
    name="import",
    help="carry over an export of a store, or what LLMHive, Task 44 or a LiteLLM config.yaml wrote down",
    run=run,
    arguments=(
        arg("files", nargs="+", metavar="FILE", help="the kind is told by the content"),
        arg("--dry-run", action="store_true", help="say what would come over, change nothing"),
    ),
    details="An export goes alone into a store that is new; repeated, it completes what was interrupted. "
    "A file may be imported again, also after it grew: nothing counts twice. Keys are never carried over.",
)

"""``hivefeedback export``: everything that a store holds, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hivefeedback.cli.answer import Answer
from hivefeedback.cli.call import Call
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.words import count, plain
from hivefeedback.errors import InvalidInputError

__all__ = ["SPEC", "counted"]

_NAMES: Final = {
    "event": "events",
    "cell": "aggregates",
    "entry": "journal entries",
    "text": "texts",
    "record": "records",
}


def run(call: Call) -> Answer:
    """Write the file; one that is there stays, unless ``--force`` is given."""
    from hivefeedback.exchange import export_store

    path = Path(call.args.file).expanduser()
    if path.exists() and not call.args.force:
        raise InvalidInputError(f"{path} is there already; --force overwrites it")
    if not path.parent.is_dir():
        raise InvalidInputError(f"there is no folder {path.parent}; make it, or name another one")
    with call.reader() as reader:
        exported = export_store(reader.store, path, now_s=call.clock())
    numbers = {str(kind): each.n for kind, each in exported.contents.sums.items()}
    lines = [f"{plain(str(path))}: {counted(numbers)}; sum {exported.contents.name}"]
    lines += [f"  left: {sentence}" for sentence in exported.left]
    data = {"file": str(path), "sum": exported.contents.name, "n": numbers, "left": list(exported.left)}
    return Answer(data=data, text="\n".join(lines))


def counted(numbers: dict[str, int]) -> str:
    """How many there are of each, in words."""
    return ", ".join(f"{count(numbers[key])} {name}" for key, name in _NAMES.items() if numbers.get(key)) or "nothing"


SPEC: Final = Spec(
    name="export",
    help="write everything that the store holds into one file, for import into any store",
    run=run,
    arguments=(
        arg("file", metavar="FILE", help="a new file; JSON lines under gzip, with sums"),
        arg("--force", action="store_true", help="overwrite a file that is there"),
    ),
    details="The file is as secret as the store: it holds comments, prompts and the key that user ids are hashed "
    "with, and what is erased from the store later stays in it. For an exact copy stop what writes.",
)

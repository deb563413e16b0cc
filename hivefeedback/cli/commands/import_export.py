"""``hivefeedback import`` of an export of ours: everything, into a store that is empty."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hivefeedback.cli.answer import Answer
from hivefeedback.cli.call import Call
from hivefeedback.cli.commands.export import counted
from hivefeedback.cli.console import say
from hivefeedback.cli.words import clock_time, plain
from hivefeedback.errors import InvalidInputError, RefusedError, StoreUnreachableError

if TYPE_CHECKING:
    from hivefeedback.exchange import Carried
    from hivefeedback.hooks import Store

__all__ = ["import_export"]


def import_export(call: Call, paths: Sequence[Path]) -> Answer:
    """Check the file, then carry it over; no loop is begun, which would write into the store."""
    from hivefeedback.exchange import Carried, checked

    if len(paths) > 1:
        raise InvalidInputError("an export fills a store alone; name one file")
    (path,) = paths
    with checked(path) as export:  # before a store is made for it
        if call.args.dry_run:
            return _answer(path, Carried(contents=export.contents), "would carry over", is_dry=True)
        with _opened(call) as store:
            try:
                carried = export.carry_into(store)
            except (KeyboardInterrupt, StoreUnreachableError):
                say("interrupted: part of the export may be in the store; the same command again completes it")
                raise
    verb = "was there already, nothing was changed:" if carried.is_known else "carried over"
    return _answer(path, carried, verb, is_dry=False)


def _answer(path: Path, carried: Carried, verb: str, *, is_dry: bool) -> Answer:
    contents = carried.contents
    numbers = {str(kind): each.n for kind, each in contents.sums.items()}
    about = f"export of {contents.store} from {clock_time(contents.made_at_s)} UTC"
    lines = [f"{plain(path.name)} ({about}): {verb} {counted(numbers)}; sum {contents.name}"]
    lines += [f"  left: {sentence}" for sentence in carried.left]
    file = {
        "file": str(path),
        "kind": "export",
        "sum": contents.name,
        "n": numbers,
        "is_known": carried.is_known,
        "left": list(carried.left),
    }
    return Answer(data={"is_dry_run": is_dry, "files": [file]}, text="\n".join(lines))


@contextmanager
def _opened(call: Call) -> Iterator[Store]:
    from hivefeedback.cli.reader import check_folder, make_registry
    from hivefeedback.engine.assemble import open_store

    url = call.use_store()
    if call.settings.mode == "off":
        raise RefusedError("the mode is 'off', so nothing is changed; unset HIVEFEEDBACK_MODE for this command")
    check_folder(url)
    registry = make_registry(call.settings)
    try:
        store = open_store(registry, url)
        try:
            yield store
        finally:
            store.close()
    finally:
        registry.close()

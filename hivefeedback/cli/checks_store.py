"""Checks of the store: is it there, is it whole, does its time agree with ours."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hivefeedback.cli.checks import Check
from hivefeedback.cli.exits import STORE, code_of
from hivefeedback.cli.words import age, count
from hivefeedback.errors import HiveFeedbackError

if TYPE_CHECKING:
    from hivefeedback.cli.reader import Reader
    from hivefeedback.settings import Settings

__all__ = ["check_store"]

_AHEAD_S: Final = 60.0
"""How far another machine's clock may be ahead before it is worth a word."""


def check_store(settings: Settings, url: str, clock: Callable[[], float]) -> Iterator[Check]:
    """Everything that can be found out without changing the store.

    Raises:
        StoreError: It cannot be opened or read.
    """
    from hivefeedback.cli.reader import file_of, reading

    path = file_of(url)
    if path is not None:
        yield _rights(path)
        if not path.exists():
            yield Check("store", "note", f"{path.absolute()} is not there yet; the first FeedbackLoop makes it")
            return
    with reading(settings, clock) as reader:
        yield Check("store", "ok", "it can be opened and read")
        wrong = reader.store.check()
        yield from (Check("store content", "wrong", sentence, code=STORE) for sentence in wrong)
        if not wrong:
            yield Check("store content", "ok", "nothing wrong was found")
        yield _schema(reader)
        yield from _import(reader)
        yield _time(reader, clock())
        yield from _quarantined(reader)
        yield from _archive(settings, reader)
    if path is not None:
        yield from _backups(path)


def _rights(path: Path) -> Check:
    place = path if path.exists() else next(p for p in path.absolute().parents if p.exists())
    for one in {place, place if place.is_dir() else place.parent}:
        if not os.access(one, os.W_OK):
            return Check("store rights", "wrong", f"{one} cannot be written; check its rights", code=STORE)
    return Check("store rights", "ok", f"{place} can be written")


def _schema(reader: Reader) -> Check:
    from hivefeedback.model.event import SCHEMA_VERSION

    config, open_ones = reader.configuration, len(reader.ledger.open())
    detail = (
        f"wire schema {SCHEMA_VERSION}, configuration {config.version}, {count(len(config.deployments))} deployments, "
        f"{count(len(reader.ledger.lives))} mutations ({open_ones} open)"
    )
    return Check("schema", "ok", detail)


def _import(reader: Reader) -> Iterator[Check]:
    from hivefeedback.exchange import unfinished

    if unfinished(reader.store):
        yield Check("store import", "wrong", "an import was interrupted; the same command again completes it")


def _time(reader: Reader, now_s: float) -> Check:
    entries = reader.store.journal.read(after=max(0, reader.store.journal.head() - 1))
    ahead_s = entries[-1].at_s - now_s if entries else 0.0
    if ahead_s > _AHEAD_S:
        remedy = "set the clocks of all machines by the same time service"
        return Check("store time", "wrong", f"its newest entry lies {age(ahead_s)} in the future; {remedy}")
    return Check("store time", "ok", "it agrees with the system's clock")


def _archive(settings: Settings, reader: Reader) -> Iterator[Check]:
    from hivefeedback.engine.assemble import make_archive

    if not settings.archive:
        return
    try:
        archive = make_archive(settings, reader.registry)
        wrong = archive.check() if archive is not None else ()
        yield from (Check("archive", "wrong", sentence, code=STORE) for sentence in wrong)
        if archive is not None and not wrong:
            yield Check("archive", "ok", f"{settings.archive}: {count(archive.count())} events, every sum is right")
    except HiveFeedbackError as error:
        yield Check("archive", "wrong", str(error), code=code_of(error))


def _backups(path: Path) -> Iterator[Check]:
    """Copies from before an upgrade: nobody but a person knows when they are not needed any more."""
    for copy in sorted(path.parent.glob(f"{path.name}.v*.bak")):
        detail = (
            "the store from before an upgrade; remove it when the new one has proved itself, erasures do not reach it"
        )
        yield Check("store backup", "note", f"{copy}: {detail}")


def _quarantined(reader: Reader) -> Iterator[Check]:
    for info in reader.plugins():
        if info.state == "quarantined":
            remedy = f"mend it, then: hivefeedback plugins enable {info.name}"
            yield Check(f"plugin {info.name}", "wrong", f"out of service: {info.last_error}; {remedy}")

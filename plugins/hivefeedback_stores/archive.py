"""Where events go that leave a log: a folder of segments that is read as a log itself.

::

    for position, event in open_archive("/var/lib/hive-archive").read():
        ...

Events are kept as they were, in the order in which they left. Nothing is deleted here but by ``erase``
and ``retain``. The folder belongs to one store: two stores in one archive could not be told apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from hivefeedback.errors import StoreError, StoreUnreachableError
from hivefeedback.hooks import Selector
from hivefeedback.model import Event, Feedback, Run, Score
from hivefeedback_stores.archive_files import Files, Format, Manifest, Segment
from hivefeedback_stores.archive_jsonl import JsonLines
from hivefeedback_stores.erasure import JOINS, Placed, check_selector, choose_run, matches, said_of, to_erase
from hivefeedback_stores.rules import joins_of
from hivefeedback_stores.shelf_events import Events

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["FolderArchive", "open_archive"]

LOCK_S = 60.0
"""How long to wait for another writer; moving a segment takes about a second."""


def open_archive(folder: str | Path) -> FolderArchive:
    """An archive, to read; each segment in the format that it was written in."""
    return FolderArchive(folder)


class FolderArchive:
    """``Archive`` in a folder.

    Args:
        folder: Made when something is written.
        format_: Of what is written; default: JSON lines. What is there is read in its own format.
    """

    def __init__(self, folder: str | Path, format_: Format | None = None) -> None:
        self._files, self._format = Files(Path(folder).expanduser()), format_ or JsonLines()
        self._lock: BaseFileLock | None = None
        self._last: tuple[str, list[Placed]] = ("", [])

    # --- writing --------------------------------------------------------------------------------

    @contextmanager
    def alone(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        folder = self._files.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self._lock is None:
                self._lock = FileLock(folder / "archive.lock", timeout=LOCK_S)
            self._lock.acquire()
        except Timeout as error:
            raise StoreUnreachableError(f"archive {folder} was locked for {LOCK_S:g} s; try again") from error
        except OSError as error:
            raise StoreUnreachableError(f"archive {folder} cannot be written: {error}; check its rights") from error
        try:
            yield
        finally:
            self._lock.release()

    def write(self, events: Sequence[Event]) -> None:
        with self.alone():
            manifest = self._files.manifest()
            self._files.sweep(manifest)
            known = {_key(e) for s in manifest.segments if not s.is_settled for _, e in self._placed(s)}
            new = [event for event in events if _key(event) not in known]
            if new:
                self._files.save(self._added(manifest, list(enumerate(new, manifest.next_position))))

    def _added(self, manifest: Manifest, placed: Sequence[Placed]) -> Manifest:
        segment = self._written(manifest.next_file, placed[0][0], placed[-1][0], placed)
        return Manifest(
            segments=(*manifest.segments, segment),
            next_position=segment.last + 1,
            next_file=manifest.next_file + 1,
        )

    def _written(self, number: int, first: int, last: int, placed: Sequence[Placed]) -> Segment:
        data = self._format.pack(first, placed)
        name, digest = self._files.put(number, self._format.suffix, data)
        times = [event.event_time_s for _, event in placed]
        return Segment(
            name=name, first=first, last=last, n=len(placed), from_s=min(times), to_s=max(times), sha256=digest
        )

    def settle(self) -> None:
        with self.alone():
            manifest = self._files.manifest()
            settled = tuple(s if s.is_settled else replace(s, is_settled=True) for s in manifest.segments)
            if settled != manifest.segments:
                self._files.save(replace(manifest, segments=settled))

    # --- reading --------------------------------------------------------------------------------

    def read(self, *, after: int = 0, limit: int = 10_000) -> Sequence[tuple[int, Event]]:
        found: list[Placed] = []
        for segment in self._files.manifest().segments:
            if segment.last > after and len(found) < limit:
                found += [placed for placed in self._placed(segment) if placed[0] > after]
        return found[: max(0, limit)]

    def _placed(self, segment: Segment) -> list[Placed]:
        """A segment's events; the last one is remembered, since it is mostly read in pages."""
        if not segment.name:
            return []
        if self._last[0] != segment.sha256:
            format_ = _format_of(segment.name)
            self._last = (segment.sha256, format_.unpack(segment.first, self._files.get(segment)))
        return self._last[1]

    def _all(self) -> Iterator[Placed]:
        for segment in self._files.manifest().segments:
            yield from self._placed(segment)

    def find(self, event_id: str) -> Event | None:
        for segment in reversed(self._files.manifest().segments):
            for _, event in reversed(self._placed(segment)):
                if event.event_id == event_id:
                    return event
        return None

    def find_run(
        self, *, trace_id: str = "", decision_id: str = "", response_id: str = "", session_id: str = ""
    ) -> Event | None:
        for join, value in joins_of(trace_id, decision_id, response_id, session_id):
            runs = [(p, e) for p, e in self._all() if isinstance(e.body, Run) and getattr(e.body, join) == value]
            return choose_run(join, runs)
        return None

    def said_of(self, run: Event) -> Sequence[Event]:
        return [event for _, event in said_of(self._related((run,)), run)]

    def _related(self, runs: Iterable[Event]) -> Events:
        """Everything that has an id in common with one of these runs."""
        names = set().union(*map(_names, runs))
        found = Events()
        for position, event in self._all():
            if not names.isdisjoint(_names(event)):
                found.place(position, event)
        return found

    def count(self) -> int:
        return sum(segment.n for segment in self._files.manifest().segments)

    def check(self) -> Sequence[str]:
        said: list[str] = []
        try:
            segments = self._files.manifest().segments
        except StoreError as error:
            return [str(error)]
        for segment in segments:
            try:
                self._placed(segment)
            except StoreError as error:
                said.append(str(error))
        return said

    # --- taking away ----------------------------------------------------------------------------

    def erase(self, selector: Selector) -> int:
        """As a store's log erases: runs, their decisions and what was said of them. ``before_s`` alone takes
        what is older itself, without looking for what was said of it later."""
        check_selector(selector)
        with self.alone():
            if selector == Selector(before_s=selector.before_s):
                gone = {position for position, event in self._all() if matches(event, selector)}
            else:
                named = [event for _, event in self._all() if matches(event, selector)]
                gone = set(to_erase(self._related(named), selector)) if named else set()
            if gone:
                self._rewrite(gone, is_erasure=True)
        return len(gone)

    def retain(self, *, before_s: float) -> int:
        with self.alone():
            old = {position for position, event in self._all() if event.event_time_s < before_s}
            if old:
                self._rewrite(old, is_erasure=False)
        return len(old)

    def _rewrite(self, gone: set[int], *, is_erasure: bool) -> None:
        """Write the segments anew that hold one of these; what was erased is marked, what grew old is not."""
        manifest = self._files.manifest()
        number, kept = manifest.next_file, list[Segment]()
        for segment in manifest.segments:
            placed = self._placed(segment)
            left = [(p, e) for p, e in placed if p not in gone]
            n_erased = segment.n_erased + (len(placed) - len(left) if is_erasure else 0)
            if len(left) == len(placed):
                kept.append(segment)
            elif left:
                new = self._written(number, segment.first, segment.last, left)
                kept.append(replace(new, is_settled=segment.is_settled, n_erased=n_erased))
                number += 1
            elif is_erasure:
                kept.append(replace(segment, name="", sha256="", n=0, n_erased=n_erased))
        changed = replace(manifest, segments=tuple(kept), next_file=number)
        self._files.save(changed)
        self._files.sweep(changed)
        self._last = ("", [])


def _format_of(name: str) -> Format:
    if name.endswith(".parquet"):
        from hivefeedback_stores.archive_parquet import Parquet

        return Parquet()
    return JsonLines()


def _key(event: Event) -> tuple[str, int, int]:
    return event.producer, event.epoch, event.seq


def _names(event: Event) -> set[tuple[str, str]]:
    """What an event is found by, with the kind of it."""
    body, names = event.body, {("event_id", event.event_id)}
    if isinstance(body, Run):
        names |= {("run_id", event.event_id)} | ({("event_id", body.decision_id)} if body.decision_id else set())
    if isinstance(body, Feedback | Score) and body.run_id:
        names.add(("run_id", body.run_id))
    if isinstance(body, Run | Feedback):
        names |= {(join, getattr(body, join)) for join in JOINS if getattr(body, join)}
    return names

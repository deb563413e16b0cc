"""Between the recorder and the store: questions, answers and commits, with threads or without."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from hivefeedback.hooks import Breath, Commit, Store
from hivefeedback.model import Event
from hivefeedback.model.item import Item
from hivefeedback.recording import Committer, Counters, Edge, Letters, Outgoing, Recorder, write
from hivefeedback.serving import Ring

__all__ = ["Desk"]

_BACKLOG = 10_000
T = TypeVar("T")
Publish = Callable[[Sequence[Event]], object]


def _nothing() -> None:
    """There is nothing to be done without an answer."""


class Desk:
    """Questions go to the committer's thread and answers to the recorder's; a loop with a given clock
    asks and writes at once, on the caller's thread.

    Args:
        store: Who is asked.
        ring: The recorder's, where answers come in.
        counters: Where what goes wrong is counted.
        is_inline: Everything on the caller's thread.
        edge: Says what goes into the log; None: everything.
    """

    def __init__(
        self, store: Store, ring: Ring[Item], counters: Counters, *, is_inline: bool, edge: Edge | None = None
    ) -> None:
        self._store, self._ring, self._counters, self._is_inline = store, ring, counters, is_inline
        self._edge, self._breath = edge, Breath()
        self._backlog: deque[Outgoing] = deque()
        self.has_sent = False
        """True once something was recorded."""
        self.n_asked = 0
        """Questions without an answer yet; of a loop with threads."""

    def open(self, committer: Committer, recorder: Recorder, letters: Letters, publish: Publish) -> None:
        """Who is served, whose letters go along, and who hears of each commit's events; called once, before
        anything else."""
        self._committer, self._recorder, self._letters, self._publish = committer, recorder, letters, publish

    def post(self, call: Callable[[], object]) -> None:
        """Have the recorder do something in its turn."""
        self._ring.put_always((0, 0.0, call))

    # --- questions ------------------------------------------------------------------------------------

    def ask(
        self, question: Callable[[], T], answer: Callable[[T], object], otherwise: Callable[[], object] = _nothing
    ) -> None:
        """Ask the store; the recorder takes the answer, or does what is to be done where there is none."""
        if self._is_inline:
            self._ask_inline(question, answer, otherwise)
            return

        def ask() -> None:
            take = otherwise
            try:
                take = partial(answer, question())
            finally:
                self.post(partial(self._answered, take))

        if self._committer.do(ask):
            self.n_asked += 1
        else:
            otherwise()

    def _ask_inline(
        self, question: Callable[[], T], answer: Callable[[T], object], otherwise: Callable[[], object]
    ) -> None:
        try:
            found = question()
        except Exception as error:  # noqa: BLE001  # the committer's work: the store may be broken in any way
            self._counters.note("store_errors", f"{type(error).__name__}: {error}")
            otherwise()
            return
        answer(found)

    def _answered(self, take: Callable[[], object]) -> None:
        self.n_asked -= 1
        self._recorder.answered(take)

    # --- commits --------------------------------------------------------------------------------------

    def send(self, commit: Commit, given: Sequence[str] = (), n_bytes: int = 0) -> bool:
        """Take a commit of the recorder; False where its number was not needed."""
        self.has_sent = True
        if letters := self._letters.take():
            commit = replace(commit, records=[*commit.records, *letters])
        if commit.events:
            self._publish(commit.events)
        if self._edge is not None:
            commit = replace(commit, events=self._edge.kept(commit.events, self._breath))
        if self._is_inline:
            self._backlog.append(Outgoing(commit, tuple(given), n_bytes))
            self.write()
            return True
        self.n_asked += bool(given)
        return self._committer.send(commit, given, n_bytes)

    def checked(self, repeated: Sequence[Event]) -> None:
        """The committer's thread: these runs of a commit with given ids were in the log already."""
        self.post(partial(self._answered, partial(self._recorder.repeated, repeated)))

    def write(self) -> bool:
        """Write what waits, of a loop without threads; False where the store does not take it."""
        while self._backlog:
            try:
                write(self._store, self._backlog[0], self._counters)
            except Exception as error:  # noqa: BLE001  # the committer's work: the store may be broken in any way
                self._counters.note("store_errors", f"{type(error).__name__}: {error}")
                if len(self._backlog) > _BACKLOG:
                    self._counters["events_uncommitted"] += len(self._backlog.popleft().commit.events)
                return False  # kept, and tried again with the next one
            if repeated := self._backlog.popleft().repeated:
                self._recorder.repeated(repeated)
        return True

"""The journal against a list, written by two handles of one store as by two processes."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from hivefeedback.errors import ConflictError
from hivefeedback.hooks import Store
from hivefeedback.model import JournalEntry
from hivefeedback.testing._machine_base import StoreMachine
from hivefeedback.testing.store_samples import T0

__all__ = ["JournalMachine"]

_WHO = st.sampled_from([0, 1])
_LENGTH_S = 3600.0


class JournalMachine(StoreMachine):
    """Appends to the right head and to wrong ones, with tokens of today and of yesterday, texts, restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = self.folders.next()
        self.stores: list[Store] = [self.contract.make_store(self.folder) for _ in range(2)]
        self.entries: list[JournalEntry] = []
        self.tokens: list[int] = []
        self.texts: dict[str, str] = {}
        self.n = 0

    def _entry(self, token: int = 0, why: str = "") -> JournalEntry:
        self.n += 1
        return JournalEntry(at_s=T0, state="edited", by=f"e{self.n}", token=token, why=why)

    def _is_refused(self, who: int, entry: JournalEntry, expected_head: int) -> bool:
        try:
            written = self.stores[who].journal.append(entry, expected_head=expected_head)
        except ConflictError:
            return True
        assert written == replace(entry, seq=expected_head + 1)
        self.entries.append(written)
        return False

    @rule(who=_WHO)
    def append(self, who: int) -> None:
        assert not self._is_refused(who, self._entry(), len(self.entries))

    @rule(who=_WHO, off=st.sampled_from([-2, -1, 1, 5]))
    def append_to_another_head(self, who: int, off: int) -> None:
        assert self._is_refused(who, self._entry(), len(self.entries) + off)

    @rule(who=_WHO)
    def lead(self, who: int) -> None:
        """Another leader takes over."""
        for name in ("h0", "h1"):
            self.stores[1 - who].config.release(name)
        lease = self.stores[who].config.acquire(f"h{who}", length_s=_LENGTH_S)
        assert lease is not None
        assert lease.token > max(self.tokens, default=0)
        self.tokens.append(lease.token)

    @rule(who=_WHO, back=st.integers(0, 3))
    def append_as_leader(self, who: int, back: int) -> None:
        """Whoever holds the newest token may; an older one is fenced off, whatever its head."""
        if back >= len(self.tokens):
            return
        token = self.tokens[-1 - back]
        assert self._is_refused(who, self._entry(token), len(self.entries)) == (back > 0)

    @rule(who=_WHO, text=st.sampled_from(["", "why", "ünï 🐝"]))
    def say_why(self, who: int, text: str) -> None:
        name = self.stores[who].journal.put_body(text)
        assert self.texts.setdefault(name, text) == text
        assert not self._is_refused(who, self._entry(why=name), len(self.entries))

    @rule(who=_WHO)
    def forget_why(self, who: int) -> None:
        for name in list(self.texts)[:1]:
            assert self.stores[who].journal.erase_body(name)
            del self.texts[name]

    @rule(who=_WHO, after=st.integers(0, 8))
    def read_on(self, who: int, after: int) -> None:
        assert list(self.stores[who].journal.read(after=after)) == self.entries[after:]

    @rule(who=_WHO)
    def restart(self, who: int) -> None:
        self.stores[who].close()
        self.stores[who] = self.contract.make_store(self.folder)

    @invariant()
    def both_see_one_truth(self) -> None:
        for store in self.stores:
            assert store.journal.head() == len(self.entries)
            assert list(store.journal.read()) == self.entries
            assert {name: store.journal.body(name) for name in self.texts} == self.texts

    def teardown(self) -> None:
        for store in self.stores:
            store.close()

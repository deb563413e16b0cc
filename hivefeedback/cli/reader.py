"""Looks at a store without changing a byte of it: for the commands that only read.

A ``FeedbackLoop`` is a producer: it logs that it began, learns, and writes down what it learnt.
Who only asks for numbers must do none of that, must not make a file that was not there, and may
lack the right to write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from hivefeedback.control import Control, ControlOptions, Why
from hivefeedback.engine.assemble import open_store
from hivefeedback.engine.clearing import Cleared, cleared_of, shut_of
from hivefeedback.engine.memory import AgentMemory, Indices, agents_with_memory
from hivefeedback.engine.prompts import Prompts
from hivefeedback.engine.quarantine import QUARANTINE
from hivefeedback.engine.restoring import restore_breakers
from hivefeedback.errors import StoreUnreachableError
from hivefeedback.hooks import Store
from hivefeedback.hooks.guard import PluginInfo
from hivefeedback.hooks.registry import Registry
from hivefeedback.model import OBSERVED, Configuration, Ledger
from hivefeedback.queries import Basis, Shut
from hivefeedback.recording import Breakers
from hivefeedback.settings import Settings, default_store
from hivefeedback.stats import View

__all__ = ["Reader", "check_exists", "check_folder", "file_of", "is_missing", "make_registry", "reading"]


class Reader:
    """An open store, seen from outside.

    Args:
        settings: Of this process.
        registry: The plugins, for the stores among them.
        store: Opened for reading.
        clock: Seconds since 1970 UTC.
    """

    def __init__(self, settings: Settings, registry: Registry, store: Store, clock: Callable[[], float]) -> None:
        self.registry, self.store, self._clock, self._settings = registry, store, clock, settings
        self._control = Control(store, registry, ControlOptions(mode=settings.mode), clock, "reader")
        self.prompts = Prompts(_no_add, lambda: self.configuration, store.journal.body)

    @property
    def configuration(self) -> Configuration:
        """What is served."""
        return self._control.configuration

    @property
    def ledger(self) -> Ledger:
        """The life of every mutation."""
        return self._control.ledger

    def memory(self, agent_id: str) -> AgentMemory:
        """What an agent remembers; looking leaves no trace. Raises InvalidInputError."""
        return AgentMemory(agent_id, self.store, self._clock, Indices(), is_read_only=True)

    def agents_with_memory(self) -> dict[str, int]:
        """Agents that remember something → how many items."""
        return agents_with_memory(self.store)

    def why(self, mutation_id: str) -> Why:
        """The story of a mutation. Raises UnknownNameError."""
        return self._control.why(mutation_id)

    def view(self, window_s: float) -> View:
        """The aggregates of the last ``window_s`` seconds."""
        now_s = self._clock()
        return self.store.aggregates.read(from_s=now_s - window_s, to_s=now_s + 60.0)

    def basis(self, window_s: float) -> Basis:
        """What questions about the last ``window_s`` seconds are answered from."""
        return Basis(
            view=self.view(window_s),
            config=self.configuration,
            rankers=self.registry.rankers,
            ask=self.registry.ask_ranker,
            shut=self._shut(),
            now_s=self._clock(),
        )

    def _shut(self) -> dict[str, Shut]:
        """Open breakers, as the processes that serve have told of them."""
        s = self._settings
        breakers = Breakers(failures=s.breaker_failures, base_s=s.breaker_base_s, cap_s=s.breaker_cap_s)
        restore_breakers(breakers, self.store.state)
        return shut_of(breakers, breakers.open)

    def cleared(self) -> list[Cleared]:
        """Who was cleared from the blacklist by a person."""
        return cleared_of(self.store.state)

    def observed(self) -> list[str]:
        """Deployments that served runs and were never declared."""
        return [r.key for r in self.store.state.list(OBSERVED) if r.key not in self.configuration.deployments]

    def plugins(self) -> list[PluginInfo]:
        """All plugins; those that some process took out of service are marked."""
        for record in self.store.state.list(QUARANTINE):
            self.registry.quarantine(record.key, record.value.decode("utf-8", "replace"))
        return self.registry.plugins()


def _no_add(name: str, text: str) -> int:
    raise AssertionError("a reader adds no prompt")


def make_registry(settings: Settings) -> Registry:
    """The installed plugins that the settings allow.

    Raises:
        ConfigurationError: An option of a built-in plugin is wrong.
    """
    registry = Registry(hook_timeout_s=settings.hook_timeout_s, file_options=settings.options)
    registry.load_entry_points(allow=settings.plugins_allow, deny=settings.plugins_deny)
    return registry


@contextmanager
def reading(settings: Settings, clock: Callable[[], float]) -> Iterator[Reader]:
    """Open the store for reading.

    Raises:
        StoreError: It is not there or cannot be read.
        ConfigurationError: No plugin offers such a store.
    """
    check_exists(settings.store)
    registry = make_registry(settings)
    try:
        store = open_store(registry, settings.store, read_only=True)
        try:
            yield Reader(settings, registry, store, clock)
        finally:
            store.close()
    finally:
        registry.close()


def file_of(url: str) -> Path | None:
    """The file of a store that is one file; None for others.

    >>> file_of("sqlite:///a%20b.db").name, file_of("memory://")
    ('a b.db', None)
    """
    scheme, found, rest = url.partition(":///")
    return Path(unquote(rest)).expanduser() if found and rest and scheme in ("sqlite", "json") else None


def check_exists(url: str) -> None:
    """Refuse to look into a store that nobody has written yet.

    Raises:
        StoreUnreachableError: There is no such file.
    """
    if is_missing(url):
        raise StoreUnreachableError(
            f"nothing was recorded in {url} yet, there is no such file; run your application first, "
            "or name its store with --store or HIVEFEEDBACK_STORE"
        )


def is_missing(url: str) -> bool:
    """True where the store is a file that is not there."""
    path = file_of(url)
    return path is not None and not path.exists()


def check_folder(url: str) -> None:
    """Refuse to make a folder for a store: a slip of the pen would be a store of its own, with nothing in it.

    The folder of the default store is nobody's slip.

    Raises:
        StoreUnreachableError: The store's folder is not there.
    """
    path = file_of(url)
    if path is not None and url != default_store() and not path.parent.is_dir():
        raise StoreUnreachableError(
            f"there is no folder {str(path.absolute().parent)!r} for a store {url}; make it, or name another store "
            "with --store or HIVEFEEDBACK_STORE"
        )

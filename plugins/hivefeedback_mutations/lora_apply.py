"""Executes LORA_APPLY: which registered adapter a deployment is served with.

No extra is needed. By hand, ``None`` takes the adapter off::

    loop = FeedbackLoop(deployments=[Deployment("a", model="llama")], adapters=[Adapter("legal", models=("llama",))])
    loop.propose(Mutation(kind=MutationKind.LORA_APPLY, target="a", to="legal"))

Why this executor is pure, with a server at its side, and not an external one: what decides who
gets the adapter is ``Deployment.adapter`` in the snapshot, so a change of it can be tried on a
share of the sessions, is taken back by the journal within two seconds, and its harm test is the
same as for a model swap. An external act would be all or nothing. The server only has to hold the
adapter ready, which hurts nobody by itself: it is loaded and verified before the canary begins,
under the mutation's id, which the journal holds by then (intent, apply, verify, confirm), and let go
of after the mutation was taken back. After a crash between any two of these steps the next turn
finds the mutation ready and does the same again under the same id, or finds it over and tidies up.

Options::

    options:
      lora: {server: noop, vram_gb: 24}
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from hivefeedback.errors import InvalidInputError, PluginError, UnknownNameError
from hivefeedback.hooks import AdapterServer, Executor, KeepsState, Plugin, State, hookimpl
from hivefeedback.model import (
    Adapter,
    Configuration,
    JsonValue,
    Ledger,
    Mutation,
    MutationKind,
    PutDeployment,
    Receipt,
    live_value,
    patched,
)
from hivefeedback_mutations.noop_server import NoopServer

__all__ = ["LoraApply", "LoraOptions", "LoraPlugin", "adapters_in_use"]

_OVER = frozenset({"rejected", "rolled_back", "failed"})


class LoraApply:
    """Puts a registered adapter on a deployment, loaded at its server first.

    Args:
        server: Where adapters are loaded; default: the one that only records.
        vram_gb: Memory for adapters on that server, in GB; None: no bound.
    """

    kind = MutationKind.LORA_APPLY
    is_external = False

    def __init__(self, server: AdapterServer | None = None, *, vram_gb: float | None = None) -> None:
        self.server: AdapterServer = server if server is not None else NoopServer(vram_gb=vram_gb)
        self._vram_gb = vram_gb

    def open(self, state: State, clock: Callable[[], float]) -> None:
        """Hand the store on to a server that keeps its books there."""
        if isinstance(self.server, KeepsState):
            self.server.open(state, clock)

    def prepare(self, mutation: Mutation, config: Configuration) -> Mutation:
        """Check deployment, adapter, base model and room, fill ``from_`` and ``undo``."""
        live = live_value(config, self.kind, mutation.target)
        adapter = _adapter(mutation, mutation.to, config)
        if mutation.to == live:
            raise InvalidInputError(f"deployment {mutation.target!r} has adapter {live!r} already")
        if adapter is not None:
            self._check(adapter, mutation.target, config)
        from_ = live if mutation.from_ is None else mutation.from_
        undo = mutation.undo or f"serve {mutation.target!r} with {_words(from_)} again"
        return replace(mutation, from_=from_, undo=undo)

    def _check(self, adapter: Adapter, target: str, config: Configuration) -> None:
        model = config.deployments[target].model
        if not adapter.fits(model):
            raise InvalidInputError(
                f"adapter {adapter.name!r} was made for {', '.join(map(repr, adapter.models))}; deployment {target!r} "
                f"has model {model!r}"
            )
        if self._vram_gb is None:
            return
        names = {*adapters_in_use(config), adapter.name}
        needed = sum(config.adapters[name].vram_gb or 0.0 for name in names if name in config.adapters)
        if needed > self._vram_gb:
            raise InvalidInputError(
                f"adapter {adapter.name!r} does not fit: with those in service it would take {needed:g} of "
                f"{self._vram_gb:g} GB; take one of them off first, or raise the option vram_gb of plugin 'lora'"
            )

    def apply(self, mutation: Mutation, config: Configuration) -> Receipt:
        """Load the adapter, see that it is there, then answer the deployment with it."""
        adapter = _adapter(mutation, mutation.to, config)
        did = ""
        if adapter is not None:
            did = self.server.apply(adapter, key=mutation.mutation_id, in_use=adapters_in_use(config))
            if not self.server.verify(key=mutation.mutation_id):
                raise PluginError(f"server {self.server.name!r} did not load adapter {adapter.name!r}: {did}")
        return self._serve(mutation, mutation.to, config, did)

    def verify(self, mutation: Mutation, config: Configuration) -> bool:
        """True where the deployment is served with the adapter."""
        deployment = config.deployments.get(mutation.target)
        return deployment is not None and deployment.adapter == mutation.to

    def undo(self, mutation: Mutation, config: Configuration) -> Receipt:
        """The deployment as before; the server lets go of the adapter when it is tended."""
        return self._serve(mutation, mutation.from_, config, "")

    def tend(self, config: Configuration, ledger: Ledger) -> Sequence[Receipt]:
        """Let go of what was taken back, and load again what is served but no longer there."""
        in_use = adapters_in_use(config)
        loaded = self.server.list()
        self.server.touch(in_use)
        receipts = []
        for key in [key for one in loaded for key in one.keys]:
            life = ledger.lives.get(key)
            if life is not None and life.state in _OVER:
                message = f"adapter {life.mutation.to!r} of {key} was taken back; {self.server.undo(key=key)}"
                receipts.append(Receipt(mutation_id=key, external=True, message=message))
        there = {one.adapter for one in loaded}
        for mutation in _serving(ledger):
            name = str(mutation.to)
            if name in in_use and name not in there and name in config.adapters:
                there.add(name)
                did = self.server.apply(config.adapters[name], key=mutation.mutation_id, in_use=in_use)
                message = f"adapter {name!r} was not loaded any more; {did}"
                receipts.append(Receipt(mutation_id=mutation.mutation_id, external=True, message=message))
        return receipts

    def _serve(self, mutation: Mutation, to: JsonValue, config: Configuration, did: str) -> Receipt:
        live = live_value(config, self.kind, mutation.target)
        if to is not None and not isinstance(to, str):
            raise InvalidInputError(f"LORA_APPLY of {mutation.target!r} names adapter {to!r}; prepare it first")
        changed = msgspec.structs.replace(config.deployments[mutation.target], adapter=to)
        message = f"deployment {mutation.target!r}: {_words(live)} becomes {_words(to)}"
        return Receipt(
            mutation_id=mutation.mutation_id,
            patch=(PutDeployment(changed),),
            message=f"{message} ({did})" if did else message,
        )


def adapters_in_use(config: Configuration) -> frozenset[str]:
    """Adapters that some deployment is served with, in the control arm or in a canary."""
    arms = [config, *(patched(config, rollout.patch) for rollout in config.rollouts.values())]
    return frozenset(d.adapter for arm in arms for d in arm.deployments.values() if d.adapter)


def _serving(ledger: Ledger) -> list[Mutation]:
    lives = [life for life in ledger.lives.values() if life.mutation.kind is MutationKind.LORA_APPLY]
    return [life.mutation for life in reversed(lives) if life.applied_at_s is not None and life.state not in _OVER]


def _adapter(mutation: Mutation, to: JsonValue, config: Configuration) -> Adapter | None:
    """The registered adapter that a value names; None takes the adapter off.

    Raises:
        InvalidInputError: It is no name.
        UnknownNameError: Nobody registered it.
    """
    if to is None:
        return None
    if not isinstance(to, str) or not to.strip():
        raise InvalidInputError(f"LORA_APPLY of {mutation.target!r} has to={to!r}; expected an adapter's name or None")
    adapter = config.adapters.get(to)
    if adapter is None:
        raise UnknownNameError("adapter", to, list(config.adapters))
    return adapter


def _words(adapter: JsonValue) -> str:
    return "no adapter" if adapter is None else f"adapter {adapter!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraOptions:
    """Where adapters are loaded.

    Args:
        server: Name of the server; ``noop`` records and loads nothing.
        vram_gb: Memory for adapters on it, in GB; None: no bound, since nobody said how much there is.
    """

    server: str = "noop"
    vram_gb: float | None = None

    def __post_init__(self) -> None:
        if self.server != NoopServer.name:
            raise ValueError(f"server {self.server!r} is not known; known: {NoopServer.name!r}")
        if self.vram_gb is not None and not 0.0 < self.vram_gb < float("inf"):
            raise ValueError(f"vram_gb is {self.vram_gb!r}; expected a number of GB above 0")


class LoraPlugin(Plugin):
    """Registers the executor. A plugin of your own registers ``LoraApply(your_server)`` instead."""

    name = "lora"
    Options = LoraOptions

    def __init__(self) -> None:
        self._executor = LoraApply()

    def configure(self, options: object) -> None:
        """Take the options."""
        assert isinstance(options, LoraOptions)
        self._executor = LoraApply(vram_gb=options.vram_gb)

    @property
    def note(self) -> str:
        """What people should know who list the plugins."""
        return "server noop: records which adapter is applied, loads nothing" if self._executor.server.is_noop else ""

    @hookimpl
    def hive_executors(self) -> Sequence[Executor]:
        """The executor of LORA_APPLY."""
        return (self._executor,)

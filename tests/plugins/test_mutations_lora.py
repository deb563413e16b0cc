"""LORA_APPLY: a registered adapter is loaded, served to a share, and let go of when it is taken back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest

from hivefeedback.errors import ConflictError, InvalidInputError, PluginError, UnknownNameError
from hivefeedback.hooks import AdapterServer, Executor, LoadedAdapter, Record, State
from hivefeedback.model import (
    Adapter,
    Configuration,
    Deployment,
    EntryState,
    JournalEntry,
    JsonValue,
    Ledger,
    Mutation,
    MutationKind,
    PutDeployment,
    Rollout,
)
from hivefeedback.testing import ExecutorContract, FakeClock
from hivefeedback_mutations import LoraApply, LoraPlugin, ModelSwap, NoopServer
from hivefeedback_mutations.lora_apply import LoraOptions, adapters_in_use
from hivefeedback_stores.memory import MemoryStore

CONFIG = replace(
    ExecutorContract.config,
    deployments={"a": Deployment("a", model="llama", adapter="old"), "b": Deployment("b", model="qwen")},
    adapters={
        "legal": Adapter("legal", tags=("legal",), models=("llama",), vram_gb=2.0),
        "any": Adapter("any", vram_gb=3.0),
        "old": Adapter("old", vram_gb=1.0),
    },
)


def _apply(target: str = "a", to: JsonValue = "legal", mutation_id: str = "m-1") -> Mutation:
    return Mutation(kind=MutationKind.LORA_APPLY, target=target, to=to, mutation_id=mutation_id)


def _ledger(mutation: Mutation, *states: EntryState) -> Ledger:
    first = JournalEntry(seq=1, at_s=1.0, state="proposed", mutation_id=mutation.mutation_id, mutation=mutation)
    rest = [JournalEntry(seq=i, at_s=1.0, state=s, mutation_id="m-1") for i, s in enumerate(states, start=2)]
    return Ledger().after([first, *rest])


class TestLoraApplyKeepsTheContract(ExecutorContract):
    config = CONFIG

    def make_executor(self) -> Executor:
        return LoraApply()

    def make_mutation(self) -> Mutation:
        return _apply(mutation_id="")

    def make_unknown(self) -> Mutation:
        return _apply("nobody")

    def make_nonsense(self) -> Mutation:
        return _apply(to=["legal"])


@pytest.mark.parametrize(
    ("mutation", "error", "words"),
    [
        (_apply(to="nobody"), UnknownNameError, "known: 'any', 'legal', 'old'"),
        (_apply("b"), InvalidInputError, "was made for 'llama'; deployment 'b' has model 'qwen'"),
        (_apply(to=" "), InvalidInputError, "expected an adapter's name or None"),
        (_apply(to=7), InvalidInputError, "expected an adapter's name or None"),
        (_apply(to="old"), InvalidInputError, "has adapter 'old' already"),
        (_apply("b", to=None), InvalidInputError, "has adapter None already"),
    ],
)
def test_an_adapter_that_cannot_be_put_on_a_deployment_is_refused_with_a_sentence(
    mutation: Mutation, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        LoraApply().prepare(mutation, CONFIG)


def test_an_adapter_that_does_not_fit_beside_those_in_service_is_refused_before_anything_is_loaded() -> None:
    """S4.7: memory-efficient adapter management."""
    executor = LoraApply(vram_gb=3.5)
    executor.prepare(_apply("b", to="any"), replace(CONFIG, deployments={"b": Deployment("b")}))  # 3 of 3.5 GB alone
    with pytest.raises(InvalidInputError, match=r"would take 4 of 3\.5 GB"):
        executor.prepare(_apply("b", to="any"), CONFIG)  # the one of "a" is in service
    assert executor.server.list() == ()


def test_the_adapter_of_a_canary_counts_as_in_service() -> None:
    patch = (PutDeployment(Deployment("b", model="qwen", adapter="any")),)
    rollout = Rollout(
        rollout_id="m-1", mutation=_apply("b", "any"), patch=patch, salt="s", share=0.1, step=0, started_at_s=1.0,
        step_started_at_s=1.0,
    )  # fmt: skip
    assert adapters_in_use(replace(CONFIG, rollouts={"m-1": rollout})) == {"old", "any"}


def test_the_receipt_says_that_the_noop_server_loads_nothing() -> None:
    """S4.7: safe no-op fallback."""
    receipt = LoraApply().apply(_apply(), CONFIG)
    assert receipt.message == (
        "deployment 'a': adapter 'old' becomes adapter 'legal' (server noop: recorded, nothing was loaded)"
    )
    assert not receipt.external
    assert LoraApply().apply(_apply(to=None), CONFIG).message == "deployment 'a': adapter 'old' becomes no adapter"


def test_the_noop_server_records_apply_verify_and_undo_once_per_key() -> None:
    """S4.7: performance tracking and rollback."""
    store, clock = MemoryStore(), FakeClock(50.0)
    server = NoopServer()
    server.open(store.state, clock)
    for _ in range(2):
        server.apply(CONFIG.adapters["legal"], key="m-1", in_use=())
    assert server.verify(key="m-1")
    assert not server.verify(key="m-2")
    server.apply(CONFIG.adapters["legal"], key="m-3", in_use=())
    assert [one.keys for one in server.list()] == [("m-1", "m-3")]
    for _ in range(2):
        server.undo(key="m-1")
    assert [one.keys for one in server.list()] == [("m-3",)]
    server.undo(key="m-3")
    assert server.list() == ()
    assert [(a.act, a.key) for a in server.acts] == [
        ("apply", "m-1"), ("verify", "m-1"), ("verify", "m-2"), ("apply", "m-3"), ("undo", "m-1"), ("undo", "m-3"),
    ]  # fmt: skip
    other = NoopServer()
    other.open(store.state, clock)
    assert other.acts == server.acts  # every process sees the same books


def test_the_least_recently_used_adapter_goes_when_room_is_short_and_one_in_service_stays() -> None:
    """S4.7: memory-efficient adapter management."""
    clock = FakeClock(1000.0)
    server = NoopServer(vram_gb=4.0)
    server.open(MemoryStore().state, clock)
    for i, name in enumerate("abc"):
        clock.advance(100.0)
        server.apply(Adapter(name, vram_gb=1.0), key=f"m-{i}", in_use=())
    clock.advance(100.0)
    server.touch({"a"})
    said = server.apply(Adapter("d", vram_gb=2.0), key="m-9", in_use={"a"})
    assert said == "server noop: recorded, nothing was loaded, 'b' would be unloaded for it"
    assert {one.adapter for one in server.list()} == {"a", "c", "d"}
    with pytest.raises(InvalidInputError, match=r"adapter 'e' needs 2 GB; those in service take 3 of 4 GB"):
        server.apply(Adapter("e", vram_gb=2.0), key="m-10", in_use={"a", "d"})
    assert "e" not in {one.adapter for one in server.list()}


def test_an_adapter_of_unknown_size_always_fits_and_is_never_unloaded_for_room() -> None:
    server = NoopServer(vram_gb=1.0)
    server.apply(Adapter("unknown"), key="m-1", in_use=())
    server.apply(Adapter("big", vram_gb=1.0), key="m-2", in_use=())
    assert {one.adapter for one in server.list()} == {"unknown", "big"}


def test_books_that_cannot_be_read_begin_anew() -> None:
    store = MemoryStore()
    store.state.put(Record("adapter_server", "noop", b"{not json"))
    server = NoopServer()
    server.open(store.state, FakeClock())
    server.apply(Adapter("x"), key="m-1", in_use=())
    assert server.verify(key="m-1")


def test_books_that_change_all_the_time_end_in_an_error_that_says_so() -> None:
    server = NoopServer()
    server.open(_Contested(MemoryStore().state), FakeClock())
    with pytest.raises(ConflictError, match="100 times in a row"):
        server.apply(Adapter("x"), key="m-1", in_use=())


def test_tending_lets_go_of_what_was_taken_back_and_only_of_that() -> None:
    """S4.7: rollback capabilities."""
    executor = LoraApply()
    mutation = executor.prepare(_apply(), CONFIG)
    executor.apply(mutation, CONFIG)
    assert executor.tend(CONFIG, _ledger(mutation, "validated")) == []
    assert executor.tend(CONFIG, Ledger()) == []  # of an unknown life nothing can be said
    (receipt,) = executor.tend(CONFIG, _ledger(mutation, "canary", "rolled_back"))
    assert receipt.external
    assert receipt.message.startswith("adapter 'legal' of m-1 was taken back; server noop: recorded")
    assert executor.tend(CONFIG, _ledger(mutation, "canary", "rolled_back")) == []


def test_tending_loads_again_what_is_served_and_no_longer_there() -> None:
    executor = LoraApply()
    mutation = executor.prepare(_apply(), CONFIG)
    served = replace(CONFIG, deployments={"a": Deployment("a", model="llama", adapter="legal")})
    (receipt,) = executor.tend(served, _ledger(mutation, "promoted"))
    assert receipt.message.startswith("adapter 'legal' was not loaded any more")
    assert [one.adapter for one in executor.server.list()] == ["legal"]
    assert executor.tend(served, _ledger(mutation, "promoted")) == []


def test_an_adapter_that_its_server_does_not_show_is_not_served() -> None:
    with pytest.raises(PluginError, match="server 'deaf' did not load adapter 'legal'"):
        LoraApply(_Deaf()).apply(_apply(), CONFIG)


def test_a_model_that_the_adapter_in_service_was_not_made_for_is_no_choice() -> None:
    served = replace(CONFIG, deployments={"a": Deployment("a", model="llama", adapter="legal")})
    swap = Mutation(kind=MutationKind.MODEL_SWAP, target="a", to="qwen")
    with pytest.raises(InvalidInputError, match="adapter 'legal', which was made for 'llama' and not for 'qwen'"):
        ModelSwap().prepare(swap, served)
    assert ModelSwap().prepare(swap, CONFIG).from_ == "llama"  # an adapter for any model, or one nobody registered


def test_options_that_cannot_be_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="server 'gpu' is not known; known: 'noop'"):
        LoraOptions(server="gpu")
    with pytest.raises(ValueError, match="vram_gb is -1"):
        LoraOptions(vram_gb=-1.0)
    plugin = LoraPlugin()
    plugin.configure(LoraOptions(vram_gb=8.0))
    assert plugin.note == "server noop: records which adapter is applied, loads nothing"
    assert [executor.kind for executor in plugin.hive_executors()] == [MutationKind.LORA_APPLY]


def test_a_promotion_can_be_undone_by_the_executor_alone() -> None:
    executor = LoraApply()
    mutation = executor.prepare(_apply(), CONFIG)
    assert mutation.undo == "serve 'a' with adapter 'old' again"
    assert executor.undo(mutation, CONFIG).patch == (PutDeployment(CONFIG.deployments["a"]),)
    with pytest.raises(InvalidInputError, match="prepare it first"):
        executor.undo(replace(mutation, from_=[1]), CONFIG)


class _Deaf:
    """A server that takes everything and does nothing."""

    name, is_noop = "deaf", False

    def apply(self, adapter: Adapter, *, key: str, in_use: Collection[str]) -> str:
        return "done"

    def verify(self, *, key: str) -> bool:
        return False

    def undo(self, *, key: str) -> str:
        return "done"

    def list(self) -> Sequence[LoadedAdapter]:
        return ()

    def touch(self, in_use: Collection[str]) -> None:
        pass


class _Contested:
    """A state in which somebody else is always faster."""

    def __init__(self, state: State) -> None:
        self._state = state

    def get(self, namespace: str, key: str) -> Record | None:
        return self._state.get(namespace, key)

    def put(self, record: Record, *, expected: int | None = None) -> Record:
        raise ConflictError("somebody was faster")

    def delete(self, namespace: str, key: str) -> bool:
        return self._state.delete(namespace, key)

    def list(self, namespace: str, *, prefix: str = "") -> Sequence[Record]:
        return self._state.list(namespace, prefix=prefix)


def test_a_server_is_what_the_protocol_asks_for() -> None:
    servers: list[AdapterServer] = [NoopServer(), _Deaf()]
    assert [server.is_noop for server in servers] == [True, False]
    assert isinstance(CONFIG, Configuration)

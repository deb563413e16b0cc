"""Executors are asked under their plugin's guard: in bounded time, counted, quarantined."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import pytest

from hivefeedback.control.executors import Executors
from hivefeedback.errors import InvalidInputError, PluginError
from hivefeedback.hooks import Executor, Plugin, hookimpl
from hivefeedback.hooks.guard import Guard, PluginInfo
from hivefeedback.hooks.registry import Registry
from hivefeedback.model import Configuration, Deployment, Mutation, Receipt
from hivefeedback.testing.control import SwapExecutor, swap

T = TypeVar("T")
CONFIG = Configuration(deployments={"a": Deployment("a")})


class _Strange(SwapExecutor):
    """An executor whose ``prepare`` does what a test says."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act

    def prepare(self, mutation: Mutation, config: Configuration) -> Mutation:
        self._act()
        return super().prepare(mutation, config)


class _Stranger(Plugin):
    name = "stranger"

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    @hookimpl
    def hive_executors(self) -> Sequence[Executor]:
        return (self._executor,)


class _NotedGuard(Guard):
    """Notes how long each call may take."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed: list[tuple[str, float]] = []

    def call(self, info: PluginInfo, what: str, call: Callable[[], T], *, timeout_s: float, default: T) -> T:
        self.allowed.append((what, timeout_s))
        return super().call(info, what, call, timeout_s=timeout_s, default=default)


@pytest.fixture
def make() -> Iterator[Callable[..., Registry]]:
    made: list[Registry] = []

    def build(executor: Executor, **more: float) -> Registry:
        registry = Registry(hook_timeout_s=more.get("hook_timeout_s", 5.0), max_errors=2)
        registry.add(_Stranger(executor))
        made.append(registry)
        return registry

    yield build
    for registry in made:
        registry.close()


def info_of(registry: Registry) -> PluginInfo:
    return next(p for p in registry.plugins() if p.name == "stranger")


def test_an_executor_that_hangs_is_left_behind_and_quarantined(make: Callable[..., Registry]) -> None:
    release = threading.Event()
    registry = make(_Strange(lambda: release.wait(60)), hook_timeout_s=0.02)
    executors = Executors(registry)
    with pytest.raises(PluginError, match=r"did not return from prepare in time.*hivefeedback plugins list"):
        executors.prepare(swap(), CONFIG)
    assert info_of(registry).state == "quarantined"
    with pytest.raises(PluginError, match="quarantined"):
        executors.verify(swap(), CONFIG)
    release.set()


def test_an_executor_that_raises_is_counted_and_quarantined_after_so_many_errors(
    make: Callable[..., Registry],
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("by zero")

    registry = make(_Strange(fail))
    executors = Executors(registry)
    for _ in range(2):
        with pytest.raises(PluginError, match="failed in prepare: ZeroDivisionError: by zero"):
            executors.prepare(swap(), CONFIG)
    assert (info_of(registry).errors, info_of(registry).state) == (2, "quarantined")


def test_a_refusal_is_an_answer_and_counts_against_nobody(make: Callable[..., Registry]) -> None:
    registry = make(SwapExecutor())
    for _ in range(5):
        with pytest.raises(InvalidInputError, match="deployment 'nobody' is not known"):
            Executors(registry).prepare(swap("nobody"), CONFIG)
    assert (info_of(registry).errors, info_of(registry).state) == (0, "ok")


def test_an_answer_of_the_wrong_type_is_an_error_of_the_plugin(
    make: Callable[..., Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SwapExecutor, "verify", lambda self, mutation, config: "yes")
    registry = make(SwapExecutor())
    with pytest.raises(PluginError, match="answered str; expected bool"):
        Executors(registry).verify(swap(), CONFIG)
    assert info_of(registry).errors == 1


def test_a_kind_that_nobody_executes_is_named() -> None:
    registry = Registry()
    with pytest.raises(InvalidInputError, match="no plugin can execute MODEL_SWAP"):
        Executors(registry).prepare(swap(), CONFIG)
    with pytest.raises(InvalidInputError, match="no plugin can execute MODEL_SWAP"):
        Executors(registry).is_external(swap().kind)
    registry.close()


def test_what_may_act_has_the_time_of_execute_and_the_rest_that_of_a_hook() -> None:
    registry = Registry(hook_timeout_s=1.0, execute_timeout_s=30.0)
    guard = registry.guard = _NotedGuard()
    registry.add(_Stranger(SwapExecutor()))
    guard.allowed.clear()
    executors, prepared = Executors(registry), Executors(registry).prepare(swap(mutation_id="m-1"), CONFIG)
    assert isinstance(registry.execute(prepared, CONFIG), Receipt)
    assert not executors.verify(prepared, CONFIG)
    assert executors.undo(prepared, CONFIG).patch
    assert dict(guard.allowed) == {
        "executor MODEL_SWAP.prepare": 1.0,
        "hive_execute": 30.0,
        "executor MODEL_SWAP": 30.0,
        "executor MODEL_SWAP.verify": 30.0,
        "executor MODEL_SWAP.undo": 30.0,
    }
    registry.close()

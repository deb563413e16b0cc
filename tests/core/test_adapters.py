"""Adapters are registered like deployments: journalled once per content, and served to nobody by that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.errors import ConfigurationError, UnknownNameError
from hivefeedback.model import Adapter, Configuration, Deployment, DropAdapter, PutAdapter, inverse, patched, targets_of
from tests.core.loops import sync_loop


def _states(loop: FeedbackLoop) -> list[str]:
    return [entry.state for entry in loop.store.journal.read()]


def test_registered_adapters_are_part_of_the_configuration_and_a_restart_adds_no_entry(tmp_path: Path) -> None:
    """S4.7: adapters that can be put on deployments."""
    store = f"sqlite:///{tmp_path}/hive.db"
    adapters = [Adapter("legal", tags=("legal",), models=("llama",), vram_gb=1.5), "plain"]
    for _ in range(2):
        with sync_loop("a", store=store, adapters=adapters) as loop:
            assert loop.configuration.adapters == {"legal": adapters[0], "plain": Adapter("plain")}
            assert loop.decide("x").adapter is None
            states = _states(loop)
    assert states == ["declared"] * 3


def test_an_adapter_that_was_removed_by_hand_stays_away_after_a_restart(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/hive.db"
    with sync_loop("a", store=store, adapters=["x"]) as loop:
        loop.remove_adapter("x")
        assert loop.configuration.adapters == {}
    with sync_loop("a", store=store, adapters=["x"]) as loop:
        assert loop.configuration.adapters == {}
        loop.add_adapter("x")
        assert set(loop.configuration.adapters) == {"x"}
        n = len(_states(loop))
        loop.add_adapter("x")  # as it is already
        assert len(_states(loop)) == n


def test_adapters_come_from_the_file_too(tmp_path: Path) -> None:
    file = tmp_path / "hivefeedback.yaml"
    file.write_text("adapters:\n  - name: legal\n    tags: [legal]\n    models: [llama]\n    vram_gb: 2\n  - name: x\n")
    with sync_loop("a", config=file) as loop:
        assert loop.configuration.adapters["legal"] == Adapter("legal", ("legal",), ("llama",), 2.0)
        assert loop.configuration.adapters["x"] == Adapter("x")


@pytest.mark.parametrize(
    ("adapter", "words"),
    [
        (Adapter(""), "give it a stable one"),
        (Adapter("x" * 600), "give it a stable one"),
        (Adapter("x", tags="legal"), "tags of adapter 'x' are 'legal'"),  # type: ignore[arg-type]  # as a caller may slip
        (Adapter("x", models=("",)), "models of adapter 'x'"),
        (Adapter("x", vram_gb=-1.0), "vram_gb of adapter 'x' is -1.0"),
        (Adapter("x", vram_gb=float("nan")), "vram_gb of adapter 'x' is nan"),
        (Adapter("x", vram_gb=True), "vram_gb of adapter 'x' is True"),
        (7, "expected Adapter or a name"),
    ],
)
def test_an_adapter_that_cannot_be_used_is_refused_with_a_sentence(adapter: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        sync_loop("a", adapters=[adapter])
    with sync_loop("a") as loop, pytest.raises(ConfigurationError, match=words):
        loop.add_adapter(adapter)


def test_a_name_that_is_declared_twice_or_not_known_is_named() -> None:
    with pytest.raises(ConfigurationError, match="adapter 'x' is declared twice"):
        sync_loop("a", adapters=["x", Adapter("x", vram_gb=1.0)])
    with sync_loop("a", adapters=["modèle/ü"]) as loop, pytest.raises(UnknownNameError, match="known: 'modèle/ü'"):
        loop.remove_adapter("y")


def test_in_mode_off_registering_does_nothing_and_raises_nothing() -> None:
    with FeedbackLoop("memory://", ["a"], mode="off", adapters=["x"]) as loop:
        loop.add_adapter("y")
        loop.remove_adapter("nobody")
        assert loop.configuration.adapters == {}


def test_the_operations_of_adapters_have_inverses_and_a_target_of_their_own() -> None:
    empty, one = Configuration(), Configuration(adapters={"x": Adapter("x")})
    new = PutAdapter(Adapter("x", vram_gb=1.0))
    assert inverse(empty, (new,)) == (DropAdapter("x"),)
    assert patched(patched(one, (new,)), inverse(one, (new,))) == one
    assert patched(patched(one, (DropAdapter("x"),)), inverse(one, (DropAdapter("x"),))) == one
    assert targets_of((new, DropAdapter("y"))) == {("adapter", "x"), ("adapter", "y")}


def test_registering_an_adapter_ends_no_rollout_of_a_deployment() -> None:
    from tests.core.loops import open_rollout

    with sync_loop(Deployment("a"), "b") as loop:
        open_rollout(loop)
        loop.add_adapter("x")
        assert set(loop.configuration.rollouts) == {"m-1"}

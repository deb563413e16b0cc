"""What is wrong with a declared deployment is told at start, and never looks like a store that is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hivefeedback import Deployment, FeedbackLoop, Price
from hivefeedback.errors import ConfigurationError


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ({"params": None}, "params of deployment 'a' are None; expected a mapping"),
        ({"params": {5: 1}}, "params of deployment 'a' are"),
        ({"params": {"stop": object()}}, "parameter 'stop' of deployment 'a' is <object"),
        ({"params": {"top_p": float("nan")}}, "parameter 'top_p' of deployment 'a' is nan"),
        ({"price": 5}, "price of deployment 'a' is 5; expected Price"),
        ({"price": Price(-1.0, 0.0)}, "price of deployment 'a' is Price"),
        ({"price": Price(0.0, float("inf"))}, "price of deployment 'a' is Price"),
        ({"capability": "9"}, "capability of deployment 'a' is '9'"),
        ({"capability": None}, "capability of deployment 'a' is None"),
        ({"capability": float("nan")}, "capability of deployment 'a' is nan"),
        ({"vram_gb": "8"}, "vram_gb of deployment 'a' is '8'; expected a number of GB"),
        ({"vram_gb": -1}, "vram_gb of deployment 'a' is -1"),
        ({"vram_gb": float("nan")}, "vram_gb of deployment 'a' is nan"),
        ({"tags": "eu"}, "tags of deployment 'a' are 'eu'; expected texts"),
        ({"model": 5}, "model of deployment 'a' is 5"),
        ({"adapter": 5}, "adapter of deployment 'a' is 5"),
    ],
)
def test_a_part_that_cannot_be_used_is_named_at_start(part: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        FeedbackLoop(store=f"sqlite:///{tmp_path / 'hive.db'}", deployments=[Deployment("a", **part)])


def test_the_same_is_told_where_a_deployment_is_added_later() -> None:
    with FeedbackLoop(store="memory://", deployments=["a"], clock=lambda: 1.7e9) as loop:
        with pytest.raises(ConfigurationError, match="vram_gb of deployment 'b'"):
            loop.add_deployment(Deployment("b", vram_gb=-1.0))
        assert list(loop.configuration.deployments) == ["a"]


@pytest.mark.parametrize("given", ["abc", Deployment("a"), 5])
def test_deployments_that_are_no_list_are_not_read_letter_by_letter(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="expected a list"):
        FeedbackLoop(store="memory://", deployments=given)


@pytest.mark.parametrize("given", [["a"], "a", {5: "text"}])
def test_prompts_that_are_no_mapping_of_names_are_told(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="prompts are"):
        FeedbackLoop(store="memory://", prompts=given)


def test_a_clock_that_is_no_function_is_told() -> None:
    clock: Any = 5
    with pytest.raises(ConfigurationError, match="clock is 5"):
        FeedbackLoop(store="memory://", clock=clock)

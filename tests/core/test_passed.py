"""What the host passes in code and is plainly wrong fails at start, before a store is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.errors import ConfigurationError
from hivefeedback.testing import EvenPolicy, FakeClock


class NoHooks:
    """Nothing of it is ever called."""


class HalfAPolicy(EvenPolicy):
    """Lacks a method."""

    shares = None  # type: ignore[assignment]  # wrong on purpose


def fails(*_: object) -> Any:
    raise RuntimeError("boom")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"plugins": ["nope"]}, "plugins holds the text 'nope'; expected an object with hooks"),
        ({"plugins": [3]}, "plugins holds 3, which has no hook"),
        ({"plugins": [None]}, "plugins holds None, which has no hook"),
        ({"plugins": "x"}, "plugins are 'x'; expected a list"),
        ({"plugins": 5}, "plugins are 5; expected a list"),
        ({"plugins": None}, "plugins are None; expected a list"),
        ({"plugins": [NoHooks()]}, "NoHooks object at .*, which has no hook"),
        ({"options": {"degradation": 5}}, "options of plugin 'degradation' are 5; expected a mapping"),
        ({"options": {5: {}}}, "options are given for 5; expected the name of a plugin"),
        ({"options": [1]}, r"options are \[1\]; expected such as"),
        ({"options": {"nobody": {}}}, "options are given for plugin 'nobody', which is not known; known: "),
        ({"policy": 5}, "policy is 5; expected the name of a policy"),
        ({"policy": "nope"}, "policy 'nope' is not known; known: "),
        ({"policy": HalfAPolicy()}, "policy is .*HalfAPolicy.*; which lacks shares"),
        ({"policy": lambda seed: 5}, "policy is 5; expected the name of a policy"),
        ({"policy": fails}, "the policy could not be made: RuntimeError: boom"),
        ({"clock": fails}, "clock failed with RuntimeError: boom; expected a function"),
        ({"clock": lambda: "now"}, "clock answered 'now'; expected a function"),
        ({"clock": lambda: float("nan")}, "clock answered nan; expected a function"),
    ],
)
def test_what_is_plainly_wrong_is_told_by_name(
    given: dict[str, Any], says: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path / 'hive.db'}"
    with pytest.raises(ConfigurationError, match=says):
        FeedbackLoop(url, ["a"], **given)
    assert "memory:// stands in" not in caplog.text


@pytest.mark.parametrize("given", [{"plugins": [3]}, {"policy": 5}, {"policy": "nope"}, {"clock": fails}])
def test_nothing_is_opened_where_something_is_wrong(given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        FeedbackLoop(f"sqlite:///{tmp_path / 'hive.db'}", ["a"], **given)
    assert not list(tmp_path.glob("hive*"))


def test_a_plugin_that_only_speaks_needs_no_hook() -> None:
    class Speaker:
        name = "speaker"
        voice: object = None

        def take_voice(self, voice: object) -> None:
            self.voice = voice

    speaker = Speaker()
    with FeedbackLoop("memory://", ["a"], plugins=[speaker], clock=FakeClock()):
        assert speaker.voice is not None

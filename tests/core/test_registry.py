"""What may not be registered is refused at start with a sentence that names it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from hivefeedback.errors import ConfigurationError
from hivefeedback.hooks import Executor, Plugin, Ranker, StoreFactory, hookimpl
from hivefeedback.hooks.registry import Registry
from hivefeedback.model import Run
from tests.core.loops import sync_loop


class Misspelt:
    name = "misspelt"

    @hookimpl
    def hive_colect(self, events: object) -> None: ...


class Unmarked:
    name = "unmarked"

    def hive_collect(self, events: object) -> None: ...


class WrongArgument:
    name = "wrong_argument"

    @hookimpl
    def hive_collect(self, evnts: object) -> None: ...


class Quiet(Plugin):
    name = "quiet"


class BadThings(Plugin):
    name = "bad_things"

    @hookimpl
    def hive_executors(self) -> Sequence[Executor]:
        return [SimpleNamespace(kind="NO_SUCH_KIND")]

    @hookimpl
    def hive_rankers(self) -> Sequence[Ranker]:
        return [object()]  # type: ignore[list-item]  # wrong on purpose


@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        (Misspelt(), "hive_colect"),
        (Unmarked(), "hive_collect is not marked"),
        (WrongArgument(), "evnts"),
        (Quiet, "pass an instance"),
        (BadThings(), "cannot be used"),
    ],
)
def test_a_plugin_that_would_be_silent_or_wrong_is_refused(plugin: object, says: str) -> None:
    registry = Registry()
    with pytest.raises(ConfigurationError, match=says):
        registry.add(plugin)
    assert [p.name for p in registry.plugins()] == ["core"]
    with pytest.raises(ConfigurationError, match=says):
        sync_loop(plugins=[plugin])


def test_two_plugins_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="'quiet' is registered already"):
        sync_loop(plugins=[Quiet(), Quiet()])


@dataclass(frozen=True)
class Knobs:
    limit: int = 5
    names: tuple[str, ...] = ()
    is_on: bool = False


class Knobby(Plugin):
    name = "knobby"
    Options: ClassVar[type] = Knobs
    got: Any = None

    def configure(self, options: object) -> None:
        self.got = options


def test_options_come_from_the_constructor_else_the_environment_else_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    path = tmp_path / "hivefeedback.yaml"
    path.write_text("options: {knobby: {limit: 7, names: [x], is_on: true}}\n", encoding="utf-8")
    plugin = Knobby()
    monkeypatch.setenv("HIVEFEEDBACK_KNOBBY_LIMIT", "8")
    monkeypatch.setenv("HIVEFEEDBACK_KNOBBY_IS_ON", "false")
    with sync_loop(plugins=[plugin], config=path, options={"knobby": {"names": ["y", "z"]}}):
        assert plugin.got == Knobs(limit=8, names=("y", "z"), is_on=False)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"knobby": {"limit": "many"}}, "option 'limit' of plugin 'knobby' is 'many'"),
        ({"knobby": {"limits": 5}}, "option 'limits' of plugin 'knobby' is not known; known: is_on, limit, names"),
        ({"knoby": {"limit": 5}}, "plugin 'knoby', which is not known"),
        ({"quiet": {"limit": 5}}, "plugin 'quiet', which has none"),
    ],
)
def test_a_wrong_option_fails_at_start_and_names_itself(options: Mapping[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        sync_loop(plugins=[Knobby(), Quiet()], options=options)


def test_a_wrong_option_in_file_or_environment_fails_at_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    path = tmp_path / "hivefeedback.yaml"
    path.write_text("options: {nobody: {limit: 7}}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="'nobody', which is not known"):
        sync_loop(config=path)
    monkeypatch.setenv("HIVEFEEDBACK_KNOBBY_LIMIT", "x")
    with pytest.raises(ConfigurationError, match="'limit' of plugin 'knobby' is 'x'"):
        sync_loop(plugins=[Knobby()])


def test_options_of_a_plugin_that_is_installed_but_denied_are_no_error() -> None:
    with sync_loop(options={"pattern": {"patterns": {}}}) as loop:
        assert "pattern" not in {p.name for p in loop.plugins()}


class _Point:
    """An entry point of a distribution that does not exist."""

    group = "hivefeedback"

    def __init__(self, name: str, plugin: object, dist: str = "stranger") -> None:
        self.name, self._plugin = name, plugin
        self.dist = SimpleNamespace(name=dist, version="1.0")

    def load(self) -> object:
        if isinstance(self._plugin, Exception):
            raise self._plugin
        return self._plugin


def installed(monkeypatch: pytest.MonkeyPatch, *points: _Point) -> None:
    real = importlib.metadata.entry_points

    def found(**chosen: Any) -> list[Any]:
        return [*points, *real(**chosen)]

    monkeypatch.setattr("hivefeedback.hooks.registry.entry_points", found)


@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        (ImportError("no module named vendor"), "no module named vendor"),
        (SyntaxError("bad code"), "bad code"),
        (Misspelt, "hive_colect"),
        (Unmarked, "not marked"),
        (BadThings, "cannot be used"),
    ],
)
def test_an_installed_plugin_that_fails_to_load_is_listed_as_broken_and_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, plugin: object, says: str
) -> None:
    installed(monkeypatch, _Point("vendor", plugin))
    with sync_loop(allow=("stores", "vendor")) as loop:
        info = next(p for p in loop.plugins() if p.name == "vendor")
        assert (info.state, info.origin) == ("broken", "stranger 1.0")
        assert says in info.last_error
        assert loop.record(Run("a", "x"))


def test_a_stranger_cannot_take_the_name_of_a_built_in_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake(Plugin):
        @hookimpl
        def hive_stores(self) -> Mapping[str, StoreFactory]:
            raise AssertionError("never asked")

    installed(monkeypatch, _Point("stores", Fake))
    with sync_loop() as loop:
        info = next(p for p in loop.plugins() if p.name == "stores")
        assert info.origin.startswith("hivefeedback ")
        assert info.state == "ok"


def test_denied_plugins_are_not_even_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, _Point("vendor", AssertionError("loaded")))
    with sync_loop(allow=None, plugins_deny=["vendor"]) as loop:
        assert "vendor" not in {p.name for p in loop.plugins()}


def test_a_slip_in_the_name_of_a_denied_plugin_is_told_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    installed(monkeypatch, _Point("vendor", AssertionError("loaded")))
    with sync_loop(allow=None, plugins_deny=["vendro", "vendor"]) as loop:
        assert loop.registry.slips == [
            "plugins_deny names plugin 'vendro', which is not installed; did you mean 'vendor'?"
        ]
    assert loop.registry.slips[0] in caplog.messages

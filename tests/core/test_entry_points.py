"""A stranger's plugin comes in through an entry point, and each of its hooks is called."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from hivefeedback.hooks import (
    ArchiveFactory,
    Collected,
    Command,
    Executor,
    Gate,
    HttpRoute,
    Plugin,
    PolicyFactory,
    Ranker,
    Scorer,
    StoreFactory,
    hookimpl,
)
from hivefeedback.hooks.registry import Registry
from hivefeedback.model import (
    Configuration,
    Event,
    Finding,
    Ledger,
    Mutation,
    MutationKind,
    Outlook,
    Plan,
    Receipt,
    Rollout,
    Run,
    StepCounts,
    Verdict,
)
from hivefeedback.stats import View

MUTATION = Mutation(kind=MutationKind.MODEL_SWAP, target="a", to="n", mutation_id="m-1")
ROLLOUT = Rollout(
    rollout_id="m-1",
    mutation=MUTATION,
    patch=(),
    salt="s",
    share=0.05,
    step=0,
    started_at_s=0.0,
    step_started_at_s=0.0,
)
VIEW = View(asked_from_s=0.0, asked_to_s=60.0)
EVENT = Event("p", 1, 1, "r-1", 0.0, 0.0, Run("a", "x", run_id="r-1"))
CALLED: list[str] = []
REGISTERED = ("stores", "policies", "rankers", "scorers", "gates", "executors", "routes", "commands")
STAGES = ("collect", "analyze", "plan", "validate", "execute", "monitor")


@dataclass(frozen=True)
class Told:
    """What a stranger's plugin may be told."""

    severity: float = 0.5
    tags: tuple[str, ...] = field(default=())


class Stranger(Plugin):
    """Implements every hook and says that it was called."""

    name: ClassVar[str] = "stranger"
    Options = Told
    told: Told = Told()

    def configure(self, options: object) -> None:
        assert isinstance(options, Told)
        self.told = options

    @hookimpl
    def hive_collect(self, events: Sequence[Event]) -> Collected | None:
        CALLED.append("hive_collect")
        return None

    @hookimpl
    def hive_analyze(self, view: View, config: Configuration, now_s: float) -> Sequence[Finding]:
        CALLED.append("hive_analyze")
        return [Finding(finding_id="f", analyzer=self.name, kind="odd", message="odd", severity=self.told.severity)]

    @hookimpl
    def hive_plan(
        self, findings: Sequence[Finding], view: View, config: Configuration, now_s: float
    ) -> Sequence[Mutation]:
        CALLED.append("hive_plan")
        return [MUTATION]

    @hookimpl
    def hive_validate(
        self, plan: Plan, view: View, config: Configuration, ledger: Ledger, now_s: float
    ) -> Sequence[Verdict]:
        CALLED.append("hive_validate")
        return [Verdict(gate=self.name, mutation_id="m-1", answer="ask", reason="a person should look")]

    @hookimpl
    def hive_execute(self, mutation: Mutation, config: Configuration) -> Receipt | None:
        CALLED.append("hive_execute")
        return Receipt(mutation_id=mutation.mutation_id)

    @hookimpl
    def hive_monitor(self, rollout: Rollout, counts: Sequence[StepCounts], view: View, now_s: float) -> Outlook | None:
        CALLED.append("hive_monitor")
        return Outlook(rollout_id=rollout.rollout_id, decided="continue", reason="too early")

    @hookimpl
    def hive_stores(self) -> Mapping[str, StoreFactory]:
        CALLED.append("hive_stores")
        return {}

    @hookimpl
    def hive_archives(self) -> Mapping[str, ArchiveFactory]:
        CALLED.append("hive_archives")
        return {}

    @hookimpl
    def hive_policies(self) -> Mapping[str, PolicyFactory]:
        CALLED.append("hive_policies")
        return {}

    @hookimpl
    def hive_scorers(self) -> Sequence[Scorer]:
        CALLED.append("hive_scorers")
        return ()

    @hookimpl
    def hive_rankers(self) -> Sequence[Ranker]:
        CALLED.append("hive_rankers")
        return ()

    @hookimpl
    def hive_executors(self) -> Sequence[Executor]:
        CALLED.append("hive_executors")
        return ()

    @hookimpl
    def hive_gates(self) -> Sequence[Gate]:
        CALLED.append("hive_gates")
        return ()

    @hookimpl
    def hive_routes(self) -> Sequence[HttpRoute]:
        CALLED.append("hive_routes")
        return [HttpRoute("GET", "/stranger", lambda body: {"ok": True})]

    @hookimpl
    def hive_commands(self) -> Sequence[Command]:
        CALLED.append("hive_commands")
        return [Command("stranger", "Say hello.", lambda store: 0)]


def install(folder: Path, points: dict[str, str]) -> None:
    """Put a distribution with entry points where importlib.metadata finds it."""
    info = folder / "hivefeedback_stranger-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hivefeedback-stranger\nVersion: 1.2\n")
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (info / "entry_points.txt").write_text(f"[hivefeedback]\n{lines}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the import path, for distributions and modules that are made up."""
    path = tmp_path / "site"
    path.mkdir()
    monkeypatch.syspath_prepend(str(path))
    monkeypatch.setitem(sys.modules, "hivefeedback_stranger", sys.modules[__name__])
    CALLED.clear()
    return path


@pytest.fixture
def registry() -> Iterator[Registry]:
    made = Registry(is_inline=True)
    yield made
    made.close()


def test_every_hook_of_an_installed_plugin_is_called(folder: Path, registry: Registry) -> None:
    install(folder, {"stranger": "hivefeedback_stranger:Stranger"})
    registry.load_entry_points(allow=["stranger"])
    things = ["stores", "policies", "rankers", "scorers", "gates", "executors", "routes", "commands", "archives"]
    assert [f"hive_{n}" for n in things] == CALLED
    CALLED.clear()
    registry.collect([EVENT])
    findings = registry.analyze(VIEW, Configuration(), 0.0)
    planned = registry.plan(findings, VIEW, Configuration(), 0.0)
    verdicts = registry.validate(Plan(plan_id="p", mutations=(MUTATION,)), VIEW, Configuration(), Ledger(), 0.0)
    receipt = registry.execute(MUTATION, Configuration())
    outlooks = registry.monitor(ROLLOUT, (), VIEW, 0.0)
    assert [f"hive_{n}" for n in STAGES] == CALLED
    assert [f.kind for f in findings] == ["odd"]
    assert planned == [MUTATION]
    assert [v.answer for v in verdicts] == ["ask"]
    assert receipt == Receipt(mutation_id="m-1")
    assert [o.decided for o in outlooks] == ["continue"]
    assert [r.path for r in registry.routes] == ["/stranger"]
    assert [c.name for c in registry.commands] == ["stranger"]


def test_an_installed_plugin_is_listed_with_its_distribution_and_version(folder: Path, registry: Registry) -> None:
    install(folder, {"stranger": "hivefeedback_stranger:Stranger"})
    registry.load_entry_points(allow=["stranger"])
    info = next(p for p in registry.plugins() if p.name == "stranger")
    assert (info.origin, info.state, info.is_builtin) == ("hivefeedback-stranger 1.2", "ok", False)


def test_options_come_from_constructor_before_environment_before_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(folder, {"stranger": "hivefeedback_stranger:Stranger"})
    from_file = {"stranger": {"severity": 0.1, "tags": ["file"]}}

    def severity(given: dict[str, dict[str, object]]) -> float:
        made = Registry(is_inline=True, options=given, file_options=from_file)
        made.load_entry_points(allow=["stranger"])
        found = made.analyze(VIEW, Configuration(), 0.0)
        made.close()
        return found[0].severity

    assert severity({}) == 0.1
    monkeypatch.setenv("HIVEFEEDBACK_STRANGER_SEVERITY", "0.2")
    assert severity({}) == 0.2
    assert severity({"stranger": {"severity": 0.3}}) == 0.3


def test_a_plugin_that_fails_to_import_is_listed_as_broken_and_the_others_work(
    folder: Path, registry: Registry
) -> None:
    (folder / "hivefeedback_broken_thing.py").write_text("raise RuntimeError('no such GPU')\n")
    points = {"a_broken": "hivefeedback_broken_thing:X", "b_gone": "no_such_module:X", "c_name": "sys:NoSuchName"}
    install(folder, {**points, "stranger": "hivefeedback_stranger:Stranger"})
    registry.load_entry_points(allow=[*points, "stranger"])
    states = {p.name: p.state for p in registry.plugins() if p.name in (*points, "stranger")}
    assert states == {"a_broken": "broken", "b_gone": "broken", "c_name": "broken", "stranger": "ok"}
    assert "no such GPU" in next(p.last_error for p in registry.plugins() if p.name == "a_broken")
    assert len(registry.analyze(VIEW, Configuration(), 0.0)) == 1


def test_a_denied_plugin_is_not_even_imported(folder: Path, registry: Registry) -> None:
    (folder / "hivefeedback_denied_thing.py").write_text("raise SystemExit('imported')\n")
    install(folder, {"denied": "hivefeedback_denied_thing:X"})
    registry.load_entry_points(allow=["denied"], deny=["denied"])
    assert [p.name for p in registry.plugins() if p.name == "denied"] == []
    assert "hivefeedback_denied_thing" not in sys.modules

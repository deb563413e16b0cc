"""The one place that touches pluggy's untyped relay.

pluggy loses the whole call when one implementation raises, accepts misspelt hooks and passes
wrong types on. So implementations are called one by one under a guard, every registration is
checked at once, and answers are checked at the border. One broken plugin costs its own answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Final, TypeVar

import pluggy
from opentelemetry import trace

from hivefeedback import telemetry
from hivefeedback.errors import ConfigurationError, UnknownNameError
from hivefeedback.hooks import specs
from hivefeedback.hooks.border import CHECKS, anything, check_marks
from hivefeedback.hooks.guard import Guard, PluginInfo
from hivefeedback.hooks.options import build_options
from hivefeedback.hooks.pipeline import EVERYTHING, StageRule
from hivefeedback.hooks.protocols import ArchiveFactory, Executor, Gate, Ranker, Scorer, Speaks, StoreFactory, Voice
from hivefeedback.hooks.samplers import Samplers
from hivefeedback.hooks.specs import Collected, Command, HttpRoute, PolicyFactory
from hivefeedback.hooks.stages import CoreStages
from hivefeedback.hooks.tracing import span
from hivefeedback.hooks.verdicts import about, refusals
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
    StepCounts,
    Verdict,
)
from hivefeedback.stats import View

__all__ = ["ENTRY_POINT_GROUP", "Registry"]

log = logging.getLogger(__name__)
T = TypeVar("T")

ENTRY_POINT_GROUP = "hivefeedback"
_REGISTRATION = frozenset(
    f"hive_{what}"
    for what in ["stores", "policies", "scorers", "rankers", "executors", "gates", "routes", "commands", "archives"]
)
"""Hooks that are called once, when the loop is made; they are no part of a stage and make no span."""
_Impl = tuple[PluginInfo, Callable[..., Any], tuple[str, ...]]
_FAILED: Final = object()
BUILT_IN = "hivefeedback"
"""Name of the distribution whose plugins are trusted not to hang."""


class Registry:
    """All plugins of one loop, and one typed method per hook.

    Args:
        hook_timeout_s: How long a hook may take; ``execute_timeout_s`` the same for execute.
        max_errors: Errors in a row after which a plugin is quarantined.
        is_inline: Call on the caller's thread without timeouts.
        options: Options by plugin name, from the constructor.
        file_options: The same from the configuration file.
        pipeline: What differs from "each stage asks all its plugins", by hook.
    """

    def __init__(
        self,
        *,
        hook_timeout_s: float = 5.0,
        execute_timeout_s: float = 60.0,
        max_errors: int = 5,
        is_inline: bool = False,
        options: Mapping[str, Mapping[str, object]] | None = None,
        file_options: Mapping[str, Mapping[str, object]] | None = None,
        pipeline: Mapping[str, StageRule] | None = None,
    ) -> None:
        self._pipeline = dict(pipeline or {})
        self.guard = Guard(max_errors=max_errors, is_inline=is_inline)
        self._hook_timeout_s, self._execute_timeout_s = hook_timeout_s, execute_timeout_s
        self._options, self._file_options = dict(options or {}), dict(file_options or {})
        self._manager = pluggy.PluginManager("hivefeedback")
        self._manager.add_hookspecs(specs)
        self._infos: dict[str, PluginInfo] = {}
        self._installed: set[str] = set()
        self.slips: list[str] = []
        self._owner: dict[int, str] = {}
        self._impls: dict[str, list[_Impl]] = {}
        self._stages = CoreStages(self._guarded)
        self._stores: dict[str, StoreFactory] = {}
        self._archives: dict[str, ArchiveFactory] = {}
        self._policies: dict[str, PolicyFactory] = {}
        self._rankers: dict[str, Ranker] = {}
        self._routes: list[HttpRoute] = []
        self._commands: list[Command] = []
        self._samplers = Samplers(self.guard, self._infos, self._manager.get_plugin, timeout_s=hook_timeout_s)
        self.add(self._stages, is_builtin=True, origin="core")

    # --- registration -------------------------------------------------------------------------

    def load_entry_points(self, *, allow: Iterable[str] | None = None, deny: Iterable[str] = ()) -> None:
        """Load every installed plugin of the group; one that fails is listed as broken.

        A name in ``allow`` or ``deny`` that no installed plugin has is warned of, and kept in ``slips``.
        """
        allowed = None if allow is None else set(allow)
        denied = set(deny)
        for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=_ours_first):
            self._installed.add(point.name)
            if point.name not in denied and (allowed is None or point.name in allowed):
                self._load(point)
        for setting, names in (("plugins_allow", allowed or set()), ("plugins_deny", denied)):
            for sentence in self._unknown(setting, names):
                log.warning("%s", sentence)
                self.slips.append(sentence)

    def _unknown(self, setting: str, names: set[str]) -> list[str]:
        sentences = []
        for name in sorted(names - self._installed):
            near = get_close_matches(name, sorted(self._installed), n=1)
            hint = f"did you mean {near[0]!r}?" if near else "'hivefeedback plugins list' shows them"
            sentences.append(f"{setting} names plugin {name!r}, which is not installed; {hint}")
        return sentences

    def check_options(self) -> None:
        """Refuse options of plugins that nobody knows, once all plugins are there.

        Raises:
            ConfigurationError: The message names them and the plugins that there are.
        """
        for name in (*self._options, *self._file_options):
            if name not in self._infos and name not in self._installed:
                known = ", ".join(sorted(self._infos))
                raise ConfigurationError(f"options are given for plugin {name!r}, which is not known; known: {known}")

    def _load(self, point: EntryPoint) -> None:
        dist = point.dist
        name = dist.name if dist else "unknown"
        origin = f"{name} {dist.version}" if dist else name
        if point.name in self._infos:
            log.warning("plugin %r of %s is left out: the name is taken; rename or deny one", point.name, origin)
            return
        try:
            plugin = point.load()
            plugin = plugin() if isinstance(plugin, type) else plugin
            self.add(plugin, name=point.name, origin=origin, is_builtin=name == BUILT_IN)
        except ConfigurationError as error:
            if name == BUILT_IN or point.name in self._options:
                raise  # the user set a wrong option: say so at start
            self._broken(point.name, origin, str(error))
        except Exception as error:  # noqa: BLE001  # the plugin guard: a stranger's import may raise anything
            self._broken(point.name, origin, f"{type(error).__name__}: {error}")

    def _broken(self, name: str, origin: str, error: str) -> None:
        log.warning("plugin %r (%s) could not be loaded: %s", name, origin, error)
        self._infos[name] = PluginInfo(name=name, origin=origin, state="broken", errors=1, last_error=error[:500])

    def add(self, plugin: object, *, name: str = "", origin: str = "passed", is_builtin: bool = False) -> PluginInfo:
        """Register one plugin object and take in what it registers.

        Raises:
            ConfigurationError: It has a misspelt or unmarked hook, a wrong argument or option.
        """
        name = name or getattr(plugin, "name", "") or type(plugin).__name__
        if isinstance(plugin, type):
            raise ConfigurationError(f"plugin {name!r} is a class; pass an instance: {plugin.__name__}()")
        if name in self._infos:
            raise ConfigurationError(f"a plugin called {name!r} is registered already; give yours another name")
        check_marks(name, plugin)
        self._configure(name, plugin)
        try:
            self._manager.register(plugin, name=name)
            self._manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            raise ConfigurationError(f"plugin {name!r}: {error}") from error
        callers = self._manager.get_hookcallers(plugin) or []
        hooks = tuple(sorted(c.name for c in callers))
        note = str(getattr(plugin, "note", "") or "")[:200]
        info = PluginInfo(name=name, origin=origin, is_builtin=is_builtin, hooks=hooks, note=note)
        self._infos[name] = info
        self._samplers.look_again()
        for caller in callers:
            for impl in caller.get_hookimpls():
                if impl.plugin is plugin:
                    entry = (info, impl.function, tuple(impl.argnames))
                    self._impls.setdefault(caller.name, []).append(entry)
        try:
            self._take_in(info)
        except Exception as error:  # the plugin guard: what a stranger registers may be anything
            self._drop(info)
            raise ConfigurationError(f"plugin {name!r} registers something that cannot be used: {error}") from error
        return info

    def _drop(self, info: PluginInfo) -> None:
        """Take back what was registered of a plugin."""
        self._manager.unregister(name=info.name)
        del self._infos[info.name]
        for hook, entries in self._impls.items():
            self._impls[hook] = [entry for entry in entries if entry[0] is not info]

    def _configure(self, name: str, plugin: object) -> None:
        options = getattr(plugin, "Options", None)
        configure = getattr(plugin, "configure", None)
        if isinstance(options, type) and callable(configure):
            given, from_file = self._options.get(name, {}), self._file_options.get(name, {})
            configure(build_options(name, options, given=given, from_file=from_file))
        elif self._options.get(name):
            raise ConfigurationError(f"options are given for plugin {name!r}, which has none")

    def _take_in(self, info: PluginInfo) -> None:
        """Ask a new plugin for what it registers, and remember whose each thing is."""
        for answer in self._ask(info, "hive_stores", Mapping):
            self._stores.update(answer)
        for answer in self._ask(info, "hive_policies", Mapping):
            self._policies.update(answer)
        for ranker in self._things(info, "hive_rankers"):
            self._rankers[ranker.name] = ranker
        self._stages.scorers = sorted((*self._stages.scorers, *self._things(info, "hive_scorers")), key=_name)
        self._stages.gates = sorted((*self._stages.gates, *self._things(info, "hive_gates")), key=_name)
        for executor in self._things(info, "hive_executors"):
            self._stages.executors[MutationKind(executor.kind)] = executor
        self._routes += self._things(info, "hive_routes")
        self._commands += self._things(info, "hive_commands")
        for answer in self._ask(info, "hive_archives", Mapping):
            self._archives.update(answer)

    def _things(self, info: PluginInfo, hook: str) -> list[Any]:
        things = [thing for answer in self._ask(info, hook, Sequence) for thing in answer]
        for thing in things:
            self._owner[id(thing)] = info.name
        return things

    def _ask(self, info: PluginInfo, hook: str, kind: type[Any]) -> list[Any]:
        answers = [self._one(entry, hook, {}) for entry in self._impls.get(hook, ()) if entry[0] is info]
        return [a for a in answers if isinstance(a, kind)]

    # --- calls ------------------------------------------------------------------------------------

    def _one(self, impl: _Impl, hook: str, values: dict[str, Any], *, failed: object = None) -> Any:
        """One implementation's answer; None where it has nothing to say, ``failed`` where it failed."""
        info, function, names = impl
        check = CHECKS.get(hook, anything)
        timeout_s = self._timeout_s(hook)

        def call() -> Any:
            answer = function(*(values[n] for n in names))
            checked = None if answer is None else check(answer)
            return about(values["plan"], checked) if checked and hook == "hive_validate" else checked

        if hook in _REGISTRATION:
            return self.guard.call(info, hook, call, timeout_s=timeout_s, default=None)
        attributes = {telemetry.HOOK_NAME: hook, telemetry.PLUGIN_NAME: info.name}
        with span(f"{telemetry.SPAN_HOOK} {hook}", attributes) as current:
            errors = info.errors
            answer = self.guard.call(info, hook, call, timeout_s=timeout_s, default=failed)
            if info.errors != errors:
                current.set_status(trace.StatusCode.ERROR, info.last_error)
            return answer

    def _timeout_s(self, hook: str) -> float:
        own = self._pipeline.get(hook, EVERYTHING).timeout_s
        return own or (self._execute_timeout_s if hook == "hive_execute" else self._hook_timeout_s)

    def _asked(self, hook: str) -> Sequence[_Impl]:
        """The implementations that the pipeline lets take part."""
        entries, rule = self._impls.get(hook, ()), self._pipeline.get(hook, EVERYTHING)
        return entries if rule is EVERYTHING else [entry for entry in entries if rule.asks(entry[0].name)]

    def _all(self, hook: str, **values: Any) -> list[Any]:
        answers = [self._one(entry, hook, values) for entry in self._asked(hook)]
        return [a for a in answers if a is not None]

    def _guarded(self, thing: object, what: str, call: Callable[[], object], *, may_act: bool = False) -> object:
        info = self._infos[self._owner.get(id(thing), "core")]
        timeout_s = self._timeout_s("hive_execute") if may_act else self._hook_timeout_s
        return self.guard.call(info, what, call, timeout_s=timeout_s, default=None)

    @property
    def has_collectors(self) -> bool:
        """True where a collect hook would be called at all."""
        return bool(self._asked("hive_collect")) and (
            bool(self._stages.scorers) or len(self._asked("hive_collect")) > 1
        )

    def collect(self, events: Sequence[Event]) -> list[Collected]:
        """Call ``hive_collect``; what one implementation scrubbed, the next ones do not see."""
        answers: list[Collected] = []
        for entry in self._asked("hive_collect"):
            answer = self._one(entry, "hive_collect", {"events": events})
            if isinstance(answer, Collected):
                answers.append(answer)
                scrubbed = {event.event_id: event for event in answer.scrubbed}
                if scrubbed:
                    events = tuple(scrubbed.get(event.event_id, event) for event in events)
        return answers

    def analyze(self, view: View, config: Configuration, now_s: float) -> list[Finding]:
        """Call ``hive_analyze``; the most severe finding first."""
        found: list[Finding] = _flat(self._all("hive_analyze", view=view, config=config, now_s=now_s))
        return sorted(found, key=lambda f: (-f.severity, f.finding_id))

    def plan(self, findings: Sequence[Finding], view: View, config: Configuration, now_s: float) -> list[Mutation]:
        """Call ``hive_plan``; the most urgent mutation first."""
        planned: list[Mutation] = _flat(
            self._all("hive_plan", findings=findings, view=view, config=config, now_s=now_s)
        )
        return sorted(planned, key=lambda m: (-m.priority, m.kind, m.target))

    def validate(self, plan: Plan, view: View, config: Configuration, ledger: Ledger, now_s: float) -> list[Verdict]:
        """Call ``hive_validate``; a plugin that fails says no, since nothing unjudged may pass."""
        values = {"plan": plan, "view": view, "config": config, "ledger": ledger, "now_s": now_s}
        verdicts: list[Verdict] = []
        for entry in self._asked("hive_validate"):
            answer = self._one(entry, "hive_validate", values, failed=_FAILED)
            verdicts += refusals(plan, entry[0]) if answer is _FAILED else answer or ()
        return verdicts

    def execute(self, mutation: Mutation, config: Configuration) -> Receipt | None:
        """Call ``hive_execute``; the first receipt, or None where nobody could."""
        for entry in reversed(self._asked("hive_execute")):
            receipt = self._one(entry, "hive_execute", {"mutation": mutation, "config": config})
            if isinstance(receipt, Receipt):
                return receipt
        return None

    def ask_executor(self, kind: MutationKind, what: str, ask: Callable[[Executor], T]) -> T:
        """What the executor of a kind answers to ``prepare``, ``verify`` or ``undo``; it has the time
        of a hook for the first, that of execute for the others.

        Raises:
            InvalidInputError: There is none, or it refuses.
            PluginError: It failed, hung, or its plugin is quarantined.
        """
        return self._stages.ask_executor(kind, what, ask)

    def ask_ranker(self, ranker: Ranker, ask: Callable[[Ranker], T]) -> T:
        """What a registered ranker answers; it has the time of a hook.

        Raises:
            HiveFeedbackError: What it raises on purpose.
            PluginError: It failed, hung, or its plugin is quarantined.
        """
        return self._stages.ask(ranker, f"ranker {ranker.name!r}", "rank", ask)

    def monitor(self, rollout: Rollout, counts: Sequence[StepCounts], view: View, now_s: float) -> list[Outlook]:
        """Call ``hive_monitor``."""
        return self._all("hive_monitor", rollout=rollout, counts=counts, view=view, now_s=now_s)

    # --- what is there ------------------------------------------------------------------------

    @property
    def stores(self) -> Mapping[str, StoreFactory]:
        """Store factories by URL scheme."""
        return MappingProxyType(self._stores)

    @property
    def archives(self) -> Mapping[str, ArchiveFactory]:
        """Archive factories by format."""
        return MappingProxyType(self._archives)

    @property
    def policies(self) -> Mapping[str, PolicyFactory]:
        """Policy factories by name."""
        return MappingProxyType(self._policies)

    @property
    def executors(self) -> Mapping[MutationKind, Executor]:
        """Executors by mutation kind."""
        return MappingProxyType(self._stages.executors)

    @property
    def scorers(self) -> Sequence[Scorer]:
        """Scorers in name order."""
        return tuple(self._stages.scorers)

    @property
    def gates(self) -> Sequence[Gate]:
        """Gates in name order."""
        return tuple(self._stages.gates)

    @property
    def rankers(self) -> Mapping[str, Ranker]:
        """Rankers by name."""
        return MappingProxyType(self._rankers)

    @property
    def routes(self) -> Sequence[HttpRoute]:
        """HTTP routes."""
        return tuple(self._routes)

    @property
    def commands(self) -> Sequence[Command]:
        """CLI commands."""
        return tuple(self._commands)

    def plugins(self) -> list[PluginInfo]:
        """All plugins by name, the broken ones too."""
        return sorted(self._infos.values(), key=_name)

    def quarantine(self, name: str, reason: str) -> None:
        """Take a plugin out of service, as another process found it broken."""
        info = self._infos.get(name)
        if info is not None and info.state == "ok":
            info.state, info.last_error = "quarantined", reason

    def enable(self, name: str) -> None:
        """Put a quarantined plugin back into service.

        Raises:
            UnknownNameError: No such plugin.
        """
        info = self._infos.get(name)
        if info is None:
            raise UnknownNameError("plugin", name, list(self._infos))
        if info.state == "quarantined":
            info.state, info.errors_in_row = "ok", 0

    def give_voice(self, voice: Voice) -> None:
        """Hand each plugin that speaks of its own accord what it speaks with."""
        for info in list(self._infos.values()):
            plugin = self._manager.get_plugin(info.name)
            if isinstance(plugin, Speaks):
                self.guard.call(
                    info, "take_voice", partial(plugin.take_voice, voice), timeout_s=self._hook_timeout_s, default=None
                )

    def sample_every_s(self) -> float:
        """How often those that measure the system want to be asked, in seconds; infinite: nobody does."""
        return self._samplers.every_s()

    def sample(self) -> dict[str, float]:
        """What those that measure the system found; what is no finite number is left out."""
        return self._samplers.sample()

    def close(self) -> None:
        """End the guard's thread."""
        self.guard.close()


def _ours_first(point: EntryPoint) -> tuple[bool, str]:
    """A stranger cannot take the name of a built-in plugin, and of two executors the stranger's counts."""
    return (point.dist.name if point.dist else "") != BUILT_IN, point.name


def _name(thing: Any) -> str:
    return str(thing.name)


def _flat(answers: Iterable[Iterable[T]]) -> list[T]:
    return [item for answer in answers for item in answer]

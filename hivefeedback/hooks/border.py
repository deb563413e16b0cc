"""The border between pluggy and the core: what a plugin brings and answers is checked here.

pluggy skips a method without the mark silently, and passes answers of wrong types on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from hivefeedback.errors import ConfigurationError, InvalidInputError, PluginError
from hivefeedback.hooks.plugin import Plugin
from hivefeedback.hooks.protocols import Tag
from hivefeedback.hooks.specs import Collected
from hivefeedback.hooks.stages import check_score
from hivefeedback.hooks.wellformed import well_formed
from hivefeedback.model import Event, Finding, Mutation, Outlook, Receipt, Verdict
from hivefeedback.model.proposal import checked_mutation

__all__ = ["CHECKS", "anything", "check_marks"]


def check_marks(name: str, plugin: object) -> None:
    """Refuse a method that is called like a hook but carries no ``@hookimpl``: pluggy would skip it silently."""
    for attribute in dir(plugin):
        if not attribute.startswith("hive_"):
            continue
        method = getattr(plugin, attribute)
        inherited = getattr(method, "__func__", None) is getattr(Plugin, attribute, object())
        if callable(method) and not inherited and not hasattr(method, "hivefeedback_impl"):
            raise ConfigurationError(f"plugin {name!r}: {attribute} is not marked; put @hookimpl above it")
        marks = getattr(method, "hivefeedback_impl", None) or {}
        if marks.get("wrapper") or marks.get("hookwrapper"):
            raise ConfigurationError(f"plugin {name!r}: {attribute} is a wrapper; hivefeedback calls plain hooks only")


def _one_of(kind: type) -> Callable[[Any], Any]:
    def check(answer: Any) -> Any:
        if not isinstance(answer, kind):
            raise PluginError(f"answered {type(answer).__name__}; expected {kind.__name__} or None")
        return answer

    return check


def _many_of(kind: type) -> Callable[[Any], Any]:
    def check(answer: Any) -> Any:
        items = list(answer) if isinstance(answer, Iterable) else [answer]
        wrong = next((item for item in items if not isinstance(item, kind)), None)
        if wrong is not None:
            raise PluginError(f"answered {type(wrong).__name__}; expected a sequence of {kind.__name__}")
        return items

    return check


def _each_well_formed(kind: type) -> Callable[[Any], Any]:
    many = _many_of(kind)
    return lambda answer: [well_formed(item, kind) for item in many(answer)]


def _collected(answer: Any) -> Collected:
    collected: Collected = _one_of(Collected)(answer)
    for score in collected.scores:
        check_score(score)
    for kind, things in ((Tag, collected.tags), (Event, collected.scrubbed)):
        _many_of(kind)(things)
    return collected


def _mutations(answer: Any) -> list[Mutation]:
    try:
        return [checked_mutation(item) for item in _many_of(Mutation)(answer)]
    except InvalidInputError as error:
        raise PluginError(f"planned what cannot be used: {error}") from error


def anything(answer: Any) -> Any:
    """What a hook without a check may answer."""
    return answer


CHECKS: Final[dict[str, Callable[[Any], Any]]] = {
    "hive_collect": _collected,
    "hive_analyze": _each_well_formed(Finding),
    "hive_plan": _mutations,
    "hive_validate": _each_well_formed(Verdict),
    "hive_execute": _one_of(Receipt),
    "hive_monitor": lambda answer: well_formed(_one_of(Outlook)(answer), Outlook),
}
"""What each stage's answer must be, by hook; raises PluginError where it is not."""

"""Executes PARAM_SET: parameters of a deployment's calls, such as ``max_tokens`` or ``temperature``.

No extra is needed. ``to`` names the parameters that change; None removes one, the others stay::

    loop.propose(Mutation(kind=MutationKind.PARAM_SET, target="a", to={"max_tokens": 768, "stop": None}))

A parameter with declared bounds (``Deployment("a", params={"max_tokens": 512},
bounds={"max_tokens": (128, 2048)})``) must be a number inside of them, whoever asks; it cannot be
removed, since nobody knows what the provider then takes. One without bounds may be set by hand, and
is never planned. Addresses and secrets (``api_base``, ``api_key`` …) cannot be set at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from hivefeedback.errors import InvalidInputError
from hivefeedback.hooks import Executor, Plugin, hookimpl
from hivefeedback.model import (
    Configuration,
    JsonValue,
    Mutation,
    MutationKind,
    ParamValue,
    PutDeployment,
    Receipt,
    live_value,
)

__all__ = ["ParamSet", "ParamSetPlugin"]

_MAX_PARAMS = 64
_MAX_NAME = 128
_MAX_TEXT = 4096
_MAX_ITEMS = 64
_ELSEWHERE = frozenset(
    {
        "api_base",
        "api_key",
        "base_url",
        "default_headers",
        "extra_body",
        "extra_headers",
        "headers",
        "messages",
        "model",
    }
)
"""Where a call goes, with which secret and what for is no parameter of it. The journal holds no secrets."""
_LARGEST = 1e12
"""Larger numbers mean nothing to any model; JSON keeps whole numbers exactly up to 9e15."""


class ParamSet:
    """Changes some parameters of a deployment."""

    kind = MutationKind.PARAM_SET
    is_external = False

    def prepare(self, mutation: Mutation, config: Configuration) -> Mutation:
        """Check target, names, values and bounds; fill ``from_`` (all parameters) and ``undo``."""
        live = live_value(config, self.kind, mutation.target)
        wanted = _checked(mutation.target, mutation.to, config.deployments[mutation.target].bounds)
        if self.verify(mutation, config):
            raise InvalidInputError(
                f"deployment {mutation.target!r} has parameters {wanted!r} already; set another value"
            )
        from_ = live if mutation.from_ is None else mutation.from_
        undo = mutation.undo or f"call {mutation.target!r} with {_words(from_, wanted)} again"
        return replace(mutation, from_=from_, undo=undo)

    def apply(self, mutation: Mutation, config: Configuration) -> Receipt:
        """The deployment with the new parameters."""
        live_value(config, self.kind, mutation.target)  # names the known deployments where there is no such one
        params = config.deployments[mutation.target].params
        wanted = _checked(mutation.target, mutation.to, {})
        changed = {name: value for name, value in {**params, **wanted}.items() if value is not None}
        message = f"parameters of {mutation.target!r}: {_words(params, wanted)} becomes {_words(changed, wanted)}"
        return self._put(mutation, changed, config, message)

    def verify(self, mutation: Mutation, config: Configuration) -> bool:
        """True where every named parameter has the value, and removed ones are gone."""
        deployment = config.deployments.get(mutation.target)
        if deployment is None or not isinstance(mutation.to, dict):
            return False
        return all(_same(deployment.params.get(name), value) for name, value in mutation.to.items())

    def undo(self, mutation: Mutation, config: Configuration) -> Receipt:
        """The deployment with exactly the parameters that it had."""
        live_value(config, self.kind, mutation.target)
        if not isinstance(mutation.from_, dict):
            raise InvalidInputError(f"PARAM_SET of {mutation.target!r} has from={mutation.from_!r}; prepare it first")
        message = f"parameters of {mutation.target!r}: {mutation.from_!r} again"
        return self._put(mutation, mutation.from_, config, message)

    def _put(self, mutation: Mutation, params: Mapping[str, object], config: Configuration, message: str) -> Receipt:
        changed = msgspec.structs.replace(config.deployments[mutation.target], params=dict(params))
        return Receipt(mutation_id=mutation.mutation_id, patch=(PutDeployment(changed),), message=message)


def _checked(target: str, to: JsonValue, bounds: Mapping[str, tuple[float, float]]) -> dict[str, ParamValue]:
    """The parameters to set.

    Raises:
        InvalidInputError: It is no mapping, has no or too many names, or a value cannot be used.
    """
    if not isinstance(to, dict) or not 0 < len(to) <= _MAX_PARAMS:
        raise InvalidInputError(
            f"PARAM_SET of {target!r} has to={_short(to)}; expected 1 to {_MAX_PARAMS} parameters by name"
        )
    checked: dict[str, ParamValue] = {}
    for name, value in to.items():
        if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME:
            raise InvalidInputError(
                f"{_short(name)} names no parameter of {target!r}; expected 1 to {_MAX_NAME} letters"
            )
        if name.lower() in _ELSEWHERE:
            raise InvalidInputError(
                f"{name!r} is no parameter that a mutation may set; declare the deployment anew, or use MODEL_SWAP for "
                f"another model"
            )
        checked[name] = _value(target, name, value)
        if name in bounds:
            _check_bounds(target, name, value, *bounds[name])
    return checked


def _value(target: str, name: str, value: JsonValue) -> ParamValue:
    if isinstance(value, list):
        if len(value) > _MAX_ITEMS or not all(_is_plain(item) for item in value):
            raise InvalidInputError(
                f"parameter {name!r} of {target!r} is {_short(value)}; expected at most {_MAX_ITEMS} plain values"
            )
        return [item for item in value if not isinstance(item, list | dict)]
    if isinstance(value, dict) or not _is_plain(value):
        raise InvalidInputError(
            f"parameter {name!r} of {target!r} is {_short(value)}; expected a text of at most {_MAX_TEXT} letters, a "
            f"number up to {_LARGEST:g}, a bool, None, or a list of these"
        )
    return value


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _MAX_TEXT
    if isinstance(value, bool) or value is None:
        return True
    return isinstance(value, int | float) and abs(value) <= _LARGEST  # false for NaN and infinity


def _check_bounds(target: str, name: str, value: JsonValue, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InvalidInputError(
            f"parameter {name!r} of {target!r} is {_short(value)}; its declared bounds are {low:g} to {high:g}; "
            f"choose a number inside, or declare the deployment with other bounds"
        )


def _same(one: object, other: object) -> bool:
    """Equal, and of one kind: True is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _words(params: object, wanted: Mapping[str, object]) -> str:
    """What the named parameters are, in words."""
    known = params if isinstance(params, Mapping) else {}
    return ", ".join(f"{name}={_short(known[name])}" if name in known else f"no {name}" for name in wanted)


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**20 else "a huge number"
    return text if len(text) <= 80 else text[:77] + "..."


class ParamSetPlugin(Plugin):
    """Registers the executor."""

    name = "param_set"

    @hookimpl
    def hive_executors(self) -> Sequence[Executor]:
        """The executor of PARAM_SET."""
        return (ParamSet(),)

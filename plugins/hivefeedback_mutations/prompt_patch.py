"""Executes PROMPT_PATCH: which version of a named prompt is served.

No extra is needed. ``to`` is the number of a stored version, or a new text, which core stores and
names by its hash (``{"body": hash}``) before this executor sees it::

    loop.propose(Mutation(kind=MutationKind.PROMPT_PATCH, target="answer", to="Answer {question} in one line."))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hivefeedback.errors import InvalidInputError, UnknownNameError
from hivefeedback.hooks import Executor, Plugin, hookimpl
from hivefeedback.model import (
    Configuration,
    JsonValue,
    Mutation,
    MutationKind,
    Patch,
    PromptVersions,
    PutPrompt,
    Receipt,
    UsePrompt,
    live_value,
)

__all__ = ["PromptPatch", "PromptPatchPlugin"]


class PromptPatch:
    """Adds a version of a prompt, or goes back to one."""

    kind = MutationKind.PROMPT_PATCH
    is_external = False

    def prepare(self, mutation: Mutation, config: Configuration) -> Mutation:
        """Check name and version, fill ``from_`` and ``undo``."""
        live = live_value(config, self.kind, mutation.target)
        prompt = config.prompts[mutation.target]
        _patch(mutation.target, prompt, mutation.to)
        if self.verify(mutation, config):
            raise InvalidInputError(f"prompt {mutation.target!r} is served so already (version {live})")
        from_ = live if mutation.from_ is None else mutation.from_
        undo = mutation.undo or f"serve version {from_} of prompt {mutation.target!r} again"
        return replace(mutation, from_=from_, undo=undo)

    def apply(self, mutation: Mutation, config: Configuration) -> Receipt:
        """The version, added first where it is new."""
        prompt = _known(mutation.target, config)
        patch = _patch(mutation.target, prompt, mutation.to)
        message = f"prompt {mutation.target!r}: version {prompt.current} becomes {_served(patch)}"
        return Receipt(mutation_id=mutation.mutation_id, patch=patch, message=message)

    def verify(self, mutation: Mutation, config: Configuration) -> bool:
        """True where that version, or that text, is served."""
        prompt = config.prompts.get(mutation.target)
        if prompt is None:
            return False
        body = _body(mutation.to)
        return prompt.body == body if body is not None else prompt.current == mutation.to

    def undo(self, mutation: Mutation, config: Configuration) -> Receipt:
        """The version before; the added one stays stored, where it hurts nobody."""
        before = mutation.from_
        if not isinstance(before, int):
            raise InvalidInputError(f"PROMPT_PATCH of {mutation.target!r} has from={before!r}; prepare it first")
        message = f"prompt {mutation.target!r}: version {before} again"
        return Receipt(mutation_id=mutation.mutation_id, patch=(UsePrompt(mutation.target, before),), message=message)


def _known(name: str, config: Configuration) -> PromptVersions:
    prompt = config.prompts.get(name)
    if prompt is None:
        raise UnknownNameError("prompt", name, list(config.prompts))
    return prompt


def _body(to: JsonValue) -> str | None:
    """The hash in ``{"body": hash}``, or None where ``to`` is something else."""
    if isinstance(to, dict) and set(to) == {"body"}:
        body = to["body"]
        return body if isinstance(body, str) and body else None
    return None


def _patch(name: str, prompt: PromptVersions, to: JsonValue) -> Patch:
    """What serves ``to``.

    Raises:
        InvalidInputError: It is neither a stored version nor a stored text.
    """
    body = _body(to)
    if body is not None:
        if body in prompt.bodies:
            return (UsePrompt(name, prompt.bodies.index(body) + 1),)
        version = len(prompt.bodies) + 1
        return PutPrompt(name, version, body), UsePrompt(name, version)
    if isinstance(to, int) and not isinstance(to, bool):
        if 0 < to <= len(prompt.bodies) and prompt.bodies[to - 1]:
            return (UsePrompt(name, to),)
        known = [i + 1 for i, b in enumerate(prompt.bodies) if b]
        raise InvalidInputError(f"prompt {name!r} has no version {to}; known: {known}")
    raise InvalidInputError(f"PROMPT_PATCH of {name!r} has to={to!r}; expected a version number or a new text")


def _served(patch: Patch) -> int:
    return next(op.version for op in patch if isinstance(op, UsePrompt))


class PromptPatchPlugin(Plugin):
    """Registers the executor."""

    name = "prompt_patch"

    @hookimpl
    def hive_executors(self) -> Sequence[Executor]:
        """The executor of PROMPT_PATCH."""
        return (PromptPatch(),)

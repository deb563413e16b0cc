"""Checks a mutation against the configuration and completes it, before it is stored or executed."""

from __future__ import annotations

from hivefeedback.control.context import Context
from hivefeedback.control.memories import check_text
from hivefeedback.errors import InvalidInputError
from hivefeedback.model import Configuration, JsonValue, Mutation, MutationKind, PromptVersions, prompt_fields

__all__ = ["prepared"]


def prepared(ctx: Context, mutation: Mutation, config: Configuration) -> Mutation:
    """The mutation, checked and completed by its executor.

    Raises:
        InvalidInputError: Target or value do not fit the configuration, or a prompt asks for fields
            that the calls of today do not give.
        PluginError: The executor failed.
    """
    ready = ctx.executors.prepare(mutation, config)
    if ready.kind is MutationKind.PROMPT_PATCH:
        _check_fields(ctx, ready, config.prompts.get(ready.target, PromptVersions()))
    check_text(ctx, ready)
    return ready


def _check_fields(ctx: Context, mutation: Mutation, prompt: PromptVersions) -> None:
    """A patch may use fewer fields than the served version, never others: the calls that the canary
    gets were written for the served version, and one that lacks a field raises in the application."""
    served = ctx.keeper.body(prompt.body)
    if not served:
        return
    known = prompt_fields(served)
    new = [f"{{{name}}}" for name in prompt_fields(_text(ctx, mutation.to, prompt)) if name not in known]
    if new:
        have = ", ".join(f"{{{name}}}" for name in known) or "no fields"
        raise InvalidInputError(
            f"the new text of prompt {mutation.target!r} asks for {', '.join(new)}, which its served version "
            f"{prompt.current} does not ({have}), so calls written for that would fail; leave it out, or add the "
            f"text by hand (prompts.add) together with the code that fills it"
        )


def _text(ctx: Context, to: JsonValue, prompt: PromptVersions) -> str:
    """The text that would be served: a stored one by its hash or by its version; empty where unknown."""
    if isinstance(to, dict):
        return ctx.keeper.body(str(to.get("body", "")))
    if isinstance(to, int) and 0 < to <= len(prompt.bodies):
        return ctx.keeper.body(prompt.bodies[to - 1])
    return ""

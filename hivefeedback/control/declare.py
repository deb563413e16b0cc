"""Deployments and prompts that the host declares or edits, as entries of the journal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import msgspec

from hivefeedback.control.context import Context
from hivefeedback.control.targets import holds
from hivefeedback.control.undo import close_orphans
from hivefeedback.errors import ConfigurationError, InvalidInputError, UnknownNameError
from hivefeedback.model import (
    Configuration,
    Deployment,
    DropDeployment,
    DropRoute,
    JournalEntry,
    Ledger,
    Patch,
    PromptVersions,
    PutDeployment,
    PutPrompt,
    PutRoute,
    Route,
    UsePrompt,
    check_prompt,
    content_id,
)

__all__ = [
    "add_deployment",
    "add_prompt",
    "adopt",
    "declare",
    "declare_once",
    "edit",
    "remove_deployment",
    "set_route",
]

log = logging.getLogger(__name__)

MakePatch = Callable[[Configuration], Patch]


def declare(ctx: Context, deployments: Iterable[Deployment], prompts: Mapping[str, str]) -> None:
    """Journal what constructor or file declare, each deployment and prompt once per content.

    Content that the journal holds already changes nothing, so a restart does not undo a
    promotion. New content is a new base version: it ends the rollouts of that one target and is
    served until it is changed.

    Raises:
        ConfigurationError: Two declared deployments share an id.
        InvalidInputError: A declared text is no prompt.
    """
    wanted = list(deployments)
    twice = {d.id for d in wanted if sum(d.id == other.id for other in wanted) > 1}
    if twice:
        raise ConfigurationError(f"deployment {min(twice)!r} is declared twice; give each its own id")
    for name, text in prompts.items():
        check_prompt(name, text)
    is_new = False
    for deployment in wanted:
        key = content_id("deployment", deployment.id, _canonical(deployment))
        is_new |= declare_once(ctx, key, deployment.id, partial(_put, deployment))
    for name, text in prompts.items():
        body = ctx.keeper.put_body(text)
        is_new |= declare_once(ctx, content_id("prompt", name, body), name, partial(_serving, name, body))
    if is_new:
        close_orphans(ctx, by="declared")


def add_deployment(ctx: Context, deployment: Deployment, *, by: str = "program") -> None:
    """Put a deployment into service, or replace what its id stands for."""
    if not deployment.id:
        raise InvalidInputError("a deployment has an empty id; give it a stable name")
    edit(ctx, by, lambda config: (PutDeployment(deployment),))


def remove_deployment(ctx: Context, deployment_id: str, *, by: str = "program") -> None:
    """Take a deployment out of service; its statistics stay.

    Raises:
        UnknownNameError: No such deployment.
    """

    def patch(config: Configuration) -> Patch:
        if deployment_id not in config.deployments:
            raise UnknownNameError("deployment", deployment_id, list(config.deployments))
        return (DropDeployment(deployment_id),)

    edit(ctx, by, patch)


def adopt(ctx: Context, deployment_id: str, *, by: str = "program") -> None:
    """Put an observed deployment into service under its id; one that is there stays as it is."""

    def patch(config: Configuration) -> Patch:
        return () if deployment_id in config.deployments else (PutDeployment(Deployment(deployment_id)),)

    edit(ctx, by, patch)


def set_route(ctx: Context, prefix: str, route: Route | None, *, by: str = "program") -> None:
    """Say at once who serves an operation prefix; None gives it back to what its parent prefix says.

    Raises:
        UnknownNameError: The route names a deployment that is not in service.
        InvalidInputError: A weight is negative, not finite, or of no candidate, or all are zero.
    """

    def patch(config: Configuration) -> Patch:
        if route is None:
            return (DropRoute(prefix),) if prefix in config.routes else ()
        _check_route(prefix, route, config)
        return (PutRoute(prefix, route),)

    edit(ctx, by, patch)


def _check_route(prefix: str, route: Route, config: Configuration) -> None:
    for name in route.candidates:
        if name not in config.deployments:
            raise UnknownNameError("deployment", name, list(config.deployments))
    weights = route.weights
    if weights is None:
        return
    names = route.candidates or tuple(config.deployments)
    good = all(name in names and 0.0 <= w < float("inf") for name, w in weights.items())
    if not good or not any(weights.values()):
        raise InvalidInputError(
            f"weights {weights!r} of route {prefix!r} cannot be used; give each of its candidates a number ≥ 0, one > 0"
        )


def add_prompt(ctx: Context, name: str, text: str, *, by: str = "program") -> int:
    """Store a version of a named prompt and serve it; answers its number.

    A text that is a version already changes nothing, so that a program may add its prompts at
    each start without undoing a promotion. It is served to all at once, and its fields may differ
    from those of the version before: deploy it together with the code that fills them, since
    ``Decision.prompt`` raises where one is missing. To try a text with the same fields on a share of
    the traffic first, propose a PROMPT_PATCH instead.

    Raises:
        InvalidInputError: The text is no prompt, or the name is empty.
    """
    if not name:
        raise InvalidInputError("a prompt has an empty name; give it a stable one")
    check_prompt(name, text)
    body = ctx.keeper.put_body(text)

    def patch(config: Configuration) -> Patch:
        known = config.prompts.get(name, PromptVersions())
        return () if body in known.bodies else _serving(name, body, config)

    edit(ctx, by, patch)
    return ctx.keeper.configuration.prompts[name].bodies.index(body) + 1


def declare_once(ctx: Context, key: str, name: str, make: MakePatch) -> bool:
    """Journal one declaration, if the journal does not hold it; True if it did not."""

    def build(config: Configuration, ledger: Ledger) -> JournalEntry | None:
        if key in config.declared:
            return None
        return JournalEntry(at_s=ctx.clock(), state="declared", by="declared", patch=make(config), content_hash=key)

    config = ctx.keeper.configuration
    if key not in config.declared:
        return ctx.keeper.append(build) is not None
    if not holds(config, make(config)):
        log.info("%r is declared as before and served as it was changed since", name)
    return False


def edit(ctx: Context, by: str, make: MakePatch) -> None:
    """Append what the host edits, unless the configuration is so already."""

    def build(config: Configuration, ledger: Ledger) -> JournalEntry | None:
        patch = make(config)
        if holds(config, patch):
            return None
        return JournalEntry(at_s=ctx.clock(), state="edited", by=by, patch=patch)

    if ctx.keeper.append(build) is not None:
        close_orphans(ctx, by=by)


def _put(deployment: Deployment, config: Configuration) -> Patch:
    return (PutDeployment(deployment),)


def _serving(name: str, body: str, config: Configuration) -> Patch:
    """Serve a text as its version of the prompt, a new one where there is none."""
    bodies = config.prompts.get(name, PromptVersions()).bodies
    if body in bodies:
        return (UsePrompt(name, bodies.index(body) + 1),)
    return (PutPrompt(name, len(bodies) + 1, body), UsePrompt(name, len(bodies) + 1))


def _canonical(deployment: Deployment) -> str:
    return msgspec.json.encode(deployment, order="deterministic").decode()

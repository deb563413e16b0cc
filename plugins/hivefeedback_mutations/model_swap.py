"""Executes MODEL_SWAP: a deployment keeps its id and is served by another model.

No extra is needed. By hand::

    loop.propose(Mutation(kind=MutationKind.MODEL_SWAP, target="a", to="gpt-y"))

Parameters, adapter, capability and price stay as declared; declare the deployment anew where the
other model's price matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from hivefeedback.errors import InvalidInputError
from hivefeedback.hooks import Executor, Plugin, hookimpl
from hivefeedback.model import Configuration, JsonValue, Mutation, MutationKind, PutDeployment, Receipt, live_value

__all__ = ["ModelSwap", "ModelSwapPlugin"]


class ModelSwap:
    """Puts another model behind a deployment."""

    kind = MutationKind.MODEL_SWAP
    is_external = False

    def prepare(self, mutation: Mutation, config: Configuration) -> Mutation:
        """Check target and model, fill ``from_`` and ``undo``."""
        live = live_value(config, self.kind, mutation.target)
        if not isinstance(mutation.to, str) or not mutation.to.strip():
            raise InvalidInputError(
                f"MODEL_SWAP of {mutation.target!r} has to={mutation.to!r}; expected a model's name"
            )
        if mutation.to == live:
            raise InvalidInputError(f"deployment {mutation.target!r} has model {live!r} already; name another")
        _check_adapter(mutation.target, mutation.to, config)
        from_ = live if mutation.from_ is None else mutation.from_
        undo = mutation.undo or f"serve {mutation.target!r} with model {from_!r} again"
        return replace(mutation, from_=from_, undo=undo)

    def apply(self, mutation: Mutation, config: Configuration) -> Receipt:
        """The deployment with the new model."""
        return self._serve(mutation, mutation.to, config)

    def verify(self, mutation: Mutation, config: Configuration) -> bool:
        """True where the deployment has the new model."""
        deployment = config.deployments.get(mutation.target)
        return deployment is not None and deployment.model == mutation.to

    def undo(self, mutation: Mutation, config: Configuration) -> Receipt:
        """The deployment with the old model."""
        return self._serve(mutation, mutation.from_, config)

    def _serve(self, mutation: Mutation, model: JsonValue, config: Configuration) -> Receipt:
        live = live_value(config, self.kind, mutation.target)
        if not isinstance(model, str):
            raise InvalidInputError(f"MODEL_SWAP of {mutation.target!r} names model {model!r}; prepare it first")
        swapped = msgspec.structs.replace(config.deployments[mutation.target], model=model)
        return Receipt(
            mutation_id=mutation.mutation_id,
            patch=(PutDeployment(swapped),),
            message=f"deployment {mutation.target!r}: model {live!r} becomes {model!r}",
        )


def _check_adapter(target: str, model: str, config: Configuration) -> None:
    """A registered adapter stays on the deployment, so it has to fit the new model as well.

    Raises:
        InvalidInputError: It was made for others.
    """
    adapter = config.adapters.get(config.deployments[target].adapter or "")
    if adapter is not None and not adapter.fits(model):
        raise InvalidInputError(
            f"deployment {target!r} is served with adapter {adapter.name!r}, which was made for "
            f"{', '.join(map(repr, adapter.models))} and not for {model!r}; take the adapter off first"
        )


class ModelSwapPlugin(Plugin):
    """Registers the executor."""

    name = "model_swap"

    @hookimpl
    def hive_executors(self) -> Sequence[Executor]:
        """The executor of MODEL_SWAP."""
        return (ModelSwap(),)

"""Registered LoRA adapters: what there is to be put on a deployment."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Adapter"]


class Adapter(Struct, frozen=True, omit_defaults=True):
    """A fine-tuned adapter that a server can load beside its base model.

    Registering one serves it to nobody: a LORA_APPLY mutation puts it on a deployment.

    Args:
        name: What the server calls it; stable and unique.
        tags: What it is for, such as ``medical``; the planner looks for them in the paths of
            operations.
        models: Base models that it was made for, as deployments name them; empty: not stated, so
            that any is tried.
        vram_gb: Memory that it needs on the GPU while it is loaded, in GB; None: not known, which
            counts as nothing.
    """

    name: str
    tags: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    vram_gb: float | None = None

    def fits(self, model: str) -> bool:
        """True where it was made for this base model, or nobody said for which.

        >>> Adapter("x", models=("llama",)).fits("llama"), Adapter("x", models=("llama",)).fits("qwen")
        (True, False)
        """
        return not self.models or model in self.models

"""Executors: one per mutation kind; check, apply, verify, undo."""

from hivefeedback_mutations.lora_apply import LoraApply, LoraPlugin
from hivefeedback_mutations.memory_update import MemoryPlugin, MemoryUpdate
from hivefeedback_mutations.model_swap import ModelSwap, ModelSwapPlugin
from hivefeedback_mutations.noop_server import NoopServer
from hivefeedback_mutations.param_set import ParamSet, ParamSetPlugin
from hivefeedback_mutations.prompt_patch import PromptPatch, PromptPatchPlugin
from hivefeedback_mutations.route_change import RouteChange, RouteChangePlugin

__all__ = [
    "LoraApply",
    "LoraPlugin",
    "MemoryPlugin",
    "MemoryUpdate",
    "ModelSwap",
    "ModelSwapPlugin",
    "NoopServer",
    "ParamSet",
    "ParamSetPlugin",
    "PromptPatch",
    "PromptPatchPlugin",
    "RouteChange",
    "RouteChangePlugin",
]

"""Executors: one per mutation kind; check, apply, verify, undo."""

from hivefeedback_mutations.model_swap import ModelSwap, ModelSwapPlugin
from hivefeedback_mutations.prompt_patch import PromptPatch, PromptPatchPlugin
from hivefeedback_mutations.route_change import RouteChange, RouteChangePlugin

__all__ = ["ModelSwap", "ModelSwapPlugin", "PromptPatch", "PromptPatchPlugin", "RouteChange", "RouteChangePlugin"]

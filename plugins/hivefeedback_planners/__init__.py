"""Planners: what to change about a finding."""

from hivefeedback_planners.lora_apply import LoraApplyOptions, LoraApplyPlanner
from hivefeedback_planners.memory_update import MemoryUpdateOptions, MemoryUpdatePlanner
from hivefeedback_planners.model_swap import ModelSwapOptions, ModelSwapPlanner
from hivefeedback_planners.param_set import ParamSetOptions, ParamSetPlanner
from hivefeedback_planners.prompt_patch import PromptPatchOptions, PromptPatchPlanner
from hivefeedback_planners.route_change import RouteChangeOptions, RouteChangePlanner
from hivefeedback_planners.wider_route import WiderRouteOptions, WiderRoutePlanner

__all__ = [
    "LoraApplyOptions",
    "LoraApplyPlanner",
    "MemoryUpdateOptions",
    "MemoryUpdatePlanner",
    "ModelSwapOptions",
    "ModelSwapPlanner",
    "ParamSetOptions",
    "ParamSetPlanner",
    "PromptPatchOptions",
    "PromptPatchPlanner",
    "RouteChangeOptions",
    "RouteChangePlanner",
    "WiderRouteOptions",
    "WiderRoutePlanner",
]

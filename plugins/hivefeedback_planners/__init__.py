"""Planners: what to change about a finding."""

from hivefeedback_planners.model_swap import ModelSwapOptions, ModelSwapPlanner
from hivefeedback_planners.param_set import ParamSetOptions, ParamSetPlanner
from hivefeedback_planners.route_change import RouteChangeOptions, RouteChangePlanner

__all__ = [
    "ModelSwapOptions",
    "ModelSwapPlanner",
    "ParamSetOptions",
    "ParamSetPlanner",
    "RouteChangeOptions",
    "RouteChangePlanner",
]

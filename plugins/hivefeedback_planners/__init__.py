"""Planners: what to change about a finding."""

from hivefeedback_planners.model_swap import ModelSwapOptions, ModelSwapPlanner
from hivefeedback_planners.route_change import RouteChangeOptions, RouteChangePlanner

__all__ = ["ModelSwapOptions", "ModelSwapPlanner", "RouteChangeOptions", "RouteChangePlanner"]

"""Settings: what can be set, where it comes from, and what the variables of older systems mean."""

from hivefeedback.settings.aliases import ALIASES, Alias, aliases_in_force
from hivefeedback.settings.entries import AdapterEntry, DeploymentEntry, PriceEntry
from hivefeedback.settings.loading import default_store, find_config_file, load_settings, unknown_variables
from hivefeedback.settings.schema import Mode, Settings
from hivefeedback.settings.sections import Limits, StageEntry, Targets, Thresholds, insight_limits

__all__ = [
    "ALIASES",
    "AdapterEntry",
    "Alias",
    "DeploymentEntry",
    "Limits",
    "Mode",
    "PriceEntry",
    "Settings",
    "StageEntry",
    "Targets",
    "Thresholds",
    "aliases_in_force",
    "default_store",
    "find_config_file",
    "insight_limits",
    "load_settings",
    "unknown_variables",
]

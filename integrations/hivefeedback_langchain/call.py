"""What is known of a run when it ended, and how its operation and deployment follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct

from hivefeedback.model import Configuration, Run
from hivefeedback_langchain import config

__all__ = ["Call", "Names", "RunSink", "served_deployment"]


class RunSink(Protocol):
    """What the handler needs of a loop; ``FeedbackLoop`` has it."""

    @property
    def configuration(self) -> Configuration:
        """The live configuration: which model belongs to which deployment."""

    def record(self, run: Run) -> str:
        """Take in one run; never blocks, never raises."""


class Call(Struct, frozen=True):
    """One ended run, as ``operation`` and ``deployment`` callables get it.

    Args:
        kind: ``llm``, ``tool``, ``retriever``, ``agent`` or ``chain``.
        name: The runnable's name.
        metadata: Metadata of the start event.
        requested_model: What the caller asked for; empty where the model class does not say.
        served_model: What the provider says it served; empty on errors.
    """

    kind: str
    name: str
    metadata: Mapping[str, Any]
    requested_model: str = ""
    served_model: str = ""


class Names(Struct, frozen=True):
    """What one configuration says of deployments.

    Args:
        config: The configuration that this was read from.
        ids: Deployment id by model name and by id; a model that two deployments share names neither.
    """

    config: Configuration
    ids: dict[str, str]

    @classmethod
    def of(cls, current: Configuration) -> Names:
        """Read the names of a configuration."""
        ids: dict[str, str] = {}
        for name, deployment in current.deployments.items():
            ids[deployment.model] = "" if deployment.model in ids else name
        ids |= {name: name for name in current.deployments}
        return cls(current, ids)


def served_deployment(metadata: Mapping[str, Any], asked: str, served: str, ids: Mapping[str, str]) -> str:
    """Which deployment served a model call.

    The decided one, unless another model than the decided was asked for (a fallback): then the
    deployment of that model, else the model's own name, as an observed deployment.

    Args:
        metadata: Of the call; holds the decision that ``config_for`` put in.
        asked, served: The requested model, and the one that the provider says it served.
        ids: Deployment id by model name.
    """
    decided = metadata.get(config.DEPLOYMENT)
    if decided:
        model = metadata.get(config.MODEL)
        if not model or not (asked or served) or model in (asked, served) or decided in (asked, served):
            return str(decided)
        if not asked and not ids.get(served):
            return str(decided)  # providers answer with dated names: no sign of another model
    return ids.get(served) or ids.get(asked) or served or asked

"""What LiteLLM hands to its hooks: dicts, read here and nowhere else.

The metadata of a request travels through all its attempts and comes back in its events, so the
decision is written there, as plain texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["STAMP", "Json", "Stamp", "deployment_id", "hops", "ids_of", "metadata_of", "session_of", "stamp_of", "text"]

Json = Mapping[str, Any]
"""A dict of LiteLLM; Any, since its hooks are not typed more closely."""

STAMP = "hivefeedback"
"""Key of our stamp in the metadata of a request."""


def text(value: object) -> str:
    """The value where it is a text, else empty."""
    return value if isinstance(value, str) else ""


def metadata_of(params: Json) -> dict[str, Any]:
    """The router's metadata of a request or event; an empty dict where there is none."""
    found: dict[str, Any] = {}
    for name in ("metadata", "litellm_metadata"):
        value = params.get(name)
        if isinstance(value, dict):  # not the abstract class: this is on the path of each request
            if "model_group" in value:
                return value
            found = value
    return found


def deployment_id(deployment: Json) -> str:
    """Id of an element of a model list, or empty."""
    info = deployment.get("model_info")
    return str(info.get("id") or "") if isinstance(info, dict) else ""


def ids_of(deployments: Sequence[Json]) -> list[str]:
    """Ids of some elements of a model list."""
    try:
        return [d["model_info"]["id"] for d in deployments]
    except (KeyError, TypeError):
        return [deployment_id(d) for d in deployments]


def hops(metadata: Json) -> tuple[int, int]:
    """How many retries and how many fallbacks came before this attempt."""
    return _count(metadata.get("attempted_retries")), _count(metadata.get("attempted_fallbacks"))


def session_of(params: Json, metadata: Json) -> str | None:
    """The session that the caller named, in the SDK or through the proxy's body."""
    named = metadata.get("session_id") or params.get("litellm_session_id")
    if not named:
        requester = metadata.get("requester_metadata")
        named = requester.get("session_id") if isinstance(requester, dict) else None
    return str(named) if named else None


class Stamp(NamedTuple):
    """What is written into a request, for its events to read.

    Args:
        decision_id: The decision behind the request; empty where there is none.
        operation: Its operation.
        deployment: What was decided; empty where LiteLLM's own selection serves.
        trace_id: Trace of the caller's span, or empty.
        flight: Number of the flight.
        attempt: Number of the first attempt that carries this stamp.
    """

    decision_id: str = ""
    operation: str = ""
    deployment: str = ""
    trace_id: str = ""
    flight: int = 0
    attempt: int = 1


_NO_STAMP = Stamp()


def stamp_of(metadata: Json) -> Stamp:
    """What ``metadata[STAMP]`` says; empty where nothing of ours is there."""
    found = metadata.get(STAMP)
    if isinstance(found, Stamp):
        return found
    if isinstance(found, tuple | list) and len(found) == len(_NO_STAMP):  # a list where it went through JSON
        return Stamp(*found)
    return _NO_STAMP


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0

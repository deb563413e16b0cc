"""What LiteLLM hands to its hooks: dicts, read here and nowhere else.

The metadata of a request travels through all its attempts and comes back in its events, so the
decision is written there, as plain texts.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

__all__ = ["Json", "deployment_id", "hops", "ids_of", "metadata_of", "session_of", "stamp", "stamped", "text"]

Json = Mapping[str, Any]
"""A dict of LiteLLM; Any, since its hooks are not typed more closely."""

_STAMP = "hivefeedback_"


def text(value: object) -> str:
    """The value where it is a text, else empty."""
    return value if isinstance(value, str) else ""


def metadata_of(params: Json) -> MutableMapping[str, Any]:
    """The router's metadata of a request or event; an empty dict where there is none."""
    found: MutableMapping[str, Any] = {}
    for name in ("litellm_metadata", "metadata"):
        value = params.get(name)
        if isinstance(value, MutableMapping):
            if "model_group" in value:
                return value
            found = value
    return found


def deployment_id(deployment: Json) -> str:
    """Id of an element of a model list, or empty."""
    info = deployment.get("model_info")
    return str(info.get("id") or "") if isinstance(info, Mapping) else ""


def ids_of(deployments: Sequence[Json]) -> list[str]:
    """Ids of some elements of a model list."""
    return [deployment_id(d) for d in deployments]


def hops(metadata: Json) -> tuple[int, int]:
    """How many retries and how many fallbacks came before this attempt."""
    return _count(metadata.get("attempted_retries")), _count(metadata.get("attempted_fallbacks"))


def session_of(params: Json, metadata: Json) -> str | None:
    """The session that the caller named, in the SDK or through the proxy's body."""
    requester = metadata.get("requester_metadata")
    inner: Json = requester if isinstance(requester, Mapping) else {}
    named = metadata.get("session_id") or params.get("litellm_session_id") or inner.get("session_id")
    return str(named) if named else None


def stamp(metadata: MutableMapping[str, Any], **texts: str) -> None:
    """Write what our events need to know into the request."""
    for name, value in texts.items():
        metadata[_STAMP + name] = value


def stamped(metadata: Json, name: str) -> str:
    """Read what ``stamp`` wrote, or empty."""
    return text(metadata.get(_STAMP + name))


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0

"""What is served without an engine: in mode ``off``, after ``close``, and where deciding failed."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from hivefeedback.model import (
    Configuration,
    Decision,
    Deployment,
    DropDeployment,
    DropRoute,
    Offer,
    PromptVersions,
    PutDeployment,
    PutRoute,
    Route,
    Snapshot,
    check_prompt,
    lineup_of,
    patched,
)
from hivefeedback.serving import as_given

__all__ = ["Passive", "first_candidate"]


class Passive:
    """The host's own choice, the first candidate; edits change what is served here and nothing else.

    Args:
        mode: The mode, for the snapshot.
        deployments, prompts: What was declared.
    """

    def __init__(self, mode: str, deployments: Iterable[Deployment], prompts: Mapping[str, str]) -> None:
        config = Configuration(
            deployments={d.id: d for d in deployments},
            prompts={name: PromptVersions(bodies=(name,), current=1) for name in prompts},
        )
        self.numbers = itertools.count(1)
        self.snapshot = Snapshot(mode, config, dict(prompts), 0, {}, frozenset(), {}, frozenset(), {}, {})

    def decide(self, operation: object, candidates: object, reason: str, at_s: float) -> Decision:
        """The first candidate, whatever was asked."""
        return first_candidate(self.snapshot, operation, candidates, reason, at_s)

    def put_deployment(self, deployment: Deployment) -> None:
        """Add or replace a deployment."""
        self._serve(patched(self.snapshot.config, (PutDeployment(deployment),)))

    def drop_deployment(self, deployment_id: str) -> None:
        """Take a deployment out."""
        self._serve(patched(self.snapshot.config, (DropDeployment(deployment_id),)))

    def set_route(self, prefix: str, route: Route | None) -> None:
        """Serve a route, or none."""
        self._serve(patched(self.snapshot.config, (PutRoute(prefix, route) if route else DropRoute(prefix),)))

    def put_prompt(self, name: str, text: str) -> int:
        """Serve a text; answers its version."""
        check_prompt(name, text)
        config, bodies = self.snapshot.config, {**self.snapshot.bodies, f"{name}:{text}": text}
        known = config.prompts.get(name, PromptVersions())
        versions = PromptVersions(bodies=(*known.bodies, f"{name}:{text}"), current=len(known.bodies) + 1)
        self.snapshot = replace(self.snapshot, bodies=bodies)
        self._serve(dataclasses.replace(config, prompts={**config.prompts, name: versions}))
        return versions.current

    def _serve(self, config: Configuration) -> None:
        self.snapshot = replace(self.snapshot, config=config, offers={}, same={})


def first_candidate(snapshot: Snapshot, operation: object, candidates: object, reason: str, at_s: float) -> Decision:
    """The host's own choice, whatever was asked; nothing is drawn and nothing can fail.

    Candidates are read as ``Decider`` reads them. What cannot be read says nothing: then all count.
    """
    name = operation if isinstance(operation, str) else ""
    lineup = lineup_of(snapshot.config, snapshot.bodies, name, _texts(candidates))
    if not lineup.candidates:
        return Decision("", name, None, 0, None, f"{reason}: no_candidates", at_s)
    offer = Offer.of(lineup, [1] * len(lineup.candidates), weights_version=0, reason=reason)
    return Decision("", name, offer, 0, None, reason, at_s)


def _texts(candidates: Any) -> tuple[str, ...] | None:
    if candidates is None:
        return None
    try:
        return tuple(c for c in as_given(candidates) if isinstance(c, str))
    except Exception:  # noqa: BLE001  # the host's object, on the host's thread: the request goes on
        return None

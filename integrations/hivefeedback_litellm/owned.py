"""Which deployments belong to the attached router."""

from __future__ import annotations

from typing import Any

from hivefeedback_litellm.request import Json, deployment_id

__all__ = ["Owned"]

MAX_FOREIGN = 10_000
"""Ids of other routers that are remembered as such."""


class Owned:
    """The router's deployments by id, read again when an unknown id turns up."""

    def __init__(self, router: Any) -> None:
        self._router = router
        self._entries: dict[str, Json] = {}
        self._foreign: set[str] = set()
        self._read()

    def entry(self, name: str) -> Json | None:
        """The element of the model list, or None for another router's."""
        found = self._entries.get(name)
        if found is None and name and name not in self._foreign:
            self._read()
            found = self._entries.get(name)
            if found is None:
                if len(self._foreign) >= MAX_FOREIGN:
                    self._foreign.clear()
                self._foreign.add(name)
        return found

    def _read(self) -> None:
        self._entries = {deployment_id(entry): entry for entry in self._router.model_list}
        self._foreign.difference_update(self._entries)

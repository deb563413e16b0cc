"""``loop.prompts``: named prompts and their versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hivefeedback.errors import UnknownNameError
from hivefeedback.model import Configuration, render

__all__ = ["PromptVersion", "Prompts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptVersion:
    """One version of a named prompt; ``text`` is None where it was erased."""

    name: str
    version: int
    text: str | None
    is_current: bool


class Prompts:
    """Adds and lists prompts.

    Args:
        add: Stores a version and serves it; answers its number.
        configuration: What is served.
        body: Text by hash.
    """

    def __init__(
        self,
        add: Callable[[str, str], int],
        configuration: Callable[[], Configuration],
        body: Callable[[str], str | None],
    ) -> None:
        self._add, self._configuration, self._body = add, configuration, body

    def add(self, name: str, text: str) -> int:
        """Add a version of a prompt and serve it; answers its number, from 1.

        It is served to all at once, and its fields may differ from those of the version before:
        deploy it together with the code that fills them, since ``Decision.prompt`` raises where one
        is missing. To try a text with the same fields on a share first, propose a PROMPT_PATCH.

        Raises:
            InvalidInputError: The text is not plain text with ``{name}`` fields.
        """
        return self._add(name, text)

    def names(self) -> list[str]:
        """Names of all prompts."""
        return sorted(self._configuration().prompts)

    def versions(self, name: str) -> list[PromptVersion]:
        """Versions of a prompt, oldest first.

        Raises:
            UnknownNameError: No prompt of that name.
        """
        prompts = self._configuration().prompts
        if name not in prompts:
            raise UnknownNameError("prompt", name, list(prompts))
        known = prompts[name]
        return [
            PromptVersion(name=name, version=i, text=self._body(h) if h else None, is_current=i == known.current)
            for i, h in enumerate(known.bodies, start=1)
        ]

    def render(self, name: str, fields: Mapping[str, object]) -> str:
        """The served version with its fields filled; for use outside a decision, hence without canaries."""
        texts = {v.name: v.text or "" for v in self.versions(name) if v.is_current}
        return render(name, texts, fields)

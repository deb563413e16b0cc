"""Calls a model by its name through LiteLLM, for the scorer ``model_judge``. Extra: ``litellm``.

::

    options:
      model_judge: {model: gpt-4o-mini}
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hivefeedback.errors import MissingExtraError

__all__ = ["ask_model"]

_MAX_TOKENS = 100
"""The answer is one number."""


def ask_model(model: str, *, timeout_s: float = 30.0) -> Callable[[str], tuple[str, float | None]]:
    """A function that answers a prompt with the model's text and what the call has cost in USD, if known.

    The calls are no traffic of the host's: they go past its logging callbacks, ours too, so that a
    judge is never asked to judge itself.

    Raises:
        MissingExtraError: LiteLLM is not installed; told at once, not at the first call.
    """
    try:
        import litellm
    except ImportError as error:
        raise MissingExtraError("calling models by name", "litellm") from error

    def ask(prompt: str) -> tuple[str, float | None]:
        unlogged: dict[str, Any] = {"no-log": True}
        answer: Any = litellm.completion(
            model=model,
            messages=[{"role": "user", "content": prompt}],
            max_tokens=_MAX_TOKENS,
            timeout=timeout_s,
            num_retries=0,
            **unlogged,
        )
        return str(answer.choices[0].message.content or ""), _cost_of(answer)

    return ask


def _cost_of(answer: Any) -> float | None:
    hidden = getattr(answer, "_hidden_params", None)
    cost = hidden.get("response_cost") if isinstance(hidden, dict) else None
    return float(cost) if isinstance(cost, int | float) else None

"""What a model's answer says: served model, tokens, how it finished.

Merging the chunks of a stream concatenates most text fields of the answer's metadata, so a model
``m-1`` that streamed in three chunks calls itself ``m-1m-1m-1``. That is repaired here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from hivefeedback.model import Outcome
from hivefeedback_langchain.outcome import outcome_of_finish

if TYPE_CHECKING:
    from langchain_core.outputs import Generation, LLMResult

__all__ = ["MAX_TEXT", "NO_REPLY", "Reply", "read_reply", "unrepeated"]

_FINISH_KEYS: Final = ("finish_reason", "stop_reason", "done_reason", "completion_reason", "finishReason")
MAX_TEXT: Final = 100_000
"""Characters of captured content; scorers need no more, and a batch must stay small."""
_NOTHING: Final[Mapping[str, Any]] = {}


class Reply(Struct, frozen=True):
    """An answer in hivefeedback's words; empty or None is what the provider did not say."""

    outcome: Outcome = "ok"
    model: str = ""
    response_id: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_usd: float | None = None
    text: str | None = None


NO_REPLY: Final = Reply()


def unrepeated(text: str, hint: str = "") -> str:
    """A text without the repetitions that merging stream chunks makes.

    Args:
        text: What the merged answer says.
        hint: What was asked for; decides where the name itself repeats (``aa``).

    >>> unrepeated("m-1m-1m-1"), unrepeated("gpt-4o"), unrepeated("aaaa", hint="aa")
    ('m-1', 'gpt-4o', 'aa')
    """
    if not text or text == hint:
        return text
    if hint and len(text) % len(hint) == 0 and text == hint * (len(text) // len(hint)):
        return hint
    period = (text + text).find(text, 1)
    return text[:period]


def read_reply(response: LLMResult, *, requested_model: str, is_streamed: bool, with_text: bool) -> Reply:
    """Read the first answer of a model call.

    With several answers (``n > 1``) providers repeat the usage on each; it is one call, so the
    first one counts.
    """
    generation = response.generations[0][0] if response.generations and response.generations[0] else None
    if generation is None:
        return NO_REPLY
    message = getattr(generation, "message", None)
    metadata: Mapping[str, Any] = getattr(message, "response_metadata", None) or _NOTHING
    output: Mapping[str, Any] = response.llm_output or _NOTHING
    usage = getattr(message, "usage_metadata", None) or _token_usage(output)
    model = metadata.get("model_name") or metadata.get("model") or output.get("model_name") or ""
    response_id = metadata.get("id") or _own_id(message)
    finish = metadata.get("finish_reason") or _finish(metadata) or _finish(generation.generation_info)
    if is_streamed:
        model, finish = unrepeated(str(model), requested_model), unrepeated(str(finish))
        response_id = unrepeated(str(response_id))
    cost = usage.get("total_cost")
    if cost == 0:  # LangChain marks a cache hit so; it says nothing about the model
        return Reply("cache_hit", str(model), str(response_id), cost_usd=0.0, text=_text(generation, with_text))
    extra = getattr(message, "additional_kwargs", None)
    return Reply(
        "refused" if extra and extra.get("refusal") else outcome_of_finish(str(finish)),
        str(model),
        str(response_id),
        _count(usage.get("input_tokens")),
        _count(usage.get("output_tokens")),
        float(cost) if isinstance(cost, int | float) and cost > 0 else None,
        _text(generation, with_text),
    )


def _text(generation: Generation, with_text: bool) -> str | None:
    if not with_text:
        return None
    return str(getattr(getattr(generation, "message", None), "text", generation.text))[:MAX_TEXT]


def _finish(metadata: Mapping[str, Any] | None) -> object:
    if not metadata:
        return ""
    for key in _FINISH_KEYS:
        reason = metadata.get(key)
        if reason:
            return reason
    details = metadata.get("incomplete_details")  # OpenAI's Responses API
    return details.get("reason") or "" if isinstance(details, Mapping) else ""


def _token_usage(output: Mapping[str, Any]) -> Mapping[str, Any]:
    usage = output.get("token_usage") or output.get("usage") or _NOTHING
    if not isinstance(usage, Mapping) or "input_tokens" in usage:
        return usage if isinstance(usage, Mapping) else _NOTHING
    return {"input_tokens": usage.get("prompt_tokens"), "output_tokens": usage.get("completion_tokens")}


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _own_id(message: object) -> str:
    """The provider's id of an answer; ids that LangChain made up (``lc_run--…``) are none."""
    own = getattr(message, "id", None) or ""
    return "" if str(own).startswith(("lc_run-", "run-")) else str(own)

"""Scores 1 where the answer is JSON that fits the schema of its operation, 0 where it is not.

Silent where no schema is configured. Needs the extra ``schema``: jsonschema is the reference
implementation, kept, and it compiles no code from schemas. Options, by operation prefix (``""`` is
every operation, the longest prefix counts)::

    options:
      json_schema:
        schemas: {"text-to-text/order": {type: object, required: [item, price]}}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from hivefeedback.errors import ConfigurationError, MissingExtraError
from hivefeedback.hooks import Plugin, Scorer, hookimpl
from hivefeedback.model import Event, Run, Score, is_counted
from hivefeedback_scorers.prefixes import by_prefix

__all__ = ["JsonSchema", "JsonSchemaOptions", "JsonSchemaPlugin"]

MAX_CHARS = 100_000
"""Longer answers get no opinion, since the recorder waits for it."""
_FENCE = "```"
_IsValid = Callable[[object], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonSchemaOptions:
    """Which schemas apply.

    Args:
        schemas: JSON Schema by operation prefix; the draft is what ``$schema`` says, else the newest.
            References lead inside the schema only: nothing is fetched.
        ignore_fence: Take an answer between two lines of three backticks for what is between them;
            off, since who parses it stumbles over them.
    """

    schemas: dict[str, dict[str, Any]] = field(default_factory=dict)
    ignore_fence: bool = False


class JsonSchema:
    """Parses answers and holds them against schemas.

    >>> from hivefeedback.model import Event, Run
    >>> run = Run("a", "order/new", output='{"item": "tea"}')
    >>> event = Event(producer="p", epoch=1, seq=1, event_id="r", event_time_s=0.0, ingest_time_s=0.0, body=run)
    >>> scorer = JsonSchema({"order": {"type": "object", "required": ["item", "price"]}})
    >>> scorer.score(event)[0].value
    0.0

    Raises:
        MissingExtraError: There are schemas, but no jsonschema.
        ConfigurationError: One of them is no JSON Schema; the message names its operation.
    """

    name = "json_schema"
    needs_output = True

    def __init__(self, schemas: Mapping[str, Mapping[str, Any]], *, ignore_fence: bool = False) -> None:
        self._valid = {prefix: _is_valid(prefix, schema) for prefix, schema in schemas.items()}
        self._ignore_fence = ignore_fence

    def score(self, event: Event) -> Sequence[Score]:
        """One score of a counted run with output, where its operation has a schema."""
        run = event.body
        if not isinstance(run, Run) or run.output is None or not is_counted(run.outcome):
            return ()
        is_valid = by_prefix(self._valid, run.operation)
        if is_valid is None or len(run.output) > MAX_CHARS:
            return ()
        value, why = self._judged(is_valid, run.output)
        return (Score(run_id=event.event_id, name=self.name, value=value, source=self.name, explanation=why),)

    def _judged(self, is_valid: _IsValid, text: str) -> tuple[float, str]:
        try:
            answer = msgspec.json.decode(_unfenced(text) if self._ignore_fence else text)
            is_good = is_valid(answer)
        except (msgspec.MsgspecError, RecursionError, ValueError):  # ValueError: lone surrogates
            return 0.0, "no JSON"
        return (1.0, "") if is_good else (0.0, "does not fit the schema")


def _is_valid(prefix: str, schema: Mapping[str, Any]) -> _IsValid:
    try:
        from jsonschema import exceptions, validators
        from referencing import Registry
    except ImportError as error:
        raise MissingExtraError("the scorer json_schema", "schema") from error
    cls = validators.validator_for(schema, default=validators.Draft202012Validator)
    try:
        cls.check_schema(dict(schema))
    except exceptions.SchemaError as error:
        raise ConfigurationError(
            f"the schema of operation {prefix!r} is no JSON Schema: {error.message:.200} at {error.json_path}"
        ) from error
    validator: Any = cls(dict(schema), registry=Registry())
    return lambda answer: bool(validator.is_valid(answer))


def _unfenced(text: str) -> str:
    text = text.strip()
    if not (text.startswith(_FENCE) and text.endswith(_FENCE) and "\n" in text):
        return text
    return text.partition("\n")[2].removesuffix(_FENCE)


class JsonSchemaPlugin(Plugin):
    """Registers the scorer, if there is a schema."""

    name = "json_schema"
    Options = JsonSchemaOptions

    def __init__(self) -> None:
        self._scorer: JsonSchema | None = None

    def configure(self, options: object) -> None:
        """Take the options; a wrong schema is told here, at start."""
        assert isinstance(options, JsonSchemaOptions)
        if options.schemas:
            self._scorer = JsonSchema(options.schemas, ignore_fence=options.ignore_fence)

    @hookimpl
    def hive_scorers(self) -> Sequence[Scorer]:
        """The scorer, or nothing without schemas."""
        return (self._scorer,) if self._scorer else ()

"""Task 44's ``model_performance_stats.json``: at most 1000 records per model, each a run.

A record has ``model_name, operation, processing_time_ms, quality_score`` (1–5), ``success``,
memory, tokens and a time. The file holds them as a list, by model, or either below ``records``.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator

import msgspec

from hivefeedback.errors import InvalidInputError
from hivefeedback.model import Run
from hivefeedback_import.carried import Carried, Quality
from hivefeedback_import.fields import Json, count_of, moment_of, names_left, number_of

__all__ = ["is_task44", "read_task44"]

_TIMES = ("timestamp", "recorded_at", "created_at", "time")
_MEMORY = ("memory_usage_mb", "memory_mb", "memory_used_mb")
_TOKENS = ("tokens_generated", "token_count", "tokens")
_KNOWN = frozenset({
    "model_name", "model", "operation", "processing_time_ms", "quality_score", "success", "tokens_per_second",
    *_TIMES, *_MEMORY, *_TOKENS,
})  # fmt: skip


def is_task44(data: object) -> bool:
    """True where it holds records with a processing time."""
    records = list(_records(data))
    return bool(records) and all("processing_time_ms" in record for _, record in records)


def read_task44(data: object, written_at_s: float) -> Carried:
    """The runs with their ratings, the oldest first.

    Raises:
        InvalidInputError: A field cannot be what it says; the sentence names the record.
    """
    records = list(_records(data))
    seen: Counter[str] = Counter()
    runs: list[Quality] = []
    for place, (model, record) in enumerate(records, start=1):
        try:
            runs.append(_quality(model, record, written_at_s, seen))
        except InvalidInputError as error:
            raise InvalidInputError(f"record {place} ({model or 'no model'!r}): {error}") from error
    runs.sort(key=lambda q: q.run.started_at_s or 0.0)
    left = []
    unknown = names_left((r for _, r in records), _KNOWN)
    if unknown:
        left.append(f"fields without a place here: {', '.join(unknown)}")
    n_timeless = sum(all(r.get(name) is None for name in _TIMES) for _, r in records)
    if n_timeless:
        left.append(f"{n_timeless} records tell no time; they count as of when the file was written")
    return Carried(kind="task44", runs=tuple(runs), left=tuple(left))


def _records(data: object) -> Iterator[tuple[str, Json]]:
    if isinstance(data, dict) and isinstance(data.get("records"), dict | list):
        data = data["records"]
    groups = data.items() if isinstance(data, dict) else [("", data)]
    for model, group in groups:
        for record in group if isinstance(group, list) else ():
            if isinstance(record, dict):
                yield str(record.get("model_name") or record.get("model") or model), record


def _quality(model: str, record: Json, written_at_s: float, seen: Counter[str]) -> Quality:
    if not model:
        raise InvalidInputError("field 'model_name' is missing")
    success = record.get("success", True)
    if not isinstance(success, bool):
        raise InvalidInputError(f"field 'success' is {str(success)[:40]!r}; expected true or false")
    rating = number_of(record, "quality_score")
    if rating is not None and not 1.0 <= rating <= 5.0:
        raise InvalidInputError(f"field 'quality_score' is {rating:g}; expected 1 to 5")
    duration_ms = number_of(record, "processing_time_ms")
    moments = (moment_of(record.get(name)) for name in _TIMES)
    at_s = next((m for m in moments if m is not None), written_at_s)
    run = Run(
        model,
        str(record.get("operation") or "general"),
        "ok" if success else "model_error",
        None if duration_ms is None else duration_ms / 1000.0,
        run_id=_id_of(model, record, seen),
        started_at_s=at_s,
        tokens_out=count_of(record, *_TOKENS),
        memory_mb=number_of(record, *_MEMORY),
    )
    return Quality(run, rating)


def _id_of(model: str, record: Json, seen: Counter[str]) -> str:
    """The same for the same record in whatever file; equal records in one file are told apart."""
    content = msgspec.json.encode([model, record], order="sorted")
    digest = hashlib.sha256(content).hexdigest()[:24]
    seen[digest] += 1
    return f"import-{digest}" if seen[digest] == 1 else f"import-{digest}-{seen[digest]}"

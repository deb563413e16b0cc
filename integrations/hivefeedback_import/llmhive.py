"""LLMHive's ``performance_metrics.json``: sums of queries per model, and per domain.

``{"gpt-4o-mini": {"total_queries": 100, "successful_queries": 85, "latency_history": [...],
"domain_performance": {"medical": {"total_queries": 40, "successful_queries": 36}}}}``. Single
queries are not in it, so they come over as sums in the minute in which the file was written.
"""

from __future__ import annotations

from hivefeedback.errors import InvalidInputError
from hivefeedback_import.carried import Carried, Total
from hivefeedback_import.fields import Json, count_of, names_left, number_of

__all__ = ["is_llmhive", "read_llmhive"]

_N, _OK = ("total_queries", "total", "queries"), ("successful_queries", "successful", "successes")
_DOMAINS = ("domain_performance", "domain_stats", "domains")
_KNOWN = frozenset({"total_queries", "successful_queries", "latency_history", "avg_latency", "accuracy", *_DOMAINS})
_GENERAL = "text-to-text"
"""Operation of queries whose domain is not told."""


def is_llmhive(data: object) -> bool:
    """True where it looks like LLMHive's file, which may wrap the models in ``models``."""
    models = _models(data)
    return bool(models) and all(isinstance(m, dict) and "total_queries" in m for m in models.values())


def read_llmhive(data: object, written_at_s: float) -> Carried:
    """The sums, and a word on what is not carried.

    Raises:
        InvalidInputError: A count cannot be one; the sentence names the model.
    """
    totals: list[Total] = []
    left: list[str] = []
    models = _models(data)
    for name, profile in models.items():
        try:
            totals += _totals(name, profile, written_at_s)
        except InvalidInputError as error:
            raise InvalidInputError(f"model {name!r}: {error}") from error
        if "avg_latency" in profile and not profile.get("latency_history"):
            left.append(f"the mean latency of {name!r} counts as one query's, since no single ones were kept")
    unknown = names_left(models.values(), _KNOWN)
    if unknown:
        left.append(f"fields without a place here: {', '.join(unknown)}")
    left.append("single queries were never kept, so erase by session, agent or user finds nothing of these sums")
    return Carried(kind="llmhive", totals=tuple(totals), left=tuple(left))


def _models(data: object) -> dict[str, Json]:
    if not isinstance(data, dict):
        return {}
    wrapped = data.get("models")
    return wrapped if isinstance(wrapped, dict) else data


def _totals(name: str, profile: Json, at_s: float) -> list[Total]:
    """Each domain, and the rest under the general operation."""
    n, n_ok = _pair(profile)
    found = []
    for domain, part in _domains(profile).items():
        n_here, n_ok_here = _pair(part)
        n, n_ok = n - n_here, n_ok - n_ok_here
        operation = domain if "/" in domain else f"{_GENERAL}/{domain}"
        found.append(Total(deployment=name, operation=operation, n_queries=n_here, n_successful=n_ok_here, at_s=at_s))
    if n < 0 or not 0 <= n_ok <= n:
        raise InvalidInputError("its domains hold more queries than it has in all")
    rest = Total(
        deployment=name, operation=_GENERAL, n_queries=n, n_successful=n_ok, latencies_s=_latencies(profile), at_s=at_s
    )
    return [t for t in (*found, rest) if t.n_queries or t.latencies_s]


def _domains(profile: Json) -> dict[str, Json]:
    for name in _DOMAINS:
        part = profile.get(name)
        if isinstance(part, dict):
            return {str(d): p for d, p in part.items() if isinstance(p, dict)}
    return {}


def _pair(record: Json) -> tuple[int, int]:
    n, n_ok = count_of(record, *_N) or 0, count_of(record, *_OK) or 0
    if n_ok > n:
        raise InvalidInputError(f"{n_ok} of {n} queries went well, which is more than all")
    return n, n_ok


def _latencies(profile: Json) -> tuple[float, ...]:
    history = profile.get("latency_history")
    if isinstance(history, list) and history:
        each = (number_of({"latency_history": value}, "latency_history") for value in history)
        return tuple(ms / 1000.0 for ms in each if ms is not None)
    mean_ms = number_of(profile, "avg_latency")
    return (mean_ms / 1000.0,) if mean_ms else ()

"""The end: what was reached, as data and as text."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from hivefeedback_demo.book import Book, quantile
from hivefeedback_demo.plan import COMPRESSED, Plan
from hivefeedback_demo.story import Reached

if TYPE_CHECKING:
    from hivefeedback import FeedbackLoop

__all__ = ["as_text", "result_of"]

_OPTIMISED: Final = (
    "The loop optimises what feedback tells it, here success alone: it takes a dear or slow model for an answer that",
    "is right more often. To weigh cost or time, let the feedback's value, from 0 to 1, fall with them; or draw by",
    "FeedbackLoop(policy='balanced'), of which 30 % is speed.",
)


def result_of(
    loop: FeedbackLoop, book: Book, reached: Reached, plan: Plan, *, seed: int, seconds: float, began_at_s: float
) -> dict[str, Any]:
    """Everything that the demo shows, as JSON knows it."""
    shown = reached.promoted_id or reached.patch_id
    return {
        "seed": seed,
        "is_closed": reached.is_closed,
        "seconds": round(seconds, 2),
        "calls": len(book.calls),
        "failed_calls": book.failed,
        "calls_by_way": {w: sum(c.way == w for c in book.calls) for w in ("litellm", "langchain")},
        "source": book.rates.source,
        "latency_scale": plan.scale,
        "traffic": {"calls_in_the_air": plan.workers, "late_share": plan.late_share, "late_s": plan.late_s},
        "measured_p95_s": quantile(sorted(c.seconds for c in book.calls), 0.95),
        "phases": [_phase(book, number, title) for number, title in reached.phases.items()],
        "degraded": {
            "model": reached.worse_model,
            "left_of_success": plan.left,
            "pinned_operation": reached.pinned_operation,
            "left_after_calls": reached.left_after[0] if reached.left_after else None,
            "left_after_own_calls": reached.left_after[1] if reached.left_after else None,
            "promoted": reached.promoted_id or None,
            "promoted_after_calls": reached.promoted_after,
        },
        "harmful_patch": {
            "mutation": reached.patch_id or None,
            "state": reached.patch_state or None,
            "after_calls": reached.patch_calls,
        },
        "table": [asdict(s) for s in book.standings()] if book.calls else [],
        "timeline": _timeline(loop, began_at_s, reached.before),
        "why": loop.why(shown).text() if shown else "",
        "compressed_settings": {name: {"demo": value, "default": told} for name, (value, told) in COMPRESSED.items()},
        "counters": {name: n for name, n in loop.counters.items() if n},
    }


def _phase(book: Book, number: int, title: str) -> dict[str, Any]:
    calls = [c for c in book.calls if c.phase == number]
    last = calls[-200:]
    best = book.best_single(calls)
    return {
        "phase": number,
        "title": title,
        "calls": len(calls),
        "success": book.success(calls),
        "success_last": book.success(last),
        "uniform": book.uniform(calls),
        "best_single": book.single(best, calls),
        "best_single_model": best,
    }


def _timeline(loop: FeedbackLoop, began_at_s: float, before: frozenset[str]) -> list[dict[str, Any]]:
    steps = []
    for mutation_id, life in loop.ledger.lives.items():
        if mutation_id in before:
            continue
        for entry in life.entries:
            steps.append(
                {
                    "at_s": round(entry.at_s - began_at_s, 2),
                    "mutation": mutation_id,
                    "kind": str(life.mutation.kind),
                    "target": life.mutation.target,
                    "state": entry.state,
                    "share": entry.rollout.share if entry.rollout else None,
                    "by": entry.by,
                }
            )
    return sorted(steps, key=lambda s: float(str(s["at_s"])))


def as_text(result: dict[str, Any]) -> str:
    """The same for people."""
    scale = result["latency_scale"]
    lines = ["", f"== {result['calls']} calls in {result['seconds']:.0f} s (seed {result['seed']}) =="]
    lines += [f"{'':42}{'right':>8}{'USD per 1000':>14}{'p95 latency':>13}"]
    for row in result["table"]:
        cost, p95 = 1000 * row["cost_usd"], row["p95_s"]
        lines.append(f"{row['name']:42}{row['success']:8.1%}{cost:14.2f}{p95:11.2f} s")
    lines += [
        "The first row is what was served. The others are what the same models would have answered to the same",
        "questions at the same time, by the server's own draws; the best single model is known in hindsight only.",
        f"Latencies are the published ones; the server sleeps 1/{scale:g} of them. Measured here, client included: "
        f"p95 {1000 * result['measured_p95_s']:.0f} ms.",
        *_OPTIMISED,
        "",
        f"{'phase':44}{'calls':>7}{'right':>8}{'last 200':>10}{'uniform':>9}{'best single':>13}",
    ]
    for p in (p for p in result["phases"] if p["calls"]):
        lines.append(
            f"{p['phase']} {p['title'][:42]:42}{p['calls']:7d}{p['success']:8.1%}{p['success_last']:10.1%}"
            f"{p['uniform']:9.1%}{p['best_single']:13.1%}"
        )
    lines += ["", "timeline of mutations (seconds since the start)"]
    for s in result["timeline"]:
        share = f" at {s['share']:.0%}" if s["share"] and s["state"] == "canary" else ""
        state = s["state"].replace("_", " ")
        lines.append(f"{s['at_s']:7.1f}  {s['mutation']:8} {s['kind']} of {s['target']}: {state}{share}")
    if result["why"]:
        lines += ["", "why, from the journal", *(f"  {line}" for line in result["why"].splitlines())]
    lines += ["", _verdict(result), *_in_the_air(result), *_went_wrong(result), "", _small_print(result)]
    return "\n".join(lines)


def _verdict(result: dict[str, Any]) -> str:
    d, h = result["degraded"], result["harmful_patch"]
    left = (
        f"left {d['model']} after {d['left_after_own_calls']} of its calls"
        if d["left_after_calls"] is not None
        else f"did not leave {d['model'] or 'any model'}"
    )
    pinned = f"promoted {d['promoted']} on the pinned operation" if d["promoted"] else "promoted no change"
    state = {"canary": "still on its canary"}.get(h["state"] or "", h["state"] or "not proposed yet")
    patch = f"the harmful prompt is {state.replace('_', ' ')}"
    if result["is_closed"]:
        return f"The loop closed: {left}; {pinned}; {patch}."
    began = "Interrupted before the loop closed" if result.get("was_interrupted") else "The loop did NOT close"
    return f"{began}: {left}; {pinned}; {patch}."


def _in_the_air(result: dict[str, Any]) -> list[str]:
    """Why leaving takes more calls here than where one call follows the other."""
    if result["degraded"]["left_after_calls"] is None:
        return []
    t = result["traffic"]
    return [
        f"It left while {t['calls_in_the_air']} calls were in the air at once and {t['late_share']:.0%} of the "
        f"feedback came up to {t['late_s']:g} s late: calls decided before the news came count as well."
    ]


def _went_wrong(result: dict[str, Any]) -> list[str]:
    """What the loop counted as lost, bad or failed; nothing on a good day."""
    counted = ", ".join(f"{n} {name}" for name, n in sorted(result["counters"].items()))
    return [f"The loop counted what went wrong (loop.counters): {counted}."] if counted else []


def _small_print(result: dict[str, Any]) -> str:
    settings = "; ".join(f"{n} {v['demo']} instead of {v['default']}" for n, v in result["compressed_settings"].items())
    compressed = f"Compressed for a demo: {settings}. The error rates of the tests are the defaults."
    return f"{compressed}\nFigures: {result['source']}."

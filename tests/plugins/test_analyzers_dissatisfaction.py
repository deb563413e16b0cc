"""The dissatisfaction analyzer hears what users say, once enough of them say it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from hivefeedback.model import Configuration, Finding, Run
from hivefeedback.testing import Seen, view_of
from hivefeedback_analyzers import DissatisfactionAnalyzer, DissatisfactionOptions

T0_S = 1_700_000_040.0
CONFIG = Configuration(version=1)


def _rated(stars: Iterable[float], *, from_s: float = 0.0, name: str = "rating") -> list[Seen]:
    """Runs with a rating of 1–5 each, one a second."""
    return [
        Seen(run=Run("a", "qa", started_at_s=T0_S + from_s + i), judged={name: (s - 1) / 4})
        for i, s in enumerate(stars)
    ]


def _reproached(n: int, n_bad: int, *, from_s: float, name: str = "complaint") -> list[Seen]:
    return [
        Seen(run=Run("a", "qa", started_at_s=T0_S + from_s + i), judged={name: 1.0} if i < n_bad else {})
        for i in range(n)
    ]


def _findings(*parts: list[Seen], options: DissatisfactionOptions | None = None) -> list[Finding]:
    seen = [s for part in parts for s in part]
    analyzer = DissatisfactionAnalyzer()
    if options is not None:
        analyzer.configure(options)
    return list(analyzer.hive_analyze(view_of(seen), CONFIG, T0_S + 7200))


def test_bad_ratings_are_critical() -> None:
    (finding,) = _findings(_rated([1, 2, 1, 2, 1] * 8))
    assert (finding.kind, finding.deployment, finding.operation) == ("dissatisfaction", "a", "qa")
    assert finding.severity == 1.0
    assert "1.40 of 5" in finding.message
    assert "critical" in finding.message


def test_mediocre_ratings_warn() -> None:
    (finding,) = _findings(_rated([3, 3, 2, 3, 4] * 20))
    assert finding.severity == 0.6
    assert "below 3.5: warning" in finding.message


def test_good_ratings_and_few_ratings_say_nothing() -> None:
    assert not _findings(_rated([5, 4, 4, 5, 3] * 20))
    assert not _findings(_rated([1] * 9))


def test_a_mean_below_the_threshold_by_chance_says_nothing() -> None:
    assert not _findings(_rated([1, 5, 4, 3, 4, 3, 5, 1, 4, 4]))


def test_helpful_votes_count_like_ratings() -> None:
    (finding,) = _findings(_rated([1] * 30, name="helpful"))
    assert finding.finding_id == "dissatisfaction:helpful:a:qa"


def test_ratings_that_fall_are_found_though_they_are_still_good_enough() -> None:
    (finding,) = _findings(_rated([5] * 60), _rated([4] * 60, from_s=5400))
    assert finding.before is not None
    assert finding.p_value is not None
    assert finding.after is not None
    assert finding.after.estimate < finding.before.estimate


@pytest.mark.parametrize("name", ["complaint", "correction"])
def test_a_rise_of_reproaches_is_found(name: str) -> None:
    (finding,) = _findings(_reproached(200, 4, from_s=0, name=name), _reproached(100, 30, from_s=5400, name=name))
    assert "went from 2.0% to 30.0%" in finding.message


def test_as_many_reproaches_per_run_as_before_are_no_finding_though_traffic_grew() -> None:
    assert not _findings(_reproached(100, 5, from_s=0), _reproached(1000, 50, from_s=5400))


def test_old_discontent_that_has_passed_is_no_finding() -> None:
    assert not _findings(_rated([1] * 60), _rated([5] * 60, from_s=5400))


def test_without_any_feedback_nothing_is_said() -> None:
    assert not _findings([Seen(run=Run("a", "qa", started_at_s=T0_S + i)) for i in range(100)])
    assert not _findings([])


def test_thresholds_can_be_set_and_must_make_sense() -> None:
    strict = DissatisfactionOptions(warn_rating=4.9, critical_rating=4.0)
    assert _findings(_rated([4] * 80), options=strict)
    with pytest.raises(ValueError, match="critical_rating <= warn_rating"):
        DissatisfactionOptions(warn_rating=2.0)


def test_what_is_said_of_agents_is_heard_without_blaming_a_deployment() -> None:
    seen = [
        Seen(run=Run("", "qa", kind="agent", agent_id="bot", started_at_s=T0_S + i), judged={"rating": 0.0})
        for i in range(40)
    ]
    (finding,) = _findings(seen)
    assert finding.deployment == ""
    assert finding.message.startswith("rating of agents on 'qa'")


def test_a_tone_of_comments_that_turned_bad_is_found_and_a_steady_bad_tone_is_not() -> None:
    """S4.3 S4.15 Dissatisfaction with the sentiment of comments."""
    grim = _rated([1.8] * 60, name="sentiment")
    assert _findings(grim, _rated([1.8] * 60, name="sentiment", from_s=5400)) == []
    bright = _rated([4.2] * 60, name="sentiment")
    (found,) = _findings(bright, _rated([2.2] * 60, name="sentiment", from_s=5400))
    assert found.finding_id == "dissatisfaction:sentiment:a:qa"
    assert "went from 80.0% to 30.0% (n 60)" in found.message


def test_a_mean_just_below_a_threshold_may_be_chance() -> None:
    """S4.3 Significance, adjusted over thresholds and changes together."""
    assert _findings(_rated([3.0, 4.0, 3.0, 4.0, 3.0, 4.0, 3.0, 4.0, 3.0, 3.0, 4.0, 3.0], from_s=5400)) == []
    (found,) = _findings(_rated([2.0] * 60, from_s=5400))
    assert found.severity == 1.0
    assert found.p_value is not None
    assert found.p_value <= 0.001

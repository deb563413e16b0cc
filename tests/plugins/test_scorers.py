"""Scorers judge what they can judge and are silent otherwise."""

from __future__ import annotations

import pytest

from hivefeedback.hooks import Scorer
from hivefeedback.model import Run
from hivefeedback.testing import ScorerContract, event_of
from hivefeedback_scorers import ExactMatch, ExactMatchOptions, ExactMatchPlugin, Pattern, PatternOptions, PatternPlugin


class TestExactMatchKeepsTheContract(ScorerContract):
    def make_scorer(self) -> Scorer:
        return ExactMatch()

    def good_run(self) -> Run:
        return Run("a", output="Paris", reference="Paris")


class TestPatternKeepsTheContract(ScorerContract):
    def make_scorer(self) -> Scorer:
        return Pattern({"": "Par.s"})

    def good_run(self) -> Run:
        return Run("a", "qa", output="It is Paris.")


def _exact(output: str, reference: str, options: ExactMatchOptions | None = None) -> float:
    return ExactMatch(options).score(event_of(Run("a", output=output, reference=reference)))[0].value


def test_a_wrong_answer_scores_0() -> None:
    assert _exact("Lyon", "Paris") == 0.0


def test_blanks_do_not_count_unless_asked_for() -> None:
    assert _exact("a\r\n b ", "a b") == 1.0
    assert _exact("a  b", "a b", ExactMatchOptions(ignore_space=False)) == 0.0


def test_case_counts_unless_switched_off() -> None:
    assert _exact("paris", "Paris") == 0.0
    assert _exact("STRASSE", "straße", ExactMatchOptions(ignore_case=True)) == 1.0


def test_without_a_reference_exact_match_says_nothing() -> None:
    assert not ExactMatch().score(event_of(Run("a", output="Paris")))


def test_an_empty_answer_to_a_reference_is_wrong_not_unknown() -> None:
    assert _exact("", "Paris") == 0.0


@pytest.mark.parametrize("outcome", ["cancelled", "cache_hit", "internal"])
def test_runs_that_never_count_are_not_scored(outcome: str) -> None:
    run = Run("a", "qa", outcome, output="x", reference="x")
    assert not ExactMatch().score(event_of(run))
    assert not Pattern({"": "x"}).score(event_of(run))


def test_the_longest_prefix_of_the_operation_gives_the_pattern() -> None:
    scorer = Pattern({"qa": "cat", "qa/dogs": "dog"})
    assert scorer.score(event_of(Run("a", "qa/dogs/small", output="dog")))[0].value == 1.0
    assert scorer.score(event_of(Run("a", "qa/birds", output="dog")))[0].value == 0.0
    assert not scorer.score(event_of(Run("a", "qax", output="dog")))


def test_a_pattern_spans_lines() -> None:
    assert Pattern({"": r"^\{.*\}$"}).score(event_of(Run("a", output='{"a":\n1}')))[0].value == 1.0


def test_only_the_beginning_of_a_huge_answer_is_searched() -> None:
    assert Pattern({"": "end$"}).score(event_of(Run("a", output="x" * 10_000_000 + "end")))[0].value == 0.0


def test_a_broken_pattern_is_named_at_start() -> None:
    with pytest.raises(ValueError, match="'\\(' of operation 'qa'"):
        PatternOptions(patterns={"qa": "("})


def test_plugins_register_their_scorer_only_where_it_has_something_to_do() -> None:
    plugin = PatternPlugin()
    assert not plugin.hive_scorers()
    plugin.configure(PatternOptions(patterns={"": "x"}))
    assert [s.name for s in plugin.hive_scorers()] == ["pattern"]
    exact = ExactMatchPlugin()
    exact.configure(ExactMatchOptions(ignore_case=True))
    assert exact.hive_scorers()[0].score(event_of(Run("a", output="X", reference="x")))[0].value == 1.0

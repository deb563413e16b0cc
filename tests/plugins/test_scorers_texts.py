"""Scorers that look at the text of an answer: JSON schema, length, similarity to a reference."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.errors import ConfigurationError, MissingExtraError
from hivefeedback.hooks import Scorer
from hivefeedback.model import Run
from hivefeedback.testing import FakeClock, ScorerContract, event_of
from hivefeedback_scorers import (
    JsonSchema,
    JsonSchemaOptions,
    JsonSchemaPlugin,
    Length,
    LengthBounds,
    LengthPlugin,
    Similarity,
    SimilarityOptions,
    SimilarityPlugin,
)

ORDER: dict[str, Any] = {
    "type": "object",
    "required": ["item", "price"],
    "properties": {"item": {"type": "string"}, "price": {"type": "number", "minimum": 0}},
}


class TestJsonSchemaKeepsTheContract(ScorerContract):
    def make_scorer(self) -> Scorer:
        return JsonSchema({"": ORDER})

    def good_run(self) -> Run:
        return Run("a", output='{"item": "tea", "price": 2.5}')


class TestLengthKeepsTheContract(ScorerContract):
    def make_scorer(self) -> Scorer:
        return Length({"": LengthBounds(min_chars=2, max_chars=10, max_tokens=5)})

    def good_run(self) -> Run:
        return Run("a", output="Paris", tokens_out=2)


class TestSimilarityKeepsTheContract(ScorerContract):
    def make_scorer(self) -> Scorer:
        return Similarity()

    def good_run(self) -> Run:
        return Run("a", output="It is Paris", reference="Paris it is")


class TestSimilarityByCharactersKeepsTheContract(ScorerContract):
    def make_scorer(self) -> Scorer:
        return Similarity(SimilarityOptions(operations=("",), by="characters"))

    def good_run(self) -> Run:
        return Run("a", output="Pariss", reference="Paris")


def _json(output: str, **options: Any) -> float:
    return JsonSchema({"": ORDER}, **options).score(event_of(Run("a", output=output)))[0].value


@pytest.mark.parametrize(
    "output",
    ["", "tea", '{"item": "tea"}', '{"item": "tea", "price": -1}', '{"item": "tea", "price": NaN}', "[" * 90_000],
)
def test_what_is_no_json_or_does_not_fit_scores_0(output: str) -> None:
    assert _json(output) == 0.0


def test_a_fence_around_json_spoils_it_unless_it_is_to_be_ignored() -> None:
    fenced = '```json\n{"item": "tea", "price": 1}\n```'
    assert _json(fenced) == 0.0
    assert _json(fenced, ignore_fence=True) == 1.0
    assert _json("```", ignore_fence=True) == 0.0


def test_a_json_answer_too_long_to_look_at_gets_no_opinion() -> None:
    assert not JsonSchema({"": ORDER}).score(event_of(Run("a", output="x" * 100_001)))


def test_a_wrong_schema_is_named_with_its_operation_at_start() -> None:
    with pytest.raises(ConfigurationError, match="operation 'qa' is no JSON Schema"):
        JsonSchema({"qa": {"type": "strange"}})


def test_a_reference_out_of_a_schema_fetches_nothing_and_costs_the_scorer_alone() -> None:
    schema = {"$ref": "http://127.0.0.1:9/else.json"}
    with pytest.raises(Exception, match=r"else\.json"):
        JsonSchema({"": schema}).score(event_of(Run("a", output="{}")))


def test_without_its_extra_a_schema_is_refused_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(MissingExtraError, match=r"hivefeedback\[schema\]"):
        JsonSchemaPlugin().configure(JsonSchemaOptions(schemas={"": ORDER}))
    JsonSchemaPlugin().configure(JsonSchemaOptions())  # nobody asks for it


def _length(run: Run, **bounds: int) -> float:
    return Length({"": LengthBounds(**bounds)}).score(event_of(run))[0].value


def test_the_further_from_its_bounds_the_less_a_length_scores() -> None:
    assert _length(Run("a", output="x" * 50), min_chars=100) == 0.5
    assert _length(Run("a", output="x" * 200), max_chars=100) == 0.5
    assert _length(Run("a", output=""), min_chars=100) == 0.0
    assert _length(Run("a", output=" x "), max_chars=1) == 1.0


def test_of_characters_and_tokens_the_worse_counts() -> None:
    assert _length(Run("a", output="x" * 50, tokens_out=40), max_chars=100, max_tokens=10) == 0.25
    assert _length(Run("a", output="x" * 50), max_chars=100, max_tokens=10) == 1.0
    assert _length(Run("a", tokens_out=40), max_chars=100, max_tokens=10) == 0.25


def test_bounds_that_cross_are_refused() -> None:
    with pytest.raises(ValueError, match="min_chars <= max_chars"):
        LengthBounds(min_chars=10, max_chars=5)
    with pytest.raises(ValueError, match="min_tokens"):
        LengthBounds(min_tokens=-1)


def _near(output: str, reference: str, **options: Any) -> float:
    scorer = Similarity(SimilarityOptions(operations=("",), **options))
    return scorer.score(event_of(Run("a", output=output, reference=reference)))[0].value


def test_similarity_by_words_is_the_f1_of_common_words() -> None:
    """Precision 2/3 and recall 1 make 0.8."""
    assert _near("a b c", "B a") == pytest.approx(0.8)
    assert _near("a", "b") == 0.0
    assert _near("a a a", "a") == pytest.approx(0.5)
    assert _near("", "") == 1.0
    assert _near("!", "?") == 0.0


def test_similarity_by_characters_forgives_typing_errors() -> None:
    assert _near("Pariss", "Paris", by="characters") == pytest.approx(1 - 1 / 11)
    assert _near("", "", by="characters") == 1.0


def test_without_its_extra_similarity_by_characters_is_refused_and_never_another_measure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    with pytest.raises(MissingExtraError, match=r"hivefeedback\[similarity\]"):
        SimilarityPlugin().configure(SimilarityOptions(operations=("",), by="characters"))


def test_scorers_of_texts_are_registered_only_where_they_are_configured() -> None:
    for plugin in (JsonSchemaPlugin(), LengthPlugin(), SimilarityPlugin()):
        assert plugin.hive_scorers() == ()


def test_options_reach_the_scorers_and_their_scores_are_aggregated() -> None:
    options: dict[str, dict[str, object]] = {
        "json_schema": {"schemas": {"order": ORDER}},
        "length": {"bounds": {"order": {"max_chars": 10}}},
        "similarity": {"operations": ["order"]},
    }
    allow = ["stores", "policies", *options]
    with FeedbackLoop("memory://", ["a"], clock=FakeClock(), options=options, plugins_allow=allow) as loop:
        loop.record(Run("a", "order/new", output='{"item": "tea"}', reference="item tea"))
        loop.record(Run("a", "else", output="tea", reference="tea"))
        judged = loop.view(3600.0).totals("deployment")[("a",)].judged
        assert {name: (judged[name].n, judged[name].mean) for name in options} == {
            "json_schema": (1, 0.0),
            "length": (1, pytest.approx(10 / 15, abs=1e-4)),
            "similarity": (1, 1.0),
        }

"""What every scorer must do; inherit, and say how to make yours."""

from __future__ import annotations

from hivefeedback.hooks import Scorer
from hivefeedback.model import Event, Feedback, Run

__all__ = ["ScorerContract", "event_of"]


def event_of(body: Run | Feedback, event_id: str = "r-1") -> Event:
    """An event around a run or feedback, as a scorer sees it."""
    return Event(producer="p", epoch=1, seq=1, event_id=event_id, event_time_s=0.0, ingest_time_s=0.0, body=body)


class ScorerContract:
    """Inherit as ``class TestMyScorer(ScorerContract)`` and override ``make_scorer`` and ``good_run``."""

    def make_scorer(self) -> Scorer:
        """A new scorer."""
        raise NotImplementedError

    def good_run(self) -> Run:
        """A run that the scorer has something to say about, and thinks well of."""
        raise NotImplementedError

    def test_it_has_a_name(self) -> None:
        assert self.make_scorer().name

    def test_a_good_run_is_scored_under_its_id_between_0_and_1(self) -> None:
        scores = self.make_scorer().score(event_of(self.good_run(), "r-9"))
        assert scores
        assert all(s.run_id == "r-9" and s.name and 0.0 <= s.value <= 1.0 for s in scores)
        assert max(s.value for s in scores) > 0.5

    def test_a_run_without_texts_gets_no_opinion_and_no_error(self) -> None:
        assert not self.make_scorer().score(event_of(Run("a")))

    def test_other_events_get_no_opinion_and_no_error(self) -> None:
        assert not self.make_scorer().score(event_of(Feedback(name="rating", value=1.0)))

    def test_the_same_run_gets_the_same_scores(self) -> None:
        event = event_of(self.good_run())
        assert list(self.make_scorer().score(event)) == list(self.make_scorer().score(event))

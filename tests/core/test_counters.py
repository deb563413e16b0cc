"""Counters say the first of each name, however many it counts."""

from __future__ import annotations

import logging

import pytest

from hivefeedback.recording import Counters


def test_several_are_counted_at_once_and_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    counters = Counters()
    with caplog.at_level(logging.WARNING):
        counters.note("lost", "the ring is full", 3)
        counters.note("lost", "the ring is full", 2)
        counters.note("bad")
    assert (counters["lost"], counters["bad"]) == (5, 1)
    assert [record.getMessage() for record in caplog.records] == [
        "lost: the ring is full (further ones are only counted)",
        "bad (further ones are only counted)",
    ]

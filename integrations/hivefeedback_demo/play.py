"""What a model answers to a question: drawn from its published rate, the same whenever it is asked.

The draw is a function of (seed, model, operation, number of the question). So the table at the end
can say what every other model would have answered to the very questions that were asked.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from hivefeedback_demo.rates import Rates

__all__ = ["HARMFUL_WORDS", "Answer", "Play", "Question", "questions"]

HARMFUL_WORDS = "in words"
"""A system prompt with these words makes the models spell their numbers, which no program expects."""
_SPELLED_SHARE = 0.55
"""Share of answers that such a prompt spoils."""
_SPREAD = 0.35
"""Latency is log-normal with this sigma around the published mean; the benchmark gives no spread."""
_QUESTION = re.compile(r"^(\S+) #(\d+): how much is (\d+) \+ (\d+)\?$")
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True)
class Question:
    """A task of an operation whose right answer the application knows."""

    number: int
    operation: str
    a: int
    b: int

    @property
    def text(self) -> str:
        """What the model is asked.

        >>> Question(3, "x/y", 1, 2).text
        'x/y #3: how much is 1 + 2?'
        """
        return f"{self.operation} #{self.number}: how much is {self.a} + {self.b}?"

    def is_right(self, answer: str) -> bool:
        """The application's check."""
        return answer.strip() == str(self.a + self.b)

    @classmethod
    def parse(cls, text: str) -> Question | None:
        """The question in a text, or None."""
        found = _QUESTION.match(text.strip())
        return cls(int(found[2]), found[1], int(found[3]), int(found[4])) if found else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says, and how long it takes at the published scale."""

    text: str
    is_right: bool
    latency_s: float


class Play:
    """Plays the models.

    Args:
        rates: Published figures.
        seed: Other seeds give other answers.
    """

    def __init__(self, rates: Rates, seed: int) -> None:
        self._rates, self._seed = rates, seed

    def answer(self, model: str, question: Question, *, factor: float = 1.0, system: str = "") -> Answer:
        """A model's answer.

        Args:
            model: Which.
            question: What it is asked.
            factor: Share of its success that is left, in [0, 1]; 1: as published.
            system: The system prompt.
        """
        figures = self._rates.models[model]
        u_right, u_spelled, u_slow = self._draws(model, question)
        is_right = u_right < figures.success.get(question.operation, 0.0) * factor
        value = question.a + question.b + (0 if is_right else 1 + int(u_right * 1e6) % 9)
        is_spelled = HARMFUL_WORDS in system and u_spelled < _SPELLED_SHARE
        text = " ".join(_DIGITS[int(d)] for d in str(value)) if is_spelled else str(value)
        slow = math.exp(_SPREAD * _normal(u_slow) - _SPREAD**2 / 2)
        return Answer(text, is_right and not is_spelled, figures.latency_s * slow)

    def _draws(self, model: str, question: Question) -> tuple[float, float, float]:
        key = f"{self._seed}|{model}|{question.operation}|{question.number}".encode()
        digest = hashlib.blake2b(key, digest_size=24).digest()
        first, second, third = (int.from_bytes(digest[i : i + 8], "big") / 2**64 for i in (0, 8, 16))
        return first, second, third


def questions(rates: Rates, seed: int) -> Iterator[Question]:
    """Questions without end, of each operation equally often."""
    rng = random.Random(f"questions {seed}")
    number = 0
    while True:
        number += 1
        yield Question(number, rng.choice(rates.operations), rng.randrange(10, 500), rng.randrange(10, 500))


def _normal(u: float) -> float:
    """The normal quantile, by the logistic approximation (within 0.02 in the middle; a demo's latency)."""
    u = min(max(u, 1e-6), 1.0 - 1e-6)
    return math.log(u / (1.0 - u)) / 1.702

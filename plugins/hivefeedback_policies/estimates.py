"""What is known of each (operation, deployment): success rates that borrow from each other.

The expected rate of deployment k in operation o is ``sigmoid(m_o + a_k)``: how easy the operation
is plus how able the deployment is. Each cell's own rate lies around it like a beta variable with
the strength of ``cell_strength`` observations, so that a cell with few observations answers what
its row and column say and one with many answers its own mean. Row and column effects are
penalised least squares on working residuals (a step of IRLS: McCullagh and Nelder, Generalized
Linear Models, 1989, 2.5), one row at a time, when that row is read: the cost of a step is a
dozen operations on one row. A plain shrinkage towards a deployment's global rate leaves twice the
variance unexplained on four public benchmark tables, since some operations are easy for all.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

__all__ = ["Estimates"]

Floats = npt.NDArray[np.float64]

_MAX_STEP = 1.0
"""Longest step of an effect on the logit scale; a one-sided row would otherwise overshoot."""


_MATRICES = ("counts", "sums", "expected", "_pull", "_grip")
"""Arrays by row and column."""
_VECTORS = ("prior", "prior_weight", "ability", "_sum_pull", "_sum_grip")
"""Arrays by column."""


class Estimates:
    """Rates of all cells, in arrays that grow by doubling.

    Args:
        cell_strength: How many observations the row's and column's opinion of a cell is worth.
            Public tables lie at 6 to 9 where models differ in kind, above 80 where they do not.
        ability_sd: Spread of deployments on the logit scale before anything is known.
        ease: Mean of the operations on the logit scale before anything is known; 2 is 88 %. It is
            hopeful on purpose, and not fitted: where all start low the first good one wins too early.
        ease_sd: Its spread.
        doubt: Standard deviations below the mean that a cell is sure to earn. A choice among many
            is made for what is overestimated; a detector that believes it raises false alarms.
    """

    def __init__(
        self,
        *,
        cell_strength: float = 6.0,
        ability_sd: float = 0.55,
        ease: float = 2.0,
        ease_sd: float = 0.7,
        doubt: float = 1.0,
    ) -> None:
        self._strength = cell_strength
        self._ability_weight = ability_sd**-2
        self._first_ease = ease
        self._ease_weight = ease_sd**-2
        self._doubt = doubt
        self.n_rows = 0
        self.n_columns = 0
        self.counts = np.zeros((8, 8))
        self.sums = np.zeros((8, 8))
        self.expected = np.zeros((8, 8))
        """What each cell was sure to earn when its row was last read: what a detector compares with."""
        self._pull = np.zeros((8, 8))
        self._grip = np.zeros((8, 8))
        self.ease = np.zeros(8)
        self.prior = np.zeros(8)
        self.prior_weight = np.full(8, self._ability_weight)
        self.ability = np.zeros(8)
        self._sum_pull = np.zeros(8)
        self._sum_grip = np.zeros(8)

    def add_row(self) -> int:
        """A new operation; answers its index."""
        if self.n_rows == len(self.ease):
            self._grow(rows=2 * self.n_rows, columns=self.counts.shape[1])
        self.ease[self.n_rows] = self._first_ease
        self.n_rows += 1
        return self.n_rows - 1

    def add_column(self, prior: float = 0.0, weight: float | None = None) -> int:
        """A new deployment with a prior ability (logit) and its weight; answers its index."""
        if self.n_columns == len(self.ability):
            self._grow(rows=len(self.ease), columns=2 * self.n_columns)
        k = self.n_columns
        self.n_columns += 1
        self.clear_column(k)
        self.set_prior(k, prior, weight)
        self.ability[k] = prior
        return k

    def set_prior(self, k: int, prior: float, weight: float | None = None) -> None:
        """Change what is believed of a deployment before its observations."""
        self.prior[k] = prior
        self.prior_weight[k] = self._ability_weight if weight is None else weight
        if not self._sum_grip[k]:
            self.ability[k] = prior

    def add(self, row: int, k: int, reward: float, n: float = 1.0) -> None:
        """Count a reward; ``n`` = 0 corrects an earlier one by a difference, −1 takes one back."""
        counts, sums = self.counts, self.sums
        count, total = counts.item(row, k) + n, sums.item(row, k) + reward
        if count < 0.0:
            count = 0.0
        if not 0.0 <= total <= count:
            total = min(max(total, 0.0), count)
        counts[row, k], sums[row, k] = count, total

    def refit(self, row: int) -> None:
        """Let a row's counts move its ease and the abilities of its deployments."""
        k = self.n_columns
        n, ability = self.counts[row, :k], self.ability[:k]
        ease = self.ease[row]
        rate = _sigmoid(ease + ability)
        share = self._strength / (n + self._strength)
        residual = share * (self.sums[row, :k] - n * rate)
        grip = share * n * rate * (1 - rate)
        total = float(grip.sum())
        target = (self._first_ease * self._ease_weight + float(residual.sum()) + ease * total) / (
            self._ease_weight + total
        )
        self.ease[row] += min(max(target - ease, -_MAX_STEP), _MAX_STEP)
        pull = residual + grip * ability
        self._move(row, pull, grip)

    def _move(self, row: int, pull: Floats, grip: Floats) -> None:
        k = self.n_columns
        self._sum_pull[:k] += pull - self._pull[row, :k]
        self._sum_grip[:k] += grip - self._grip[row, :k]
        self._pull[row, :k] = pull
        self._grip[row, :k] = grip
        weight = self.prior_weight[:k]
        target = (self.prior[:k] * weight + self._sum_pull[:k]) / (weight + self._sum_grip[:k])
        step = target - self.ability[:k]
        self.ability[:k] += np.minimum(np.maximum(step, -_MAX_STEP), _MAX_STEP)

    def read(self, row: int) -> tuple[Floats, Floats]:
        """Mean and standard deviation of each cell of a row, the row's own part of the column
        effects left out of its prior. A negative row: an operation never seen."""
        k = self.n_columns
        weight = self.prior_weight[:k] + self._sum_grip[:k]
        pull = self.prior[:k] * self.prior_weight[:k] + self._sum_pull[:k]
        if row < 0:
            rate, n, total = _sigmoid(self._first_ease + pull / weight), 0.0, 0.0
            return self._posterior(rate, weight, n, total)
        weight = weight - self._grip[row, :k]
        rate = _sigmoid(self.ease[row] + (pull - self._pull[row, :k]) / weight)
        mean, sd = self._posterior(rate, weight, self.counts[row, :k], self.sums[row, :k])
        self.expected[row, :k] = np.maximum(mean - self._doubt * sd, 0.0)
        return mean, sd

    def _posterior(
        self, rate: Floats, weight: Floats, n: Floats | float, total: Floats | float
    ) -> tuple[Floats, Floats]:
        # The column effect's own variance weakens the prior: its strength adds harmonically.
        strength = 1 / (1 / self._strength + rate * (1 - rate) / weight)
        size = strength + n
        mean = (strength * rate + total) / size
        return mean, np.sqrt(mean * (1 - mean) / (size + 1))

    def clear_column(self, k: int) -> None:
        """Forget all observations of a deployment."""
        for name in _MATRICES:
            getattr(self, name)[:, k] = 0.0
        self._sum_pull[k] = self._sum_grip[k] = 0.0
        self.ability[k] = self.prior[k]

    def copy_column(self, source: int, target: int) -> None:
        """Let one deployment know what another knows."""
        for name in (*_MATRICES, *_VECTORS):
            array = getattr(self, name)
            array[..., target] = array[..., source]

    def scale_column(self, k: int, factor: float, most: float) -> None:
        """Accept a change: rates times ``factor``, each cell's count cut to ``most``."""
        kept = np.minimum(1.0, most / np.maximum(self.counts[:, k], 1.0))
        self.counts[:, k] *= kept
        self.sums[:, k] *= kept * factor

    def dump(self) -> dict[str, str]:
        """The arrays, packed: little-endian doubles, zlib, base64."""
        r, k = self.n_rows, self.n_columns
        arrays = {name: getattr(self, name)[:r, :k] for name in _MATRICES}
        arrays |= {name: getattr(self, name)[:k] for name in _VECTORS}
        arrays["ease"] = self.ease[:r]
        return {name: b64encode(zlib.compress(a.astype("<f8").tobytes(), 1)).decode() for name, a in arrays.items()}

    def load(self, packed: Mapping[str, str], *, n_rows: int, n_columns: int) -> None:
        """Take back what ``dump`` wrote.

        Raises:
            ValueError: An array is missing, damaged or of another size.
        """
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(_MATRICES, (n_rows, n_columns))
        shapes |= dict.fromkeys(_VECTORS, (n_columns,))
        shapes["ease"] = (n_rows,)
        arrays = {name: _unpack(packed.get(name, ""), shape) for name, shape in shapes.items()}
        while len(self.ease) < n_rows or len(self.ability) < n_columns:
            self._grow(rows=2 * len(self.ease), columns=2 * len(self.ability))
        for name, array in arrays.items():
            whole: Floats = getattr(self, name)
            whole[...] = 0.0
            whole[tuple(slice(size) for size in array.shape)] = array
        self.n_rows, self.n_columns = n_rows, n_columns

    def _grow(self, *, rows: int, columns: int) -> None:
        for name in _MATRICES:
            old: Floats = getattr(self, name)
            new = np.zeros((rows, columns))
            new[: old.shape[0], : old.shape[1]] = old
            setattr(self, name, new)
        self.ease = _longer(self.ease, rows)
        for name in _VECTORS:
            setattr(self, name, _longer(getattr(self, name), columns))


def _sigmoid(x: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-x))


def _unpack(text: str, shape: tuple[int, ...]) -> Floats:
    try:
        data = zlib.decompress(b64decode(text, validate=True))
    except zlib.error as error:
        raise ValueError(f"an array of shape {shape} is damaged: {error}") from error
    return np.frombuffer(data, dtype="<f8").reshape(shape).astype(np.float64)


def _longer(vector: Floats, length: int) -> Floats:
    new = np.zeros(length)
    new[: len(vector)] = vector
    return new

"""How often each candidate is the best one, by samples of its estimate.

The noise is drawn once from the seed and read in slices, so that a refresh costs no generator, and
state is one counter: the same seed and the same sequence of calls give the same shares.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Winners"]

Floats = npt.NDArray[np.float64]

_POOL = 1 << 16
_STRIDE = 7919
"""A prime, so that the slices only repeat after many refreshes."""


class Winners:
    """Shares of wins among normal samples, in units of 1 ÷ ``n_samples``."""

    def __init__(self, seed: int, *, n_samples: int = 64) -> None:
        self._n = n_samples
        self._pool = np.random.default_rng(seed).standard_normal(_POOL, dtype=np.float32)
        self.position = 0
        """How many slices were read; the only state."""

    def shares(self, mean: Floats, sd: Floats, broad_sd: Floats) -> tuple[Floats, Floats]:
        """Two distributions over the candidates: shares of wins among all samples with ``sd``, and
        among a quarter of them with ``broad_sd``. Each sums to 1. Of more than 8192 candidates
        only that many first ones can win.
        """
        k = min(len(mean), _POOL // 8)
        n = min(self._n, _POOL // (2 * k))
        self.position += 1
        start = (self.position * _STRIDE) % (_POOL - k * n)
        noise = self._pool[start : start + k * n].reshape(n, k)
        level = mean[:k].astype(np.float32)
        best = (noise * sd[:k].astype(np.float32) + level).argmax(axis=1)
        few = n // 4
        broad = (noise[:few] * broad_sd[:k].astype(np.float32) + level).argmax(axis=1)
        return np.bincount(best, minlength=len(mean)) / n, np.bincount(broad, minlength=len(mean)) / few

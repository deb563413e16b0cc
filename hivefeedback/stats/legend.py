"""Numbers for what cells hold, so that sums of many cells are sums of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hivefeedback.stats.cell import CellKey

__all__ = ["AWAITING", "Ints", "Legend", "Whole"]

Ints = NDArray[np.int64]
Whole = NDArray[np.integer[Any]]
AWAITING = 0
"""The column of ``n_awaiting``."""


class _Numbers(dict[str, int]):
    """Columns of one kind by name, given when a name is first met; ``width`` neighbours for each."""

    __slots__ = ("_all", "_kind", "_width")

    def __init__(self, kind: str, taken: list[tuple[str, str]], width: int = 1) -> None:
        super().__init__()
        self._kind, self._all, self._width = kind, taken, width

    def __missing__(self, name: str) -> int:
        number = self[name] = len(self._all)
        self._all += [(self._kind, name)] * self._width
        return number


class _Bins(dict[int, int]):
    """Columns of one metric's bins."""

    __slots__ = ("_all", "_metric")

    def __init__(self, metric: str, taken: list[tuple[str, int]]) -> None:
        super().__init__()
        self._metric, self._all = metric, taken

    def __missing__(self, k: int) -> int:
        number = self[k] = len(self._all)
        self._all.append((self._metric, k))
        return number


class _Metrics(dict[str, _Bins]):
    """Bins of each metric."""

    __slots__ = ("_all",)

    def __init__(self, taken: list[tuple[str, int]]) -> None:
        super().__init__()
        self._all = taken

    def __missing__(self, metric: str) -> _Bins:
        bins = self[metric] = _Bins(metric, self._all)
        return bins


class Legend:
    """Which number stands for which key, counter and bin. It only grows.

    ``columns`` holds (kind, name) of each counter: outcomes, sums, ns, and three neighbours (n, Σ,
    Σ²) for each judgement. ``bin_columns`` holds (metric, bin).
    """

    def __init__(self) -> None:
        self.keys: list[CellKey] = []
        self._key_numbers: dict[CellKey, int] = {}
        self.columns: list[tuple[str, str]] = [("awaiting", "")]
        self.outcomes = _Numbers("outcomes", self.columns)
        self.sums = _Numbers("sums", self.columns)
        self.ns = _Numbers("ns", self.columns)
        self.judged = _Numbers("judged", self.columns, width=3)
        self.bin_columns: list[tuple[str, int]] = []
        self.bins = _Metrics(self.bin_columns)
        self._is_total: list[bool] = []
        self._groups: dict[tuple[str, ...], _Groups] = {}

    def number_of(self, key: CellKey) -> int:
        """The number of a key."""
        number = self._key_numbers.get(key)
        if number is None:
            number = self._key_numbers[key] = len(self.keys)
            self.keys.append(key)
            self._is_total.append(not key.arm)
        return number

    def totals(self) -> NDArray[np.bool_]:
        """By number of key: whether it is of arm ''."""
        return np.array(self._is_total, dtype=np.bool_)

    def groups(self, by: Sequence[str]) -> tuple[list[tuple[str, ...]], Ints]:
        """Names of the groups by some parts of the key, and the group of each key."""
        groups = self._groups.get(tuple(by))
        if groups is None:
            groups = self._groups[tuple(by)] = _Groups(tuple(by))
        return groups.of(self.keys)


class _Groups:
    def __init__(self, by: tuple[str, ...]) -> None:
        self._name_of = _namer(by)
        self._numbers: dict[tuple[str, ...], int] = {}
        self._names: list[tuple[str, ...]] = []
        self._of_keys: list[int] = []
        self._array = np.empty(0, dtype=np.int64)

    def of(self, keys: Sequence[CellKey]) -> tuple[list[tuple[str, ...]], Ints]:
        for key in keys[len(self._of_keys) :]:
            name = self._name_of(key)
            number = self._numbers.get(name)
            if number is None:
                number = self._numbers[name] = len(self._names)
                self._names.append(name)
            self._of_keys.append(number)
        if len(self._array) < len(self._of_keys):
            self._array = np.array(self._of_keys, dtype=np.int64)
        return self._names, self._array


def _namer(by: tuple[str, ...]) -> Callable[[CellKey], tuple[str, ...]]:
    places = [CellKey._fields.index(part) for part in by]
    if len(places) > 1:
        return itemgetter(*places)
    if places:
        return lambda key, place=places[0]: (key[place],)  # type: ignore[misc]  # bound now
    return lambda _: ()

"""Mergeable statistics and tests that stay valid under constant looking."""

from hivefeedback.stats.cell import JUDGED_UNIT, Cell, CellKey, Judged
from hivefeedback.stats.delta import BUCKET_S, MAX_EXEMPLARS, Delta, Exemplar, bucket_of
from hivefeedback.stats.histogram import RELATIVE_ERROR, bin_of, merge_bins, quantile, value_of
from hivefeedback.stats.view import Coverage, Slice, View

__all__ = [
    "BUCKET_S",
    "JUDGED_UNIT",
    "MAX_EXEMPLARS",
    "RELATIVE_ERROR",
    "Cell",
    "CellKey",
    "Coverage",
    "Delta",
    "Exemplar",
    "Judged",
    "Slice",
    "View",
    "bin_of",
    "bucket_of",
    "merge_bins",
    "quantile",
    "value_of",
]

"""Mergeable statistics and tests that stay valid under constant looking."""

from hivefeedback.stats.cell import JUDGED_UNIT, Cell, CellKey, Judged
from hivefeedback.stats.confidence import harm_bound, rate_ratio_sequence, rate_sequence
from hivefeedback.stats.delta import BUCKET_S, MAX_EXEMPLARS, Delta, Exemplar, bucket_of
from hivefeedback.stats.histogram import RELATIVE_ERROR, bin_of, merge_bins, quantile, value_of
from hivefeedback.stats.interval import (
    Difference,
    adjusted_p_values,
    mean_difference,
    mean_interval,
    rate_difference,
    wilson_interval,
)
from hivefeedback.stats.sample import Sample, newest_runs, sample_of, samples
from hivefeedback.stats.sequential import (
    GUARDRAILS,
    FailingUnits,
    failing_units,
    gain_log_e,
    guardrail_alpha,
    harm_lean,
    harm_log_e,
    sample_ratio_log_e,
    tripped_guardrail,
)
from hivefeedback.stats.tally import Tally
from hivefeedback.stats.units import FAILED_SESSIONS, failed_session, with_failed_sessions
from hivefeedback.stats.view import Coverage, Slice, View

__all__ = [
    "BUCKET_S",
    "FAILED_SESSIONS",
    "GUARDRAILS",
    "JUDGED_UNIT",
    "MAX_EXEMPLARS",
    "RELATIVE_ERROR",
    "Cell",
    "CellKey",
    "Coverage",
    "Delta",
    "Difference",
    "Exemplar",
    "FailingUnits",
    "Judged",
    "Sample",
    "Slice",
    "Tally",
    "View",
    "adjusted_p_values",
    "bin_of",
    "bucket_of",
    "failed_session",
    "failing_units",
    "gain_log_e",
    "guardrail_alpha",
    "harm_bound",
    "harm_lean",
    "harm_log_e",
    "mean_difference",
    "mean_interval",
    "merge_bins",
    "newest_runs",
    "quantile",
    "rate_difference",
    "rate_ratio_sequence",
    "rate_sequence",
    "sample_of",
    "sample_ratio_log_e",
    "samples",
    "tripped_guardrail",
    "value_of",
    "wilson_interval",
    "with_failed_sessions",
]

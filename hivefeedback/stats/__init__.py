"""Mergeable statistics and tests that stay valid under constant looking."""

from hivefeedback.stats.cell import JUDGED_UNIT, Cell, CellKey, Judged, n_succeeded
from hivefeedback.stats.changes import Changes
from hivefeedback.stats.confidence import harm_bound, rate_ratio_sequence, rate_sequence
from hivefeedback.stats.counts import (
    ROLLOUT_COUNTS,
    ROLLOUT_STOPS,
    counts_key,
    decode_counts,
    decode_stop,
    encode_counts,
    encode_stop,
    merge_counts,
)
from hivefeedback.stats.delta import BUCKET_S, MAX_EXEMPLARS, Delta, Exemplar, bucket_of
from hivefeedback.stats.histogram import RELATIVE_ERROR, bin_of, merge_bins, quantile, value_of
from hivefeedback.stats.interval import (
    Difference,
    Differences,
    adjusted_p_values,
    mean_difference,
    mean_differences,
    mean_interval,
    rate_difference,
    wilson_interval,
)
from hivefeedback.stats.names import NO_QUALITY, QUERY, REWARD
from hivefeedback.stats.proof import HarmProof, guardrails_of
from hivefeedback.stats.query import ENOUGH, Queried, Query, QueryTrace, outcome_success, query_success
from hivefeedback.stats.recent import newest
from hivefeedback.stats.repeat import Repeat
from hivefeedback.stats.sample import Sample, newest_runs, newest_sample, sample_of, samples
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
from hivefeedback.stats.spread import Spread, mean_change, spread_interval, spread_of
from hivefeedback.stats.tally import Tally
from hivefeedback.stats.units import (
    CHUNK,
    FAILED_SESSIONS,
    SEEN_SESSIONS,
    FailedSession,
    decode_failed,
    failed_session,
    seen_sessions,
    unit_hash,
    with_failed_sessions,
)
from hivefeedback.stats.view import Coverage, Slice, View
from hivefeedback.stats.window import Window

__all__ = [
    "BUCKET_S",
    "CHUNK",
    "ENOUGH",
    "FAILED_SESSIONS",
    "GUARDRAILS",
    "JUDGED_UNIT",
    "MAX_EXEMPLARS",
    "NO_QUALITY",
    "QUERY",
    "RELATIVE_ERROR",
    "REWARD",
    "ROLLOUT_COUNTS",
    "ROLLOUT_STOPS",
    "SEEN_SESSIONS",
    "Cell",
    "CellKey",
    "Changes",
    "Coverage",
    "Delta",
    "Difference",
    "Differences",
    "Exemplar",
    "FailedSession",
    "FailingUnits",
    "HarmProof",
    "Judged",
    "Queried",
    "Query",
    "QueryTrace",
    "Repeat",
    "Sample",
    "Slice",
    "Spread",
    "Tally",
    "View",
    "Window",
    "adjusted_p_values",
    "bin_of",
    "bucket_of",
    "counts_key",
    "decode_counts",
    "decode_failed",
    "decode_stop",
    "encode_counts",
    "encode_stop",
    "failed_session",
    "failing_units",
    "gain_log_e",
    "guardrail_alpha",
    "guardrails_of",
    "harm_bound",
    "harm_lean",
    "harm_log_e",
    "mean_change",
    "mean_difference",
    "mean_differences",
    "mean_interval",
    "merge_bins",
    "merge_counts",
    "n_succeeded",
    "newest",
    "newest_runs",
    "newest_sample",
    "outcome_success",
    "quantile",
    "query_success",
    "rate_difference",
    "rate_ratio_sequence",
    "rate_sequence",
    "sample_of",
    "sample_ratio_log_e",
    "samples",
    "seen_sessions",
    "spread_interval",
    "spread_of",
    "tripped_guardrail",
    "unit_hash",
    "value_of",
    "wilson_interval",
    "with_failed_sessions",
]

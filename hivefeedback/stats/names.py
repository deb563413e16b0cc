"""Names under which cells hold what nobody said, but what is worked out from it."""

from __future__ import annotations

from typing import Final

__all__ = ["NO_QUALITY", "QUERY", "REWARD"]

REWARD: Final = "reward"
"""What was learnt from the runs."""
QUERY: Final = "query"
"""Success of the queries that a deployment had a part in, 1 or 0 each: n is total_queries, Σ successful_queries."""
NO_QUALITY: Final = frozenset({REWARD, QUERY})
"""Made of the judgements, so they are none themselves: a mean of judgements leaves them out."""

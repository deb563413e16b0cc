"""Lines in the application's log about what was loaded, saved and went wrong, for people who follow it.

Under the loggers of this package, so nothing is formatted or looked up unless somebody asked for the level.
None is written on a thread of the application.
"""

from __future__ import annotations

import logging

from hivefeedback.hooks import Commit, Store
from hivefeedback.model import OBSERVED, Configuration, shown_url

__all__ = ["TROUBLES", "tell_loaded", "tell_saved", "tell_trouble"]

log = logging.getLogger(__name__)
_ADVICE = {
    "loop_back": "Performance feedback: Loop-back occurred for domain %r, "
    "this domain may benefit from more models or stricter verification",
    "fact_check": "Performance feedback: Fact check failed for domain %r, "
    "this domain may benefit from stricter verification",
}
TROUBLES = frozenset(_ADVICE)
"""Names of feedback that is told of, where it speaks against a run."""


def tell_loaded(store: Store, config: Configuration) -> None:
    """At the start: how many deployments are in service or were seen before, or that nothing is there yet."""
    if not log.isEnabledFor(logging.INFO):
        return
    if not store.log.read(limit=1):
        log.debug("Performance feedback: No existing metrics file found at %s", shown_url(store.url))
        return
    names = {*config.deployments, *(record.key for record in store.state.list(OBSERVED))}
    log.info("Performance feedback: Loaded metrics for %d models from %s", len(names), shown_url(store.url))


def tell_saved(store: Store, commit: Commit) -> None:
    """After a commit that changed the numbers of deployments."""
    if log.isEnabledFor(logging.DEBUG):
        names = {key.deployment for key, _ in commit.delta.cells} - {""}
        if names:
            log.debug("Performance feedback: Saved metrics for %d models to %s", len(names), shown_url(store.url))


def tell_trouble(name: str, value: float, operation: str) -> None:
    """A round had to be done again, or an answer did not pass its check.

    Args:
        name: One of ``TROUBLES``.
        value: What was said, 0–1.
        operation: Of the run; its second part is the domain.
    """
    if (value >= 0.5) == (name == "loop_back") and log.isEnabledFor(logging.INFO):
        parts = operation.split("/")
        log.info(_ADVICE[name], parts[1] if len(parts) > 1 else operation)

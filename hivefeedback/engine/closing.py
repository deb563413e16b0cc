"""Ends what may hang, within a bound."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

__all__ = ["close_within"]

log = logging.getLogger(__name__)


def close_within(timeout_s: float, calls: Mapping[str, Callable[[], object]]) -> None:
    """Make the calls in order, each whatever the others do, and wait at most ``timeout_s`` for them.

    They run on a thread of their own, since a store that is locked or gone may take longer than anybody
    wants to wait; what is still busy then ends with the process.

    Args:
        timeout_s: How long to wait.
        calls: Each with the sentence that is logged where it fails.
    """
    closing = threading.Thread(target=_close, args=(calls,), name="hivefeedback-close", daemon=True)
    try:
        closing.start()
    except RuntimeError:  # from Python 3.12 on an interpreter that ends starts no thread
        _close(calls)
        return
    closing.join(timeout_s)


def _close(calls: Mapping[str, Callable[[], object]]) -> None:
    for failed, call in calls.items():
        try:
            call()
        except Exception as error:  # noqa: BLE001  # background thread: the host must be able to end
            log.warning("%s: %s", failed, error)

"""The right to run the turn: one leader among all processes."""

from __future__ import annotations

from hivefeedback.hooks import Store

__all__ = ["Leadership"]


class Leadership:
    """Takes, renews and gives back the lease for one holder.

    Args:
        store: Where the lease lies, judged by the store's own clock.
        holder: Unique name of this process.
        length_s: How long a silent leader stays leader.
    """

    def __init__(self, store: Store, holder: str, *, length_s: float) -> None:
        self._config = store.config
        self.holder = holder
        self.length_s = length_s
        self._is_held = False

    def take(self) -> int:
        """Take or renew the lease: its fencing token, or 0 where another process leads."""
        lease = self._config.acquire(self.holder, length_s=self.length_s)
        self._is_held = lease is not None
        return lease.token if lease is not None else 0

    @property
    def is_held(self) -> bool:
        """True where the lease was got when it was asked for last, and not given back since."""
        return self._is_held

    def release(self) -> None:
        """Give the lease back, so that another process need not wait for it to run out."""
        if self._is_held:
            self._is_held = False
            self._config.release(self.holder)

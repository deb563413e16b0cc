"""New weights into a new snapshot: the rows that a batch touched, then stale ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import TypeVar

from msgspec.structs import replace

from hivefeedback.errors import PluginError
from hivefeedback.hooks import KnowsOperations, Policy
from hivefeedback.model import Configuration, Lineup, Offer, OfferKey, Snapshot, lineup_of
from hivefeedback.recording.counters import Counters

__all__ = ["Refresher"]

T = TypeVar("T")
_NO_ROW: Mapping[str, float] = {}

_INDEX_EVERY = 16
"""Refreshes between two looks at the index, which only sets that are not prepared yet are served from."""
_PREPARED = 1024
"""Candidate sets that are kept prepared."""


class Refresher:
    """Owns the snapshot on the recorder's side.

    Args:
        policy: Gives the shares.
        snapshot: The first one.
        publish: Swaps the live reference.
        counters: Where a failing policy is counted.
        breath: Lets other threads have a turn, between two rows; None where there are none.
    """

    def __init__(
        self,
        policy: Policy,
        snapshot: Snapshot,
        publish: Callable[[Snapshot], None],
        counters: Counters,
        *,
        breath: Callable[[], object] | None = None,
    ) -> None:
        self._policy, self._publish, self._counters = policy, publish, counters
        self.snapshot = snapshot
        self._dirty: dict[str, None] = {}
        self._keys: dict[str, list[OfferKey]] = {}
        self._n_keys = 0
        self._used: dict[tuple[str, str], None] = {}
        self._stale_index: dict[str, None] = {"": None}
        self._n_refreshes = 0
        self._breath = breath or _nothing

    def use(self, operation: str, set_key: str) -> None:
        """A decision was made from that candidate set; told by the recorder, since decisions have no time."""
        used, name = self._used, (operation, set_key)
        used.pop(name, None)
        used[name] = None
        if len(used) > 2 * _PREPARED:
            del used[next(iter(used))]

    def touch(self, operation: str) -> None:
        """The shares of this operation changed."""
        self._dirty[operation] = None

    @property
    def is_dirty(self) -> bool:
        """True where a refresh would change something."""
        return bool(self._dirty) or len(self.snapshot.offers) != self._n_keys

    def configure(self, config: Configuration, bodies: Mapping[str, str]) -> None:
        """Serve another configuration; known sets are prepared anew."""
        old = self.snapshot
        prices = {
            d.id: (d.capability, d.price.output_usd_per_mtok if d.price else None) for d in config.deployments.values()
        }
        self._safely("declare", lambda: self._policy.declare(prices), None)
        offers: dict[OfferKey, Offer] = {}
        self.snapshot = replace(
            old, config=config, bodies=bodies, offers=offers, same={}, weights_version=old.weights_version + 1
        )
        known = [key for key in dict(old.offers) if not _has_canaries(key)]
        for key in known[-_PREPARED:]:
            operation, candidates = _parts(key)
            lineup = lineup_of(config, bodies, operation, candidates)
            offers[key] = self.snapshot.weighed(lineup, self._shares(operation, lineup), reason="policy")
            self._breath()
        self._remember_keys(offers)
        self._publish(self.snapshot)

    def prime(self, *, budget_s: float) -> None:
        """Prepare what the policy learnt of before this start: a program that ends after its first decisions
        never sees a refresh.

        Args:
            budget_s: Stop after about that long; the rest is prepared when it is asked for.
        """
        offers = dict(self.snapshot.offers)
        new = replace(self.snapshot, offers=offers, same={}, weights_version=self.snapshot.weights_version + 1)
        end = perf_counter() + budget_s
        for operation in self._known_operations():
            lineup = lineup_of(new.config, new.bodies, operation, None)
            offers[operation] = new.weighed(lineup, self._shares(operation, lineup), reason="policy")
            self._stale_index[operation] = None
            if perf_counter() > end:
                break
        self._remember_keys(offers)
        self.snapshot = self._with_index(new)
        self._publish(self.snapshot)

    def _known_operations(self) -> tuple[str, ...]:
        policy = self._policy
        if not isinstance(policy, KnowsOperations):
            return ()
        nothing: tuple[str, ...] = ()
        return self._safely("operations", lambda: tuple(map(str, policy.operations())), nothing)[-_PREPARED:]

    def reopen(self, open_breakers: frozenset[str], probes: Mapping[str, deque[str]], stopped: frozenset[str]) -> bool:
        """Take in breakers, probe tokens and stopped rollouts; everything is weighed anew, at once."""
        old = self.snapshot
        is_same = (open_breakers, stopped) == (old.open_breakers, old.stopped)
        if is_same and _identities(probes) == _identities(old.probes):  # a new token is a new deque
            return False
        offers = dict(old.offers)
        self.snapshot = replace(
            old, open_breakers=open_breakers, probes=dict(probes), stopped=stopped, offers=offers, same={}
        )
        self._remember_keys(offers)
        self._dirty.update(dict.fromkeys(self._keys))
        if not self.refresh(()):
            self._publish(self.snapshot)  # nothing was prepared yet, but what is built now must know it
        return True

    def refresh(self, due: tuple[str, ...] | list[str], *, budget_s: float | None = None) -> tuple[str, ...]:
        """Recompute touched rows and publish; answers which.

        Args:
            due: Rows that the policy calls stale; ``""``: all.
            budget_s: Stop after about that long; the rest stays for the next refresh. Other threads
                get a turn between two rows.
        """
        old = self.snapshot
        offers = dict(old.offers)  # a copy: decide() may be adding to the live one
        if len(offers) != self._n_keys:
            self._remember_keys(offers)
        for operation in due:
            self._dirty.update(dict.fromkeys(self._keys) if not operation else {operation: None})
        if not self._dirty:
            return ()
        new = replace(old, offers=offers, same={}, weights_version=old.weights_version + 1)
        end = perf_counter() + budget_s if budget_s is not None else None
        rows = []
        while self._dirty:
            operation = next(iter(self._dirty))
            del self._dirty[operation]
            for key in self._keys.get(operation, ()):
                lineup = offers[key].lineup
                offers[key] = new.weighed(lineup, self._shares(operation, lineup), reason="policy")
                self._breath()
            rows.append(operation)
            self._stale_index[operation] = None
            if end is not None and perf_counter() > end:
                break
        self.snapshot = self._with_index(new)
        self._publish(self.snapshot)
        return tuple(rows)

    def _with_index(self, snapshot: Snapshot) -> Snapshot:
        self._n_refreshes += 1
        if self._n_refreshes % _INDEX_EVERY and snapshot.index:
            return snapshot
        rows = {op: self._safely("index", partial(self._row, op), _NO_ROW) for op in self._stale_index}
        self._stale_index.clear()
        index = {**snapshot.index, **rows}
        if len(index) > 10_000:
            index = dict(list(index.items())[-5_000:])
        return replace(snapshot, index=index)

    def _shares(self, operation: str, lineup: Lineup) -> Sequence[float]:
        n = len(lineup.candidates)
        if n <= 1 or lineup.fixed is not None:
            return [1.0] * n

        def ask() -> Sequence[float]:
            shares = [float(share) for share in self._policy.shares(operation, lineup.candidates)]
            if len(shares) != n:
                raise PluginError(f"answered {len(shares)} shares for {n} candidates")
            return shares

        return self._safely("shares", ask, [1.0] * n)

    def _row(self, operation: str) -> Mapping[str, float]:
        return {str(name): float(share) for name, share in self._policy.index(operation).items()}

    def _safely(self, what: str, call: Callable[[], T], otherwise: T) -> T:
        """A policy is a plugin: where it fails, the last weights or even ones are served."""
        try:
            return call()
        except Exception as error:  # noqa: BLE001  # the plugin guard
            self._counters.note("policy_failed", f"{self._policy.name}.{what}: {type(error).__name__}: {error}")
            return otherwise

    def _remember_keys(self, offers: dict[OfferKey, Offer]) -> None:
        if len(offers) > _PREPARED:
            self._drop_least_used(offers)
        self._keys = {}
        for key, offer in offers.items():
            operation, _ = _parts(key)
            self._keys.setdefault(operation, []).append(key)
            if offer.reason == "prior":
                self.touch(operation)
        self._n_keys = len(offers)

    def _drop_least_used(self, offers: dict[OfferKey, Offer]) -> None:
        """Forget the sets that no decision has used for longest; new ones were used just now."""
        order = {name: i for i, name in enumerate(self._used)}
        news = len(order)

        def last_used(key: OfferKey) -> int:
            offer = offers[key]
            unknown = news if offer.reason == "prior" else -1
            return order.get((_parts(key)[0], offer.lineup.key), unknown)

        for key in sorted(offers, key=last_used)[: len(offers) - _PREPARED]:
            del offers[key]


def _parts(key: OfferKey) -> tuple[str, tuple[str, ...] | None]:
    return (key, None) if isinstance(key, str) else (key[0], key[1])


def _nothing() -> None:
    """There is no other thread."""


def _identities(probes: Mapping[str, deque[str]]) -> dict[str, int]:
    return {variant: id(tokens) for variant, tokens in probes.items()}


def _has_canaries(key: OfferKey) -> bool:
    return not isinstance(key, str) and len(key) == 3

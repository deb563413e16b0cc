"""What a policy learnt, as each process keeps it in the store: the one that saw most is loaded.

Processes learn side by side, and a policy cannot always add up two of its dumps without counting
what both began with twice. So each writes its own, with the number of observations behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from hivefeedback.hooks import Record

__all__ = ["POLICY", "Learnt", "most_learnt"]

POLICY: Final = "policy"
"""Namespace of the records; the key is the policy's name and the origin of who learnt."""


class Learnt(NamedTuple):
    """A policy's dump.

    Args:
        origin: Who wrote it; empty for the one record that older versions kept.
        n: Observations behind it, those that it began with included.
        dump: What the policy wrote.
        seen: Origin → number of its last increment that is in it; None where that is not known.
    """

    origin: str
    n: int
    dump: bytes
    seen: Mapping[str, int] | None = None

    def record(self, policy: str) -> Record:
        """As it is stored.

        >>> Learnt("p/1", 7, b"{}").record("ucb")
        Record(namespace='policy', key='ucb/p/1', value=b'7\\n{}', version=0, expires_at_s=None)
        """
        seen = b"" if self.seen is None else b" " + msgspec.json.encode(dict(self.seen))
        return Record(POLICY, f"{policy}/{self.origin}", b"%d%b\n%b" % (self.n, seen, self.dump))


def most_learnt(policy: str, records: Iterable[Record]) -> Learnt | None:
    """The dump of that policy with most observations behind it, or None.

    What an older version wrote, under the policy's name alone, counts as the one with fewest.
    """
    found = [learnt for record in records if (learnt := _read(policy, record)) is not None]
    return max(found, key=lambda learnt: (learnt.n, learnt.origin), default=None)


def _read(policy: str, record: Record) -> Learnt | None:
    if record.key == policy:
        return Learnt("", 0, record.value)
    name, _, origin = record.key.partition("/")
    head, _, dump = record.value.partition(b"\n")
    n, _, seen = head.partition(b" ")
    return Learnt(origin, int(n), dump, _seen(seen)) if name == policy and n.isdigit() else None


def _seen(data: bytes) -> dict[str, int] | None:
    try:
        return msgspec.json.decode(data, type=dict[str, int]) if data else None
    except msgspec.DecodeError:
        return None

"""A store as one file, and back into any store.

A room of its own, beside queries and control: it knows the protocols of a store (``hooks``) and the
values in it (``stats``, ``model``), and neither a store of ours nor what the threads of a loop do. So
a stranger's store is carried over as ours are, and a copy needs no loop, which would write into it.
"""

from hivefeedback.exchange.carry import Carried, Checked, carry_into, checked, unfinished
from hivefeedback.exchange.container import Contents, is_export
from hivefeedback.exchange.gather import Exported, export_store

__all__ = [
    "Carried",
    "Checked",
    "Contents",
    "Exported",
    "carry_into",
    "checked",
    "export_store",
    "is_export",
    "unfinished",
]

"""The class that the entry point names: what it registers, and its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hivefeedback.hooks import Gate, PluginWithOptions, Scorer, Store, StoreFactory, hookimpl
from hivefeedback.model import Configuration, Finding
from hivefeedback.stats import View
from hivefeedback_example.analyzer import slow_deployments
from hivefeedback_example.gate import ReasonGate
from hivefeedback_example.scorer import BrevityScorer
from hivefeedback_example.store import AuditedStore

__all__ = ["ExamplePlugin", "Options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options, set by ``FeedbackLoop(options={"example": {...}})`` or ``HIVEFEEDBACK_EXAMPLE_<FIELD>``.

    Args:
        max_p95_s: 95th percentile of duration above which a deployment is called slow, seconds.
        min_runs: Runs below which nothing is said of a deployment.
        max_words: Length up to which an answer is brief.
        audit_file: Where ``audited://`` stores write their lines; empty: nowhere.
    """

    max_p95_s: float = 5.0
    min_runs: int = 20
    max_words: int = 200
    audit_file: str = ""


class ExamplePlugin(PluginWithOptions[Options]):
    """Brings an analyzer, a gate, a scorer and a store."""

    name = "example"
    Options = Options

    @hookimpl
    def hive_analyze(self, view: View, config: Configuration, now_s: float) -> Sequence[Finding]:
        """Name the deployments that are slow."""
        return list(slow_deployments(view, max_p95_s=self.options.max_p95_s, min_runs=self.options.min_runs))

    @hookimpl
    def hive_gates(self) -> Sequence[Gate]:
        """The gate that asks for a reason."""
        return [ReasonGate()]

    @hookimpl
    def hive_scorers(self) -> Sequence[Scorer]:
        """The scorer of brevity."""
        return [BrevityScorer(self.options.max_words)]

    @hookimpl
    def hive_stores(self) -> Mapping[str, StoreFactory]:
        """The store around another one."""
        return {"audited": self._open}

    def _open(self, url: str, *, read_only: bool = False) -> Store:
        return AuditedStore(url, read_only=read_only, audit_file=self.options.audit_file)

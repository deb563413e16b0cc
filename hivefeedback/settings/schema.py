"""What can be set, with type, bounds, meaning and the reason of each default."""

from __future__ import annotations

import os
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from hivefeedback.settings.entries import AdapterEntry, DeploymentEntry, PriceEntry
from hivefeedback.settings.sections import STAGES, Limits, StageEntry, Targets, Thresholds, checked_pipeline

__all__ = ["DEVELOPER", "Mode", "Settings"]

Mode = Literal["off", "observe", "advise", "act"]
Share = Annotated[float, Field(gt=0.0, le=1.0)]
DEVELOPER: Final = "HIVEFEEDBACK_DEV"
"""Variable that lets safety checks be switched off; ``true`` on machines of developers alone."""


class Settings(BaseSettings):
    """What can be set. Each field is also an environment variable, ``HIVEFEEDBACK_<FIELD>``."""

    model_config = SettingsConfigDict(
        env_prefix="HIVEFEEDBACK_", extra="forbid", validate_default=True, env_nested_delimiter=None
    )

    mode: Mode = Field(
        "act",
        description="off: every call is a no-op; observe: collect and analyze; advise: all but execute; act. "
        "Default act, since who makes a FeedbackLoop wants it to decide",
    )
    store: str = Field("", description="URL of the store; default: sqlite hive.db in the user's data folder")
    on_store_error: Literal["memory", "raise"] = Field(
        "memory",
        description="what a store that cannot be opened does at start: memory stands in until the process "
        "ends (the host goes on), or raise",
    )
    policy: str = Field("hierarchical", description="name of the policy; the default shrinks towards what is known")
    deployments: list[DeploymentEntry] = Field(
        default_factory=list, description="what can be drawn; an id alone is enough, such as [small, large]"
    )
    adapters: list[AdapterEntry] = Field(
        default_factory=list, description="LoRA adapters that a LORA_APPLY mutation may put on a deployment"
    )
    prices: dict[str, PriceEntry] = Field(
        default_factory=dict, description="list prices by model, for deployments that name none themselves"
    )
    prompts: dict[str, str] = Field(default_factory=dict, description="named prompts with {name} fields")
    seed: int | None = Field(None, ge=0, description="seed of all draws; default: a new one per process")
    options: dict[str, dict[str, Any]] = Field(default_factory=dict, description="options of plugins by plugin name")
    plugins_allow: list[str] | None = Field(
        None, description="load only these plugins; default: all that are installed"
    )
    plugins_deny: list[str] = Field(default_factory=list, description="never load these plugins")

    pipeline: list[StageEntry] = Field(
        default_factory=lambda: [StageEntry(name=name) for name in STAGES],
        description="the stages in calling order; one that is left out is off. Default: all, none does harm alone",
    )
    thresholds: Thresholds | None = Field(
        None, description="from where on response time and rating are told as a warning or as critical"
    )
    targets: Targets | None = Field(
        None, description="what is to be reached; default: nothing, so that nothing is missed"
    )
    limits: Limits = Field(default_factory=Limits, description="what may be changed without a person")
    safety_checks: bool = Field(
        True, description=f"off: what the gates refuse is served all the same; only with {DEVELOPER}=true, and shown"
    )

    judgements: dict[str, list[str]] = Field(
        default_factory=dict,
        description="names of the feedback or scores that judge an operation prefix; an ok run of it is not learnt "
        "from before one arrives. Default: learnt from what arrives",
    )
    judgement_horizon_s: float = Field(
        3600.0, gt=0, description="how long a judgement is awaited; an hour covers most sessions"
    )
    query_success_from: float = Field(
        0.5,
        gt=0,
        le=1,
        description="mean judgement from which a query succeeded; the middle, so that a rating of 3 is enough",
    )
    unjudged: Literal["wait", "ok"] = Field(
        "wait", description="ok: an ok run without a judgement earns 1 after the horizon"
    )

    ring_size: int = Field(
        65536, ge=16, le=16_777_216, description="events that may wait for the recorder; about 6 s at 10 000/s"
    )
    slice_runs: int = Field(
        50, ge=1, le=1000, description="runs per slice; 1000 delay the host's threads by 4 ms, 50 by 0.3 ms"
    )
    pending_commits: int = Field(
        200_000, ge=100, description="events that may wait for a slow store before they are dropped"
    )
    store_content: bool = Field(False, description="store prompts and answers; off, since they are not needed to learn")
    session_memory: int = Field(100_000, ge=1, description="sessions remembered per process for sticky decisions")
    join_memory: int = Field(50_000, ge=100, description="runs and decisions remembered in memory for late feedback")
    max_comment_bytes: int = Field(
        16_384, ge=0, le=262_144, description="longer comments and corrections are cut, counted and marked"
    )
    agents_tracked: int = Field(1000, ge=1, description="agents with aggregates of their own; further ones are pooled")

    breaker_failures: int = Field(3, ge=1, description="consecutive counted failures that open a breaker")
    breaker_base_s: float = Field(3600.0, gt=0, description="first opening; doubles with each further failure")
    breaker_cap_s: float = Field(86400.0, gt=0, description="longest opening; a day, so that nothing is lost for ever")

    turn_window_s: float = Field(86400.0, gt=0, description="window that the turn looks at")
    turn_every_s: float = Field(60.0, gt=0, description="how often the background turn runs")
    lease_s: float = Field(15.0, gt=0, description="how long a silent leader stays leader")
    config_poll_s: float = Field(
        0.5, gt=0, le=2, description="how often a process looks for a new configuration; changes are served within 2 s"
    )
    canary_max_stale_s: float = Field(
        60.0, gt=0, description="a canary is served only while the configuration was refreshed within this"
    )
    canary_steps: list[Share] = Field(
        default_factory=lambda: [0.05, 0.25, 0.5, 1.0], min_length=1, description="shares of a canary"
    )
    canary_min_units: int = Field(50, ge=1, description="units per arm before a canary is widened")
    canary_max_age_s: float = Field(7 * 86400.0, gt=0, description="age at which an undecided rollout is paused")
    canary_alpha: float = Field(0.01, gt=0, lt=0.5, description="chance of rolling back a harmless change, per rollout")
    canary_margin: float = Field(0.02, gt=0, lt=1, description="harm in success that a promotion may hide")
    approval_expires_s: float = Field(
        7 * 86400.0, gt=0, description="a mutation that nobody approved by then is rejected"
    )

    hook_timeout_s: float = Field(5.0, gt=0, description="how long a hook may take before it is abandoned")
    execute_timeout_s: float = Field(60.0, gt=0, description="the same for hive_execute")
    plugin_max_errors: int = Field(5, ge=1, description="errors in a row after which a plugin is quarantined")
    event_log: Literal["full", "edge"] = Field(
        "full",
        description="edge: sums are exact and shipped each second, and the log holds what failed, what was said in "
        "words, and a random sample of the rest. Default: everything, which late feedback and erasure lean on",
    )
    edge_sample_rate: Share = Field(
        0.01,
        description="share of traces, else of decisions, in the log's random sample in edge mode; one in a hundred "
        "leaves ten thousand of a million to estimate from",
    )
    retain_events_s: float = Field(
        30 * 86400.0, gt=0, description="age at which events are dropped; aggregates stay 400 days"
    )
    retain_events_n: int | None = Field(
        None,
        ge=1000,
        description="the oldest events beyond so many are dropped as well; default: age alone, since what an event "
        "takes on the disk (some 0.3 kB in SQLite, comments come on top) differs by store",
    )
    archive: str = Field(
        "",
        description="folder that events are kept in when they leave the log; what cannot be archived stays in the log. "
        "Default: none, since an archive grows without end and holds what the log held",
    )
    archive_format: str = Field(
        "jsonl",
        description="jsonl: JSON lines under gzip, which need nothing; parquet: for tools that ask questions of many, "
        "with the extra parquet",
    )
    exit_flush_s: float = Field(2.0, ge=0, description="how long interpreter exit waits for the last commit")

    @field_validator("mode", mode="before")
    @classmethod
    def _off_is_a_word(cls, mode: object) -> object:
        return "off" if mode is False else mode  # YAML reads a bare off as false

    @field_validator("canary_steps")
    @classmethod
    def _steps_grow(cls, steps: list[float]) -> list[float]:
        if sorted(set(steps)) != steps:
            raise ValueError("the shares must grow, such as [0.05, 0.25, 0.5, 1.0]")
        return steps

    @field_validator("pipeline")
    @classmethod
    def _stages_are_possible(cls, entries: list[StageEntry]) -> list[StageEntry]:
        return checked_pipeline(entries)

    @model_validator(mode="after")
    def _only_developers_go_unchecked(self) -> Settings:
        if not self.safety_checks and os.environ.get(DEVELOPER, "").strip().lower() not in ("true", "1"):
            raise ValueError(
                f"safety_checks can be off only for developers; set {DEVELOPER}=true as well, or leave them on"
            )
        return self

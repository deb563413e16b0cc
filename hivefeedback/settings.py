"""The settings: constructor beats environment beats ``hivefeedback.yaml`` beats default."""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import platformdirs
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from hivefeedback.errors import ConfigurationError

__all__ = [
    "AdapterEntry",
    "DeploymentEntry",
    "Mode",
    "PriceEntry",
    "Settings",
    "default_store",
    "find_config_file",
    "load_settings",
    "unknown_variables",
]

Mode = Literal["off", "observe", "advise", "act"]
Share = Annotated[float, Field(gt=0.0, le=1.0)]


class PriceEntry(BaseModel):
    """List price in USD for a million tokens."""

    model_config = ConfigDict(extra="forbid")
    input_usd_per_mtok: float = Field(0.0, ge=0.0, description="USD per million input tokens")
    output_usd_per_mtok: float = Field(0.0, ge=0.0, description="USD per million output tokens")


class DeploymentEntry(BaseModel):
    """A deployment in ``hivefeedback.yaml``; only ``id`` is needed."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())
    id: str = Field(min_length=1, description="stable, unique name")
    model: str = Field("", description="what the provider calls it; default: the id")
    params: dict[str, Any] = Field(default_factory=dict, description="parameters of each call")
    adapter: str | None = Field(None, description="LoRA adapter")
    capability: float = Field(
        50.0, ge=0.0, le=100.0, allow_inf_nan=False, description="prior opinion of its ability, 0-100"
    )
    tags: list[str] = Field(default_factory=list, description="free labels")
    price: PriceEntry | None = Field(None, description="list price")
    vram_gb: float | None = Field(None, ge=0.0, description="GPU memory that it needs, GB")
    bounds: dict[str, tuple[float, float]] = Field(
        default_factory=dict,
        description="smallest and largest value of parameters that may be changed, such as max_tokens: [128, 2048]. "
        "Default: none, so that nothing is changed that nobody bounded",
    )


class AdapterEntry(BaseModel):
    """A LoRA adapter in ``hivefeedback.yaml``; only ``name`` is needed."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())
    name: str = Field(min_length=1, description="what its server calls it")
    tags: list[str] = Field(
        default_factory=list, description="what it is for; the planner looks for them in operations"
    )
    models: list[str] = Field(default_factory=list, description="base models that it was made for; default: any")
    vram_gb: float | None = Field(None, ge=0.0, allow_inf_nan=False, description="GPU memory that it needs, GB")


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
        description="what a store that cannot be opened does at start: memory stands in (the host goes on), or raise",
    )
    policy: str = Field("hierarchical", description="name of the policy; the default shrinks towards what is known")
    deployments: list[DeploymentEntry] = Field(default_factory=list, description="what can be drawn")
    adapters: list[AdapterEntry] = Field(
        default_factory=list, description="LoRA adapters that a LORA_APPLY mutation may put on a deployment"
    )
    prompts: dict[str, str] = Field(default_factory=dict, description="named prompts with {name} fields")
    seed: int | None = Field(None, ge=0, description="seed of all draws; default: a new one per process")
    options: dict[str, dict[str, Any]] = Field(default_factory=dict, description="options of plugins by plugin name")
    plugins_allow: list[str] | None = Field(
        None, description="load only these plugins; default: all that are installed"
    )
    plugins_deny: list[str] = Field(default_factory=list, description="never load these plugins")

    judgements: dict[str, list[str]] = Field(
        default_factory=dict,
        description="names of the feedback or scores that judge an operation prefix; an ok run of it is not learnt "
        "from before one arrives. Default: learnt from what arrives",
    )
    judgement_horizon_s: float = Field(
        3600.0, gt=0, description="how long a judgement is awaited; an hour covers most sessions"
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
    retain_events_s: float = Field(
        30 * 86400.0, gt=0, description="age at which events are dropped; aggregates stay 400 days"
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


def find_config_file(config: str | os.PathLike[str] | None = None) -> Path | None:
    """The configuration file: the given one, else ``HIVEFEEDBACK_CONFIG``, else
    ``hivefeedback.yaml`` in the working directory, else None.

    Raises:
        ConfigurationError: A named file is not there.
    """
    named = config or os.environ.get("HIVEFEEDBACK_CONFIG")
    if named:
        path = Path(named)
        if not path.is_file():
            raise ConfigurationError(
                f"configuration file {str(path)!r} is not there; write one with: hivefeedback init"
            )
        return path
    path = Path("hivefeedback.yaml")
    return path if path.is_file() else None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"configuration file {str(path)!r} cannot be read: {error}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigurationError(f"configuration file {str(path)!r} must hold a mapping of settings")
    nameless = [key for key in data if not isinstance(key, str)]
    if nameless:
        raise ConfigurationError(f"configuration file {str(path)!r} has the key {nameless[0]!r}; expected names")
    return data


def default_store() -> str:
    """URL of the store that is used where none is named: ``hive.db`` in the user's data folder."""
    path = Path(platformdirs.user_data_dir("hivefeedback", appauthor=False)) / "hive.db"
    return f"sqlite:///{quote(str(path))}"


def load_settings(config: str | os.PathLike[str] | None = None, **given: Any) -> Settings:
    """The settings of this process.

    ``HIVEFEEDBACK_MODE=off`` is the one exception to the order: it is the switch that turns
    everything off at once, so it also beats a mode given in code.

    Args:
        config: Path of a configuration file.
        given: Values from the constructor; those that are None count as not given.

    Raises:
        ConfigurationError: A setting is wrong; the message names it, its value and what is expected.
    """
    values = {name: value for name, value in given.items() if value is not None}
    if os.environ.get("HIVEFEEDBACK_MODE", "").strip().lower() == "off":
        values["mode"] = "off"
    path = find_config_file(config)
    try:
        settings = _settings_from(path, values)
    except ValidationError as error:
        raise ConfigurationError(_sentence(error, path)) from error
    except SettingsError as error:  # a list or mapping in the environment that is no JSON
        raise ConfigurationError(f"{error}; lists and mappings are written as JSON, such as [0.05, 1.0]") from error
    return settings if settings.store else settings.model_copy(update={"store": default_store()})


def _settings_from(path: Path | None, values: dict[str, Any]) -> Settings:
    class FileSource(PydanticBaseSettingsSource):
        def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
            return None, field_name, False

        def __call__(self) -> dict[str, Any]:
            return _read_yaml(path) if path else {}

    class FileSettings(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, FileSource(settings_cls)

    return FileSettings(**values)


def _sentence(error: ValidationError, path: Path | None) -> str:
    parts = []
    for problem in error.errors():
        name = ".".join(str(p) for p in problem["loc"]) or "settings"
        if problem["type"] == "extra_forbidden":
            parts.append(f"setting {name!r} is not known; 'hivefeedback docs settings' lists them all")
        else:
            parts.append(f"setting {name!r} is {problem.get('input')!r}: {problem['msg']}")
    where = f" (file {str(path)!r} was read)" if path else ""
    return "; ".join(parts) + where


def unknown_variables(plugins: Iterable[str]) -> list[str]:
    """A sentence for each ``HIVEFEEDBACK_*`` variable that nobody reads; most are slips of the pen.

    Args:
        plugins: Names of the loaded plugins, whose options are variables too.
    """
    known = {f"HIVEFEEDBACK_{name.upper()}" for name in (*Settings.model_fields, "config", "url", "dev")}
    prefixes = tuple(f"HIVEFEEDBACK_{name.upper().replace('-', '_')}_" for name in (*plugins, "test"))
    sentences = []
    for name in sorted(os.environ):
        if name.startswith("HIVEFEEDBACK_") and name not in known and not name.startswith(prefixes):
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "'hivefeedback docs settings' lists them all"
            sentences.append(f"environment variable {name} is not known; {hint}")
    return sentences

"""Settings from all their sources: constructor beats environment beats ``hivefeedback.yaml`` beats default."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import quote

import platformdirs
import yaml
from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsError

from hivefeedback.errors import ConfigurationError
from hivefeedback.model import shown_url
from hivefeedback.settings.aliases import from_aliases
from hivefeedback.settings.problems import problems_of
from hivefeedback.settings.schema import Settings
from hivefeedback.settings.sections import plugin_options

__all__ = ["default_store", "find_config_file", "load_settings", "unknown_variables"]


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
    aliased = from_aliases()
    switch = os.environ.get("HIVEFEEDBACK_MODE", "").strip().lower() or str(aliased.get("mode", ""))
    if switch == "off":
        values["mode"] = "off"
    path = find_config_file(config)
    try:
        settings = _settings_from(path, values, aliased)
    except ValidationError as error:
        where = f" (file {str(path)!r} was read)" if path else ""
        raise ConfigurationError("; ".join(problems_of(error)) + where) from error
    except SettingsError as error:
        raise ConfigurationError(_not_json(error)) from error
    return settings.model_copy(update=_derived(settings))


def _derived(settings: Settings) -> dict[str, Any]:
    """What follows: the store's place, sections as options, and that a pipeline that executes nothing only advises."""
    found: dict[str, Any] = {} if settings.store else {"store": default_store()}
    limits = settings.limits if "limits" in settings.model_fields_set else None
    if settings.thresholds or settings.targets or limits:
        found["options"] = plugin_options(
            thresholds=settings.thresholds, targets=settings.targets, limits=limits, given=settings.options
        )
    if settings.mode == "act" and any(s.name == "execute" and not s.enabled for s in settings.pipeline):
        found["mode"] = "advise"
    return found


class _Source(PydanticBaseSettingsSource):
    """Values that are known already."""

    def __init__(self, settings_cls: type[BaseSettings], values: dict[str, Any]) -> None:
        super().__init__(settings_cls)
        self._values = values

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return self._values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self._values


def _settings_from(path: Path | None, values: dict[str, Any], aliased: dict[str, Any]) -> Settings:
    from_file = _read_yaml(path) if path else {}

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
            return init_settings, env_settings, _Source(settings_cls, aliased), _Source(settings_cls, from_file)

    return FileSettings(**values)


def _not_json(error: SettingsError) -> str:
    """About a list or mapping in the environment that is no JSON."""
    field = re.search(r'field "(\w+)"', str(error))
    if field is None:
        return f"{error}; lists and mappings are written as JSON, such as [0.05, 1.0]"
    variable = f"HIVEFEEDBACK_{field[1].upper()}"
    value = shown_url(repr(os.environ.get(variable, "")))
    return f"setting '{field[1]}' is {value:.200} in the variable {variable}; expected JSON, such as [0.05, 1.0]"


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

"""Store URLs, as SQLAlchemy reads them: three slashes for a relative path, four for an absolute one."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from hivefeedback.errors import ConfigurationError
from hivefeedback.model import shown_url

__all__ = ["name_of", "path_of"]


def path_of(url: str, scheme: str) -> Path:
    """The file that a URL names.

    A leading ``~`` stands for the home folder; percent escapes are read.

    Raises:
        ConfigurationError: Another scheme, a host, a query, or no file.

    >>> path_of("sqlite:///hive.db", "sqlite").as_posix(), path_of("sqlite:////var/hive.db", "sqlite").as_posix()
    ('hive.db', '/var/hive.db')
    """
    prefix = f"{scheme}:///"
    rest = url.removeprefix(prefix)
    if not url.startswith(prefix) or not rest.strip("/") or rest.endswith("/"):
        raise ConfigurationError(
            f"store URL {shown_url(url)!r} names no file; expected {prefix}relative/file or {prefix}/absolute/file"
        )
    if "?" in rest or "\x00" in unquote(rest):
        raise ConfigurationError(
            f"store URL {shown_url(url)!r} holds a '?' or a NUL; write '?' as %3F, options are arguments"
        )
    return Path(unquote(rest)).expanduser()


def name_of(url: str) -> str:
    """The name in ``memory://name``; empty for a store of its own.

    Raises:
        ConfigurationError: Not such a URL.
    """
    if not url.startswith("memory://"):
        raise ConfigurationError(
            f"store URL {shown_url(url)!r} is not one of memory; expected memory:// or memory://name"
        )
    return unquote(url.removeprefix("memory://")).strip("/")

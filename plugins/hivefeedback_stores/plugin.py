"""The stores by the scheme of their URL, the archives by format; each module is imported when one is opened."""

from __future__ import annotations

from collections.abc import Mapping

from hivefeedback.hooks import Archive, ArchiveFactory, Plugin, Store, StoreFactory, hookimpl

__all__ = ["StoresPlugin"]


class StoresPlugin(Plugin):
    """``memory://``, ``sqlite:///file.db``, ``json:///file.json`` and ``redis://host:6379/0``."""

    name = "stores"

    @hookimpl
    def hive_stores(self) -> Mapping[str, StoreFactory]:
        """The four stores; ``rediss`` is Redis with TLS."""
        return {"memory": _memory, "sqlite": _sqlite, "json": _json, "redis": _redis, "rediss": _redis}

    @hookimpl
    def hive_archives(self) -> Mapping[str, ArchiveFactory]:
        """JSON lines, and Parquet with the extra ``parquet``."""
        return {"jsonl": _jsonl, "parquet": _parquet}


def _jsonl(folder: str) -> Archive:
    from hivefeedback_stores.archive import FolderArchive

    return FolderArchive(folder)


def _parquet(folder: str) -> Archive:
    from hivefeedback_stores.archive import FolderArchive
    from hivefeedback_stores.archive_parquet import Parquet

    return FolderArchive(folder, Parquet())


def _memory(url: str, *, read_only: bool = False) -> Store:
    from hivefeedback_stores.memory import MemoryStore

    return MemoryStore(url, read_only=read_only)


def _sqlite(url: str, *, read_only: bool = False) -> Store:
    from hivefeedback_stores.sqlite import SqliteStore

    return SqliteStore(url, read_only=read_only)


def _json(url: str, *, read_only: bool = False) -> Store:
    from hivefeedback_stores.json import JsonStore

    return JsonStore(url, read_only=read_only)


def _redis(url: str, *, read_only: bool = False) -> Store:
    from hivefeedback_stores.redis import RedisStore

    return RedisStore(url, read_only=read_only)

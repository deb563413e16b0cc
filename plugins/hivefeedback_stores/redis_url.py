"""Where a Redis store lies: ``redis://user:password@host:6379/0?name=main``.

Beside the server the URL may name the store (several stores share one server, each under keys of its
own), say that the server belongs to a Cluster, over how many shards a new store is spread, and which
certificates to use with ``rediss://``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from hivefeedback.errors import ConfigurationError
from hivefeedback.model import shown_url

__all__ = ["MAX_SHARDS", "Address", "address_of"]

_OURS = ("name", "cluster", "shards")
_TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
MAX_SHARDS = 64
"""Each read asks every shard; more than a Cluster has nodes are of use only while it grows."""
_YES, _NO = ("true", "1", "yes"), ("false", "0", "no")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A store's place.

    Args:
        server: The URL for the client library, without our own options.
        shown: Server and name for messages, without the password.
        name: The store's name; part of each of its keys.
        is_cluster: True where the server is a node of a Cluster.
        n_shards: How many shards the store has, or is made with; None: those that it has, or one.
    """

    server: str
    shown: str
    name: str
    is_cluster: bool
    n_shards: int | None = None


def address_of(url: str) -> Address:
    """Read a store's URL.

    Raises:
        ConfigurationError: Another scheme, no host, an option that is not known, a bad name.

    >>> address_of("redis://me:secret@db:6380/1?name=shop").shown
    'redis://***@db:6380/1?name=shop'
    """
    shown = shown_url(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its message may hold a piece of the password
        raise ConfigurationError(
            f"store URL {shown!r} cannot be read; expected redis://host:6379/0?name=main, and of a password "
            "'/' as %2F, ':' as %3A, '@' as %40"
        ) from None
    is_place = parts.scheme in ("redis", "rediss") and parts.hostname and port != 0
    if not is_place or not re.fullmatch(r"(/\d*)?", parts.path) or parts.fragment:
        raise ConfigurationError(f"store URL {shown!r} names no Redis; expected redis://host:6379/0?name=main")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for option in options:
        if option not in (*_OURS, *_TLS):
            known = ", ".join((*_OURS, *_TLS))
            raise ConfigurationError(f"store URL {shown!r} has an option {option!r}; known: {known}")
    name, cluster = options.get("name", "main"), options.get("cluster", "false").lower()
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"store name {name!r} has to be of letters, digits, '.', '-' and '_', at most 64")
    if cluster not in (*_YES, *_NO):
        raise ConfigurationError(f"store URL {shown!r}: cluster is {cluster!r}; expected true or false")
    shards = options.get("shards")
    if shards is not None and not (shards.isascii() and shards.isdigit() and 1 <= int(shards) <= MAX_SHARDS):
        raise ConfigurationError(f"store URL {shown!r}: shards is {shards!r}; expected a number from 1 to {MAX_SHARDS}")
    rest = urlencode({k: v for k, v in options.items() if k in _TLS})
    return Address(
        server=parts._replace(query=rest).geturl(),
        shown=shown,
        name=name,
        is_cluster=cluster in _YES,
        n_shards=None if shards is None else int(shards),
    )

"""URLs as they may be shown: in messages, logs and answers, without what logs in."""

from __future__ import annotations

import re

__all__ = ["shown_url"]

_LOGIN = re.compile(r"(?<!/)//(?!/).*@")
"""Up to the last ``@``, since passwords hold slashes and further ones; three slashes begin a path."""
_BARE_LOGIN = re.compile(r"^[^/@\s]*:[^@]*@")
"""The same where the ``//`` was forgotten."""
_OPTION = re.compile(r"(?i)([?&][^=&#]*(?:pass|pwd|secret|token)[^=&#]*=)[^&#]*")


def shown_url(url: str) -> str:
    """A URL without the user, the password, and options that are secret by their name.

    >>> shown_url("redis://me:se/cr@t@host/0?password=x&name=shop")
    'redis://***@host/0?password=***&name=shop'
    >>> shown_url("me:secret@host/db"), shown_url("sqlite:////var/hive@home.db")
    ('***@host/db', 'sqlite:////var/hive@home.db')
    """
    without_login = _LOGIN.sub("//***@", url) if "//" in url else _BARE_LOGIN.sub("***@", url)
    return _OPTION.sub(r"\1***", without_login)

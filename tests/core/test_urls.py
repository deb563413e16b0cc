"""No password of a store's URL is in what is said, whoever says it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.errors import ConfigurationError
from hivefeedback.hooks import Plugin, Store, StoreFactory, hookimpl
from hivefeedback.model import shown_url
from tests.core.loops import live_loop

HIDDEN = [
    ("postgres://u:secret@h/db", "postgres://***@h/db"),
    ("postgres://secret@h", "postgres://***@h"),
    ("redis://u:se@cr/secret@h:1/0", "redis://***@h:1/0"),
    ("u:secret@h/db", "***@h/db"),
    ("redis://h/0?name=x&auth_token=secret", "redis://h/0?name=x&auth_token=***"),
    ("sqlite://u:secret@h/db", "sqlite://***@h/db"),
]


@pytest.mark.parametrize(("url", "shown"), HIDDEN)
def test_what_logs_in_is_not_shown(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@pytest.mark.parametrize("url", ["sqlite:////home/a@b/x.db", "sqlite:///C:/x@y.db", "memory://", "hive.db", "a@b"])
def test_what_holds_nothing_secret_is_shown_as_it_is(url: str) -> None:
    assert shown_url(url) == url


@pytest.mark.parametrize("url", [url for url, _ in HIDDEN])
def test_a_store_that_cannot_be_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        FeedbackLoop(url, ["a"])
    assert "secret" not in str(refused.value)


def test_a_setting_of_a_wrong_type_is_told_without_its_password(tmp_path: Path) -> None:
    path = tmp_path / "hivefeedback.yaml"
    path.write_text("store: ['redis://u:secret@h/0']")
    with pytest.raises(ConfigurationError) as refused:
        FeedbackLoop(deployments=["a"], config=path)
    assert "secret" not in str(refused.value)


class Chatty(Plugin):
    """A driver that names all that it was given."""

    name = "chatty"

    @hookimpl
    def hive_stores(self) -> dict[str, StoreFactory]:
        """One that is never there."""

        def opened(url: str, *, read_only: bool = False) -> Store:
            raise RuntimeError(f"cannot reach {url}, read_only={read_only}")

        return {"chatty": opened}


def test_a_driver_that_names_the_password_does_not_bring_it_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with live_loop(store="chatty://u:secret@h/db", plugins=[Chatty()]) as loop:
        assert loop.counters["store_unreachable"] == 1
    assert "cannot reach chatty://***@h/db" in caplog.text
    assert "secret" not in caplog.text

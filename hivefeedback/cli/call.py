"""What a command has at hand while it runs."""

from __future__ import annotations

import argparse
import getpass
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hivefeedback.cli.console import say
from hivefeedback.errors import RefusedError

if TYPE_CHECKING:
    from hivefeedback.cli.reader import Reader
    from hivefeedback.loop import FeedbackLoop
    from hivefeedback.settings import Settings

__all__ = ["Call"]


class Call:
    """One call of a command. What is slow to import or open is so when it is asked for.

    Args:
        args: The arguments, parsed.
        rest: The arguments behind the name of a command that takes them unparsed.
        clock: Seconds since 1970 UTC.
    """

    def __init__(
        self, args: argparse.Namespace, rest: Sequence[str] = (), *, clock: Callable[[], float] = time.time
    ) -> None:
        self.args, self.rest, self.clock = args, tuple(rest), clock
        self.store_url = ""
        self.has_made_store = False

    @property
    def is_json(self) -> bool:
        """True where a program reads the answer."""
        return bool(self.args.json)

    @cached_property
    def settings(self) -> Settings:
        """The settings of this process. Raises ConfigurationError."""
        from hivefeedback.settings import load_settings

        return load_settings(self.args.config, store=self.args.store)

    @cached_property
    def declared_in(self) -> Path | None:
        """The configuration file that says what there is before anything was recorded.

        None where there is none, or where ``--store`` names a store: whoever names one expects it to be there.
        """
        from hivefeedback.settings import find_config_file

        return None if self.args.store else find_config_file(self.args.config)

    @property
    def by(self) -> str:
        """Who does it: ``--by``, else the name under which the person is logged in."""
        given = getattr(self.args, "by", None)
        if given is not None:
            return str(given)
        try:
            return getpass.getuser()
        except (OSError, KeyError, ImportError):  # a container may run under a user without a name
            return "cli"

    def use_store(self) -> str:
        """Say which store is used; its URL."""
        if not self.store_url:
            from hivefeedback.model import shown_url

            self.store_url = shown_url(self.settings.store)
            if not self.is_json:
                say(f"store: {self.store_url}")
            if not self.settings.safety_checks:
                say("SAFETY CHECKS ARE OFF: what the gates refuse is served all the same")
        return self.settings.store

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """The store, to look at. Raises StoreError."""
        from hivefeedback.cli.reader import reading

        self.use_store()
        with reading(self.settings, self.clock) as reader:
            yield reader

    @contextmanager
    def loop(self, *, may_create: bool = False, is_told: bool = True, **given: Any) -> Iterator[FeedbackLoop]:
        """A loop on the store, to change something; closed behind the block.

        Args:
            may_create: Make the store where there is none yet; its folder must be there, unless it is the default.
            is_told: Say so: where a store was expected, a new one comes of a slip of the pen.
            given: Further arguments of ``FeedbackLoop``.

        Raises:
            RefusedError: The mode is ``off``.
            StoreError: The store cannot be opened.
        """
        from hivefeedback.cli.reader import check_exists, check_folder, is_missing
        from hivefeedback.loop import FeedbackLoop

        url = self.use_store()
        if self.settings.mode == "off":
            raise RefusedError("the mode is 'off', so nothing is changed; unset HIVEFEEDBACK_MODE for this command")
        self.has_made_store = is_missing(url)
        if may_create:
            check_folder(url)
        else:
            check_exists(url)
        with FeedbackLoop(store=url, config=self.args.config, on_store_error="raise", **given) as loop:
            if self.has_made_store and is_told and not self.is_json:
                say(f"there was no store yet; a new one was made: {self.store_url}")
            yield loop

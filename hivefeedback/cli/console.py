"""Where a command writes: answers on standard output, everything else on standard error."""

from __future__ import annotations

import io
import logging
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from hivefeedback.cli.words import plain

__all__ = ["error_line", "logged", "out", "progress", "say", "tolerant", "width"]

_QUIET_S: Final = 2.0
"""What takes longer says that it is still at work."""


def out(text: str) -> None:
    """The answer, on standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """A remark that is no part of the answer, on standard error."""
    sys.stderr.write(plain(text) + "\n")
    sys.stderr.flush()


def error_line(message: str) -> str:
    """What went wrong, in one line.

    >>> error_line("two\\n  lines")
    'error: two lines'
    """
    return "error: " + plain(" ".join(message.split()))


def width() -> int | None:
    """Columns of the terminal; None where the answer goes to a file or another program."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def tolerant(stream: TextIO) -> None:
    """Let a terminal that knows few characters show the others as escapes."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


@contextmanager
def logged(verbosity: int) -> Iterator[None]:
    """Show warnings on standard error, those of plugins too; with ``-v`` more of the package, ``-vv`` everything."""
    logger, root = logging.getLogger("hivefeedback"), logging.getLogger()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(levelname)s: %(message)s"))
    if verbosity == 0:
        handler.addFilter(_once())
    before = logger.level
    root.addHandler(handler)
    logger.setLevel(logging.WARNING if verbosity == 0 else logging.INFO if verbosity == 1 else logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        logger.setLevel(before)


def _once() -> Callable[[logging.LogRecord], bool]:
    """Lets each sentence pass once: doctor loads the plugins for one check after the other."""
    said: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        is_new = text not in said
        said.add(text)
        return is_new

    return is_new


class _OneLine(logging.Formatter):
    """A record as ``warning: ...``."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        level, _, message = text.partition(":")
        return plain(f"{level.lower()}:{message}", is_block=True)


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Say every second what is still at work, from two seconds on, if a person is watching."""
    if not sys.stderr.isatty():
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_report, args=(what, ended), name="hivefeedback-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _report(what: str, ended: threading.Event) -> None:
    started = time.monotonic()
    pause_s, has_written = _QUIET_S, False
    while not ended.wait(pause_s):
        sys.stderr.write(f"\r{what}: at work for {time.monotonic() - started:.0f} s")
        sys.stderr.flush()
        pause_s, has_written = 1.0, True
    if has_written:
        sys.stderr.write("\r" + " " * (len(what) + 30) + "\r")
        sys.stderr.flush()

"""Worker processes for tests, from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["GIVE_UP_S", "LEASE_S", "Worker", "until"]

GIVE_UP_S = 60.0
LEASE_S = 2.0
"""Of the workers here: short, so that a test need not wait long."""


def until(is_so: Callable[[], bool], what: str, give_up_s: float = GIVE_UP_S) -> float:
    """Poll until something is so; how long that took."""
    start_s = time.monotonic()
    while not is_so():
        assert time.monotonic() - start_s < give_up_s, f"{what} took longer than {give_up_s:g} s"
        threading.Event().wait(0.02)
    return time.monotonic() - start_s


class Worker:
    """``hivefeedback worker`` in a process of its own."""

    def __init__(self, url: str, **env: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hivefeedback", "worker", "--every", "0.2", "--json"],
            env={**os.environ, "HIVEFEEDBACK_STORE": url, "HIVEFEEDBACK_LEASE_S": str(LEASE_S), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.turns: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.turns.append(json.loads(line))

    @property
    def leads(self) -> bool:
        """True where its newest turn was the leader's."""
        return bool(self.turns) and self.turns[-1]["leader"]

    def until_turn(self) -> None:
        """Wait for its next turn."""
        n = len(self.turns)
        until(lambda: len(self.turns) > n or self.process.poll() is not None, "a turn")
        assert self.process.poll() is None, self.said()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and wait; the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(GIVE_UP_S)
        self._reader.join(GIVE_UP_S)
        return code

    def said(self) -> str:
        """What it wrote to standard error; once it has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def kill(self) -> None:
        """End it as ``kill -9`` does; again: nothing."""
        self.process.kill()
        self.process.wait(GIVE_UP_S)
        self._reader.join(GIVE_UP_S)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None and not stream.closed:
                stream.close()

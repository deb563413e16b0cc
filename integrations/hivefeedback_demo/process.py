"""Starts and ends the model server's process."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from types import TracebackType

import msgspec

__all__ = ["ServerProcess"]


class ServerProcess:
    """The model server, as a context manager.

    Args:
        seed: Of the answers.
        scale: Latencies are divided by this.
    """

    def __init__(self, seed: int, scale: float) -> None:
        self._command = [sys.executable, "-m", "hivefeedback_demo.server", "--seed", str(seed), "--scale", str(scale)]
        self.url = ""

    def __enter__(self) -> ServerProcess:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError("the model server did not start; see what it wrote above")
        return self

    def degrade(self, model: str, factor: float) -> None:
        """Leave a model this share of its success from now on."""
        body = msgspec.json.encode({"model": model, "factor": factor})
        request = urllib.request.Request(f"{self.url}/control", data=body, method="POST")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy
        opener.open(request, timeout=10).close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

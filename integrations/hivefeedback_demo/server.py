"""An OpenAI-compatible server that plays the models, in a process of its own.

``POST /v1/chat/completions`` answers as the model that the request names; ``POST /control`` with
``{"model": ..., "factor": 0.3}`` makes a model worse without a word to anyone. Loopback only, no
streaming; the parent ends it by closing its standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import threading
import time
from typing import Any

import msgspec

from hivefeedback_demo.play import Play, Question
from hivefeedback_demo.rates import TOKENS_IN, TOKENS_OUT, load_rates

__all__ = ["ModelServer"]

_MAX_BODY = 1 << 20


class ModelServer:
    """Answers requests.

    Args:
        play: Who plays the models.
        models: Names that may be asked.
        scale: Latencies are divided by this.
    """

    def __init__(self, play: Play, models: frozenset[str], *, scale: float) -> None:
        self._play, self._models, self._scale = play, models, scale
        self._factors: dict[str, float] = {}
        self._n_answers = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path, length = _request(head)
                body = await reader.readexactly(length)
                status, answer = await self.respond(path, body)
                payload = msgspec.json.encode(answer)
                kind = "Content-Type: application/json"
                head = f"HTTP/1.1 {status}\r\n{kind}\r\nContent-Length: {len(payload)}\r\n\r\n".encode()
                writer.write(head + payload)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            pass  # the client hung up, or speaks no HTTP
        except asyncio.CancelledError:
            pass  # the server ends; an idle connection has nothing left to do
        finally:
            writer.close()

    async def respond(self, path: str, body: bytes) -> tuple[str, dict[str, Any]]:
        """Status line and JSON of one request."""
        try:
            request = msgspec.json.decode(body, type=dict[str, Any])
            if path == "/control":
                self._factors[str(request["model"])] = float(request["factor"])
                return "200 OK", {}
            if path == "/v1/chat/completions":
                return await self._complete(request)
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            return "400 Bad Request", _error(f"not a request that this server knows: {error!r}")
        return "404 Not Found", _error(f"no such path: {path}")

    async def _complete(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        model = str(request["model"])
        if model not in self._models:
            return "404 Not Found", _error(f"model {model!r} is not played here")
        said = {m["role"]: str(m["content"]) for m in request["messages"]}
        question = Question.parse(said["user"])
        if question is None:
            return "400 Bad Request", _error("the user message is not one of the demo's questions")
        factor = self._factors.get(model, 1.0)
        answer = self._play.answer(model, question, factor=factor, system=said.get("system", ""))
        await asyncio.sleep(answer.latency_s / self._scale)
        self._n_answers += 1
        return "200 OK", _completion(f"demo-{self._n_answers}", model, answer.text)


def _completion(name: str, model: str, text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": name,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": TOKENS_IN,
            "completion_tokens": TOKENS_OUT,
            "total_tokens": TOKENS_IN + TOKENS_OUT,
        },
    }


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error"}}


def _request(head: bytes) -> tuple[str, int]:
    """Path and body length of a request head.

    Raises:
        ValueError: It is not one, or its body is too long.
    """
    lines = head.decode("latin-1").split("\r\n")
    _, path, _ = lines[0].split(" ")
    length = 0
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            length = int(value)
    if not 0 <= length <= _MAX_BODY:
        raise ValueError("body too long")
    return path.partition("?")[0], length


async def _run(seed: int, scale: float) -> None:
    rates = load_rates()
    models = ModelServer(Play(rates, seed), frozenset(rates.models), scale=scale)
    server = await asyncio.start_server(models.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    sys.stdout.write(f"http://{host}:{port}\n")
    sys.stdout.flush()
    is_over, running = asyncio.Event(), asyncio.get_running_loop()

    def watch() -> None:
        sys.stdin.read()  # ends when the parent ends, however it ends
        running.call_soon_threadsafe(is_over.set)

    threading.Thread(target=watch, daemon=True).start()
    await is_over.wait()
    server.close()


def _main() -> None:
    parser = argparse.ArgumentParser(description="plays the demo's models over HTTP")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=100.0)
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C reaches the whole group; the parent says what there is to say
        asyncio.run(_run(given.seed, given.scale))


if __name__ == "__main__":
    _main()

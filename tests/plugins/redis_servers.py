"""Real Redis servers for tests: each on a port of its own on loopback, in a folder of its own."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hivefeedback.hooks import Record, Store
from hivefeedback.model import JournalEntry
from hivefeedback.testing.store_samples import T0, commit_of, run_event

INSTALL = "apt-get install -y redis-server"
AOF = ("--appendonly", "yes", "--appendfsync", "always")
DEADLINE_S = 30.0


def free_port() -> int:
    """A port that nobody listens on; below 55536, since a Cluster adds 10000."""
    for port in range(20_000 + time.monotonic_ns() % 20_000, 55_000):
        with socket.socket() as one, socket.socket() as bus:
            try:
                one.bind(("127.0.0.1", port))
                bus.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")


def until(is_so: Callable[[], bool], what: str) -> None:
    """Poll until something is so."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline_s, f"{what} took longer than {DEADLINE_S:g} s"
        time.sleep(0.02)


class RedisServer:
    """One ``redis-server``; it can be stopped, killed and started again on the same port and folder."""

    def __init__(self, program: str, folder: Path, *options: str) -> None:
        self._program, self._folder, self._options = program, folder, options
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self, *, is_awaited: bool = True) -> None:
        """Start it, and wait until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        place = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder))
        log = (self._folder / "redis.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [self._program, *place, "--save", "", *self._options], stdout=log, stderr=log
            )
        if is_awaited:
            until(self._answers, "the start of redis-server")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "redis.log").read_text(encoding="utf-8")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64)[:5] in (b"+PONG", b"-NOAU")
        except OSError:
            return False

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """End it as an administrator does."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(DEADLINE_S)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It accepts what is sent and answers nothing, as a machine whose disk or network hangs."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it as a power cut does, but for the disk."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(DEADLINE_S)

    def url(self, name: str = "main", *, options: str = "", user: str = "") -> str:
        """A store on this server."""
        return f"redis://{user}127.0.0.1:{self.port}/0?name={name}{options}"

    def cli(self, *command: str) -> str:
        """What ``redis-cli`` answers."""
        done = subprocess.run(
            ["redis-cli", "-p", str(self.port), *command], capture_output=True, check=True, timeout=60
        )
        return done.stdout.decode(errors="replace").strip()


@contextmanager
def running(program: str, folder: Path, *options: str) -> Iterator[RedisServer]:
    """A server that is ended at last."""
    server = RedisServer(program, folder, *options)
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def cluster(program: str, folder: Path, *more: str) -> Iterator[list[RedisServer]]:
    """Three masters without replicas."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "5000", *more)
    nodes: list[RedisServer] = []
    try:
        for n in range(3):
            nodes.append(RedisServer(program, folder / str(n), *options))
        addresses = [f"127.0.0.1:{node.port}" for node in nodes]
        nodes[0].cli("--cluster", "create", *addresses, "--cluster-replicas", "0", "--cluster-yes")
        for node in nodes:
            until(lambda node=node: "cluster_state:ok" in node.cli("cluster", "info"), "the Cluster")  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        yield nodes
    finally:
        for node in nodes:
            node.kill()


def name_of(folder: Path) -> str:
    """A store's name for a folder."""
    return "t" + hashlib.blake2b(str(folder).encode(), digest_size=8).hexdigest()


def key_of(folder: Path, part: str) -> str:
    """A key of the store of a folder."""
    return f"hive:{{{name_of(folder)}:0}}:{part}"


def n_runs(store: Store) -> int:
    """Runs that the aggregates count."""
    return store.aggregates.read(from_s=T0 - 86_400, to_s=T0 + 86_400).coverage.n_runs


def fill(store: Store) -> None:
    """Put two runs, a record, an entry and a text into a store."""
    store.commit(commit_of(1, [run_event(1), run_event(2)], records=[Record("n", "k", b"v")]))
    store.journal.append(JournalEntry(at_s=T0, state="edited", why=store.journal.put_body("why")), expected_head=0)


def is_whole(store: Store) -> bool:
    """True where ``fill`` was done once."""
    (entry,) = store.journal.read()
    return store.log.count() == n_runs(store) == 2 and store.journal.body(entry.why) == "why"

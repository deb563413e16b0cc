"""A running application and the command line as another process, on one SQLite store.

A change that a person approves or takes back is served by the application within two seconds,
without a restart and without a call of the application's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SERVED_WITHIN_S = 2.0
GIVE_UP_S = 30.0
"""Longest wait for a process of a busy machine; the two seconds are asserted, not waited for."""
APPLICATION = """
import json, sys
from collections import Counter
from hivefeedback import Deployment, FeedbackLoop, Run

loop = FeedbackLoop(
    store=sys.argv[1],
    deployments=[Deployment("a", model="a-1"), Deployment("b", model="b-1")],
    prompts={"answer": "Answer {question}."},
    on_store_error="raise",
)
if len(sys.argv) > 2:
    loop.start(every_s=float(sys.argv[2]))
print(json.dumps({"ready": True}), flush=True)
n = 0
for line in sys.stdin:  # each line asks for so many requests
    models, prompts, reasons = Counter(), Counter(), Counter()
    for _ in range(int(line)):
        n += 1
        d = loop.decide("text-to-text/medical")
        models[d.model] += 1
        prompts[d.prompt("answer", question="it")] += 1
        loop.record(Run(d.deployment, d.operation, "ok", 0.1, run_id=f"r{n}", decision_id=d.decision_id))
    print(json.dumps({"models": models, "prompts": prompts, "version": loop.configuration.version}), flush=True)
loop.flush()
loop.close()
print(json.dumps({"closed": True, "counters": dict(loop.counters)}), flush=True)
"""


class Application:
    """The application, from outside: it serves requests when it is asked to."""

    def __init__(self, url: str, *words: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", APPLICATION, url, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == {"ready": True}

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def serve(self, n_requests: int = 200) -> Any:
        """Let it serve some requests: how often which model and prompt was served."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{n_requests}\n")
        self._process.stdin.flush()
        return self._answer()

    def seconds_until(self, is_served: Callable[[Any], bool]) -> float:
        """Let it serve until something holds; how long that took."""
        start = time.monotonic()
        while not is_served(self.serve()):
            assert time.monotonic() - start < GIVE_UP_S, self.serve()
            threading.Event().wait(0.02)
        return time.monotonic() - start

    def end(self) -> Any:
        """Let it close its loop; what it counted."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        answer = self._answer()
        assert self._process.wait(GIVE_UP_S) == 0
        return answer

    def kill(self) -> None:
        """Whatever happened, leave nothing running."""
        self._process.kill()
        self._process.wait(GIVE_UP_S)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None and not stream.closed:
                stream.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'hive.db'}"


@pytest.fixture
def application(url: str) -> Iterator[Application]:
    started = Application(url)
    yield started
    started.kill()


@pytest.fixture
def application_with_turns(url: str) -> Iterator[Application]:
    """It runs the turn itself, but so rarely that a test would not live to see two of them."""
    started = Application(url, "3600")
    yield started
    started.kill()


def cli(url: str, *words: str) -> Any:
    """The command line in a process of its own; its document."""
    done = subprocess.run(
        [sys.executable, "-m", "hivefeedback", *words, "--json"],
        env={**os.environ, "HIVEFEEDBACK_STORE": url},
        capture_output=True,
        text=True,
        check=False,
        timeout=GIVE_UP_S,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def served_without(noun: str, gone: str, *, since: Any) -> Callable[[Any], bool]:
    """True once the configuration of a command's answer is served; a rare canary may also be absent by chance."""
    version = since["config_version"]
    return lambda served: served["version"] >= version and gone not in served[f"{noun}s"]


def test_an_approved_change_is_served_within_two_seconds_and_so_is_its_rollback(
    url: str, application: Application
) -> None:
    assert set(application.serve()["models"]) == {"a-1", "b-1"}
    said = cli(url, "mutations", "propose", "MODEL_SWAP", "a", "a-2", "--risk", "high", "--reason", "it is newer")
    mutation_id = said["mutation_id"]
    assert said["state"] == "awaiting_approval"
    assert cli(url, "turn")["receipts"] == [], "nobody has approved it"
    assert "a-2" not in application.serve()["models"]

    assert cli(url, "mutations", "approve", mutation_id, "--why", "tried by hand")["state"] == "approved"
    turn = cli(url, "turn")
    assert [r["mutation_id"] for r in turn["receipts"]] == [mutation_id]
    assert application.seconds_until(lambda served: "a-2" in served["models"]) < SERVED_WITHIN_S
    assert set(application.serve(1000)["models"]) >= {"a-1", "a-2"}, "a canary leaves the rest as it was"

    said = cli(url, "mutations", "rollback", mutation_id, "--why", "second thoughts")
    assert said["state"] == "rolled_back"
    assert application.seconds_until(served_without("model", "a-2", since=said)) < SERVED_WITHIN_S
    assert "a-2" not in application.serve(1000)["models"]
    steps = [step["state"] for step in cli(url, "why", mutation_id)["steps"]]
    assert steps == ["proposed", "awaiting_approval", "approved", "canary", "rolled_back"]


def test_a_deployment_added_or_removed_by_hand_is_served_or_not_within_two_seconds(
    url: str, application: Application
) -> None:
    application.serve()
    cli(url, "deployments", "add", "c", "--model", "c-1")
    assert application.seconds_until(lambda served: "c-1" in served["models"]) < SERVED_WITHIN_S
    said = cli(url, "deployments", "remove", "c")
    assert application.seconds_until(served_without("model", "c-1", since=said)) < SERVED_WITHIN_S
    assert "c-1" not in application.serve(500)["models"]


def test_a_prompt_s_new_text_reaches_the_canary_within_two_seconds(url: str, application: Application) -> None:
    application.serve()
    cli(url, "mutations", "propose", "PROMPT_PATCH", "answer", "Answer {question} in one line.")
    cli(url, "turn")
    new = "Answer it in one line."
    assert application.seconds_until(lambda served: new in served["prompts"]) < SERVED_WITHIN_S
    said = cli(url, "mutations", "rollback", "--all")
    assert application.seconds_until(served_without("prompt", new, since=said)) < SERVED_WITHIN_S


def test_numbers_and_feedback_meet_in_the_store_while_the_application_runs(url: str, application: Application) -> None:
    application.serve(300)
    end = time.monotonic() + GIVE_UP_S
    while cli(url, "stats")["coverage"]["n_runs"] < 300:
        assert time.monotonic() < end
    assert cli(url, "feedback", "--run-id", "r1", "--rating", "5")["is_joined"] is True
    assert sum(row["n_judged"] for row in cli(url, "stats")["rows"]) == 1
    application.serve(100)
    answer = application.end()
    assert answer == {"closed": True, "counters": {}}, "nothing was lost or went wrong"
    assert cli(url, "stats")["coverage"]["n_runs"] == 400
    assert cli(url, "doctor")["is_ok"] is True


def test_an_application_that_runs_the_turn_does_approved_work_at_once(
    url: str, application_with_turns: Application
) -> None:
    application = application_with_turns
    application.serve()
    said = cli(url, "mutations", "propose", "MODEL_SWAP", "a", "a-2", "--risk", "high", "--reason", "it is newer")
    cli(url, "mutations", "approve", said["mutation_id"], "--why", "let us see")
    assert application.seconds_until(lambda served: "a-2" in served["models"]) < SERVED_WITHIN_S
    cli(url, "mutations", "rollback", said["mutation_id"], "--why", "enough")
    assert application.seconds_until(lambda served: "a-2" not in served["models"]) < SERVED_WITHIN_S
    assert application.end()["closed"]

"""The command: options, set-up, and a clean end whatever happens."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hivefeedback.errors import HiveFeedbackError, RefusedError
from hivefeedback_demo.book import Book
from hivefeedback_demo.driver import Driver
from hivefeedback_demo.picture import Picture
from hivefeedback_demo.plan import COMPRESSED, Plan
from hivefeedback_demo.play import Play, questions
from hivefeedback_demo.process import ServerProcess
from hivefeedback_demo.rates import Rates, load_rates
from hivefeedback_demo.story import Story
from hivefeedback_demo.table import as_text, result_of
from hivefeedback_demo.traffic import PROMPT, Traffic

if TYPE_CHECKING:
    from hivefeedback import FeedbackLoop

__all__ = ["main"]

CLOSED, NOT_CLOSED, INTERRUPTED = 0, 1, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; answers 0 where the loop closed, 1 where it did not, 130 after Ctrl-C.

    Raises:
        SystemExit: Wrong use, with code 2.
    """
    given = _parser().parse_args(argv)
    if given.seeds:
        return _each_seed(given.seeds, is_fast=given.fast)
    plan = Plan.fast() if given.fast else Plan()
    if given.calls:
        plan = plan.of_length(given.calls)
    logging.getLogger("LiteLLM").setLevel(logging.ERROR)
    with (
        tempfile.TemporaryDirectory(prefix="hivefeedback-demo-", ignore_cleanup_errors=True) as folder,
        warnings.catch_warnings(),
    ):
        # Ctrl-C leaves coroutines of LiteLLM unstarted, which is no news to whoever pressed it.
        warnings.filterwarnings("ignore", message="coroutine .* was never awaited", category=RuntimeWarning)
        store = given.store or f"sqlite:///{Path(folder) / 'demo.db'}"
        try:
            result = _play(store, given.seed, plan, is_quiet=given.json)
        except HiveFeedbackError as error:
            print(f"hivefeedback demo: {error}", file=sys.stderr)
            return NOT_CLOSED
    print(json.dumps(result, indent=2) if given.json else as_text(result))
    if result["was_interrupted"]:
        return INTERRUPTED
    return CLOSED if result["is_closed"] else NOT_CLOSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hivefeedback demo",
        description="Real HTTP traffic to models played from published figures: the loop learns, notices a model that "
        "got worse, mends a pinned route, and takes a harmful prompt back. About a minute.",
    )
    parser.add_argument("--seed", type=int, default=1, help="other seeds give other numbers (default 1)")
    parser.add_argument(
        "--seeds", type=int, nargs="+", metavar="N", help="run once per seed; fail if one does not close"
    )
    parser.add_argument("--json", action="store_true", help="print data instead of text; progress goes to stderr")
    parser.add_argument("--fast", action="store_true", help="about half as long")
    parser.add_argument("--calls", type=_at_least_one, metavar="N", help="calls of the first phase (default 3200)")
    parser.add_argument("--store", metavar="URL", help="keep what happens, such as sqlite:///demo.db")
    return parser


def _at_least_one(text: str) -> int:
    """A number of calls, as the parser takes it."""
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def _each_seed(seeds: Sequence[int], *, is_fast: bool) -> int:
    """One process for each seed, since LiteLLM's callbacks and workers belong to the process."""
    worst = CLOSED
    for seed in seeds:
        command = [sys.executable, "-m", "hivefeedback_demo", "--seed", str(seed), "--json"]
        done = subprocess.run(
            [*command, *(["--fast"] if is_fast else [])], stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode not in (CLOSED, NOT_CLOSED):
            return done.returncode
        result = json.loads(done.stdout)
        ours, uniform, best = (row["success"] for row in result["table"])
        print(
            f"seed {seed}: {'closed' if result['is_closed'] else 'NOT CLOSED'} in {result['seconds']:.0f} s, "
            f"{result['calls']} calls, right {ours:.1%} (uniform {uniform:.1%}, best single {best:.1%}); left after "
            f"{result['degraded']['left_after_own_calls']} calls; pinned route promoted after "
            f"{result['degraded']['promoted_after_calls']} calls; prompt {result['harmful_patch']['state']} after "
            f"{result['harmful_patch']['after_calls']} calls",
            flush=True,
        )
        worst = max(worst, done.returncode)
    return worst


def _loop(store: str, rates: Rates, seed: int) -> FeedbackLoop:
    """The loop of the demo; only acting shows what it is for."""
    from hivefeedback import FeedbackLoop

    settings = {name: value for name, (value, _) in COMPRESSED.items()}
    loop = FeedbackLoop(
        store=store,
        deployments=rates.deployments(),
        prompts={"answer": PROMPT},
        mode="act",
        seed=seed,
        judgements={"": ["success"]},
        on_store_error="raise",  # who names a store wants to look into it afterwards
        plugins_allow=_built_in(),
        **settings,
    )
    if loop.settings.mode != "act":
        mode = loop.settings.mode
        loop.close()
        raise RefusedError(f"the mode is {mode!r}, so nothing would change; unset HIVEFEEDBACK_MODE")
    return loop


def _built_in() -> list[str]:
    """Our own plugins: a stranger's gate or analyzer on this machine must not change the story."""
    points = entry_points(group="hivefeedback")
    return [point.name for point in points if point.dist is not None and point.dist.name == "hivefeedback"]


def _play(store: str, seed: int, plan: Plan, *, is_quiet: bool) -> dict[str, Any]:
    rates = load_rates()
    book = Book(rates, Play(rates, seed))
    picture = Picture(book, sys.stderr if is_quiet else None)
    picture.say(f"{len(rates.models)} models, {len(rates.operations)} operations, figures of {rates.name}; loading ...")
    with ServerProcess(seed, plan.scale) as server, _loop(store, rates, seed) as loop:
        traffic = Traffic(loop, rates, server.url)
        driver = Driver(
            loop, traffic, book, questions(rates, seed), plan, seed, on_turn=lambda turn: story.on_turn(turn)
        )
        story = Story(loop, driver, server, plan, picture)
        was_interrupted = False
        try:
            asyncio.run(_phases(story, driver, picture))
        except KeyboardInterrupt:
            was_interrupted = True
            picture.say("interrupted; this is what was reached")
        finally:
            picture.end()
            traffic.close()
        loop.flush(10)
        result = result_of(
            loop, book, story.reached, plan, seed=seed, seconds=driver.elapsed_s, began_at_s=driver.began_at_s
        )
        return {**result, "was_interrupted": was_interrupted}


async def _phases(story: Story, driver: Driver, picture: Picture) -> None:
    async def draw() -> None:
        while True:
            picture.tick(driver.elapsed_s)
            await asyncio.sleep(0.1)

    beside = [asyncio.create_task(draw()), asyncio.create_task(driver.turns())]
    try:
        await story.learn()
        await story.degrade()
        await story.harm()
        await driver.settle()
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)

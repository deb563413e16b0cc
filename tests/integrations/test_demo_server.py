"""The demo's models: what they answer, how they are served, and what is computed from it."""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.metadata import entry_points
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from hivefeedback_demo.book import Book, Call
from hivefeedback_demo.command import _loop, main
from hivefeedback_demo.left import calls_until_left
from hivefeedback_demo.picture import Picture
from hivefeedback_demo.plan import Plan
from hivefeedback_demo.play import HARMFUL_WORDS, Play, Question, questions
from hivefeedback_demo.process import ServerProcess
from hivefeedback_demo.rates import TOKENS_IN, TOKENS_OUT, load_rates
from hivefeedback_demo.story import HARMFUL_PROMPT, PINNED
from hivefeedback_demo.traffic import PROMPT

RATES = load_rates()
MODEL = "gpt-4o-2024-08-06-FC"
PARALLEL = "function-calling/parallel_function"


def asked(number: int, operation: str = PARALLEL) -> Question:
    return Question(number, operation, 17, 25)


def test_the_figures_name_their_source_and_licence_and_are_complete() -> None:
    assert "BFCL" in RATES.source
    assert RATES.licence
    assert 6 <= len(RATES.models) <= 8
    assert PINNED in RATES.operations
    for figures in RATES.models.values():
        assert set(figures.success) == set(RATES.operations)
        assert all(0.0 <= rate <= 1.0 for rate in figures.success.values())


@pytest.mark.parametrize("model", sorted(RATES.models))
def test_a_call_costs_what_is_published(model: str) -> None:
    price = RATES.models[model].price
    cost = (TOKENS_IN * price.input_usd_per_mtok + TOKENS_OUT * price.output_usd_per_mtok) / 1e6
    assert cost == pytest.approx(RATES.models[model].cost_usd)


def test_a_model_is_right_as_often_as_is_published() -> None:
    play = Play(RATES, seed=1)
    right = sum(play.answer(MODEL, asked(n)).is_right for n in range(4000)) / 4000
    assert right == pytest.approx(RATES.models[MODEL].success[PARALLEL], abs=0.02)


def test_a_degraded_model_is_wrong_where_it_was_wrong_before_and_more_often() -> None:
    play = Play(RATES, seed=1)
    well = {n for n in range(2000) if play.answer(MODEL, asked(n)).is_right}
    worse = {n for n in range(2000) if play.answer(MODEL, asked(n), factor=0.3).is_right}
    assert worse < well
    assert len(worse) / len(well) == pytest.approx(0.3, abs=0.04)


def test_a_harmful_prompt_spoils_answers_and_the_served_one_does_not() -> None:
    play = Play(RATES, seed=1)
    assert HARMFUL_WORDS in HARMFUL_PROMPT
    plain = sum(play.answer(MODEL, asked(n), system=PROMPT).is_right for n in range(1000))
    spoilt = [play.answer(MODEL, asked(n), system=HARMFUL_PROMPT) for n in range(1000)]
    assert sum(a.is_right for a in spoilt) < 0.55 * plain
    assert all(asked(n).is_right(a.text) == a.is_right for n, a in enumerate(spoilt))


def test_the_same_question_gets_the_same_answer_and_another_seed_gives_others() -> None:
    first = [Play(RATES, 1).answer(MODEL, asked(n)) for n in range(50)]
    assert first == [Play(RATES, 1).answer(MODEL, asked(n)) for n in range(50)]
    assert first != [Play(RATES, 2).answer(MODEL, asked(n)) for n in range(50)]
    assert list(islice(questions(RATES, 1), 20)) != list(islice(questions(RATES, 2), 20))


def test_the_mean_latency_is_the_published_one() -> None:
    play = Play(RATES, seed=1)
    mean = sum(play.answer(MODEL, asked(n)).latency_s for n in range(4000)) / 4000
    assert mean == pytest.approx(RATES.models[MODEL].latency_s, rel=0.05)


def test_a_question_is_read_back_from_its_text() -> None:
    assert Question.parse(asked(7).text) == asked(7)
    assert Question.parse("tell me a joke") is None


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess(seed=1, scale=10_000.0) as running:
        yield running


def post(server: ServerProcess, path: str, body: bytes) -> dict[str, Any]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(f"{server.url}{path}", data=body), timeout=10) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return found


def complete(server: ServerProcess, question: Question, model: str = MODEL, system: str = PROMPT) -> dict[str, Any]:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question.text}]
    return post(server, "/v1/chat/completions", json.dumps({"model": model, "messages": messages}).encode())


def test_the_server_answers_as_an_openai_server_does(server: ServerProcess) -> None:
    answer = complete(server, asked(3))
    assert (answer["object"], answer["model"]) == ("chat.completion", MODEL)
    assert answer["choices"][0]["message"]["content"] == Play(RATES, 1).answer(MODEL, asked(3)).text
    assert answer["usage"]["total_tokens"] == TOKENS_IN + TOKENS_OUT
    assert answer["id"] != complete(server, asked(3))["id"]


def test_a_model_gets_worse_without_a_word(server: ServerProcess) -> None:
    model = "command-r-plus-FC"
    server.degrade(model, 0.0)
    wrong = [complete(server, asked(n), model)["choices"][0]["message"]["content"] for n in range(20)]
    server.degrade(model, 1.0)
    assert "42" not in wrong
    assert any(complete(server, asked(n), model)["choices"][0]["message"]["content"] == "42" for n in range(20))


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/chat/completions", b"not json", 400),
        ("/v1/chat/completions", b"[]", 400),
        ("/v1/chat/completions", b'{"model": "m"}', 404),
        ("/v1/chat/completions", json.dumps({"model": MODEL, "messages": [1]}).encode(), 400),
        (
            "/v1/chat/completions",
            json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "?"}]}).encode(),
            400,
        ),
        ("/v1/models", b"{}", 404),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_and_the_server_lives(
    server: ServerProcess, path: str, body: bytes, status: int
) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(server, path, body)
    assert refused.value.code == status
    refused.value.close()
    assert complete(server, asked(1))["choices"]


def call(n: int, model: str, *, is_right: bool = True, phase: int = 1) -> Call:
    return Call(asked(n), model, "litellm", is_right, phase, 0.0, 0.01, {})


def test_the_table_compares_the_same_questions() -> None:
    play = Play(RATES, 1)
    book = Book(RATES, play)
    book.calls += [call(n, MODEL, is_right=play.answer(MODEL, asked(n)).is_right) for n in range(200)]
    ours, uniform, best = book.standings()
    single = {m: sum(play.answer(m, asked(n)).is_right for n in range(200)) / 200 for m in RATES.models}
    assert ours.success == single[MODEL]
    assert uniform.success == pytest.approx(sum(single.values()) / len(single))
    assert best.success == max(single.values())
    assert ours.cost_usd == pytest.approx(RATES.models[MODEL].cost_usd)
    assert uniform.cost_usd == pytest.approx(sum(m.cost_usd for m in RATES.models.values()) / len(RATES.models))


def test_a_model_is_left_at_the_first_stretch_that_it_hardly_serves() -> None:
    calls = [call(n, "bad") for n in range(5)] + [call(n, "good") for n in range(5, 40)]
    assert calls_until_left(calls, "bad") == (3, 3)  # two of the next thirty are below a tenth
    assert calls_until_left(calls[:20], "bad") is None
    assert calls_until_left([call(n, "bad") for n in range(60)], "bad") is None


def test_off_a_terminal_the_picture_writes_plain_lines() -> None:
    play = Play(RATES, 1)
    book, out = Book(RATES, play), io.StringIO()
    picture = Picture(book, out)
    picture.watch("phase 1: x", 100)
    book.calls += [call(n, MODEL) for n in range(120)]
    picture.tick(0.0)
    picture.tick(1.0)
    picture.end()
    lines = out.getvalue().splitlines()
    assert "\x1b" not in out.getvalue()
    assert lines[1] == "== phase 1: x =="
    assert len(lines) == 3
    assert "120 calls (120/100)" in lines[2]
    assert "100% right" in lines[2]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_live_line_stays_in_one_row_of_the_terminal(columns: int) -> None:
    book = Book(RATES, Play(RATES, 1))
    picture = Picture(book, io.StringIO())
    book.calls += [call(n, MODEL) for n in range(3200)]
    line = picture.line(columns)
    assert len(line) <= columns
    assert line.endswith("%") == (columns >= 80)
    assert sum(line.count(bar) for bar in "▁▂▃▄▅▆▇█") == {40: 0, 80: 6, 200: 24}[columns]


def test_a_shorter_demo_has_smaller_caps() -> None:
    plan = Plan().of_length(200)
    assert (plan.learn, plan.cap) == (200, 400)


@pytest.mark.parametrize("calls", ["0", "-1", "many"])
def test_the_demo_refuses_a_number_of_calls_that_is_none(calls: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main([f"--calls={calls}"])
    assert refused.value.code == 2
    assert "is not a whole number from 1 up" in capsys.readouterr().err


def test_plugins_of_strangers_do_not_take_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger's gate would refuse the patch, and the demo would not close."""
    info = tmp_path / "hivefeedback_stranger-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hivefeedback-stranger\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[hivefeedback]\nstranger = hivefeedback_stranger:X\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "stranger" in {point.name for point in entry_points(group="hivefeedback")}
    with _loop("memory://", RATES, seed=1) as loop:
        names = {plugin.name for plugin in loop.registry.plugins()}
    assert "stranger" not in names
    assert {"limits", "sequential", "policies", "stores"} <= names

"""The quick reference is true: its program runs, its commands and settings are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hivefeedback.cli.commands.all import SPECS
from hivefeedback.settings import Settings


@pytest.fixture
def text(repository: Path) -> str:
    return (repository / "docs" / "quick-reference.md").read_text(encoding="utf-8")


def test_its_program_runs_as_it_stands(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S5.12, A.11."""
    monkeypatch.chdir(tmp_path)
    program = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    names: dict[str, object] = {}
    exec(compile(program, "quick-reference.md", "exec"), names)  # the page's own program
    assert names["answer"] in ("small answers", "large answers")
    assert names["text"] == "Answer Why? in one line."


def test_its_commands_are_there(text: str) -> None:
    known = {spec.name: {child.name for child in spec.children} for spec in SPECS}
    named = re.findall(r"`(?:hivefeedback )?([a-z]+)(?: ([a-z]+))?[^`]*`", text.partition("## The command")[2])
    commands = [(name, child) for name, child in named if name in known]
    assert {name for name, _ in commands} >= {"stats", "compare", "recommend", "mutations", "why", "import", "doctor"}
    assert [(n, c) for n, c in commands if known[n] and c and c not in known[n]] == []


def test_its_settings_are_there(text: str) -> None:
    assert {"ring_size", "unjudged"} <= set(Settings.model_fields)
    for name in re.findall(r"`(ring_size|unjudged|canary_\w+)", text):
        assert name in Settings.model_fields


def test_its_counters_are_counted_somewhere(text: str, repository: Path) -> None:
    """Whoever watches a name that is never counted believes that nothing is lost."""
    named = set(re.findall(r'loop\.counters\["(\w+)"\]', text))
    assert {"events_dropped", "feedback_unjoined"} <= named
    code = "".join(
        path.read_text(encoding="utf-8") for path in (repository / "hivefeedback" / "recording").rglob("*.py")
    )
    counted = set(re.findall(r'counters(?:\.note\(|\[)"(\w+)"', code))
    assert named <= counted

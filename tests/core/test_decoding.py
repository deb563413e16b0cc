"""Struct types are met by msgspec in one thread at a time."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from hivefeedback.model import Correction, decoded, unpacked

ROOT = Path(__file__).resolve().parents[2]

_RACE = """
import sys, threading, types
import msgspec
from hivefeedback.model import decoded, unpacked

sys.setswitchinterval(1e-6)
SOURCE = '''
import msgspec
class A(msgspec.Struct):
    x: int = 1
    y: "dict[str, list[int]]" = {}
class B(msgspec.Struct):
    a: "A | None" = None
    z: "list[A]" = []
'''
for i in range(100):
    module = types.ModuleType(f"made{i}")
    sys.modules[module.__name__] = module
    exec(SOURCE, module.__dict__)
    together = threading.Barrier(4)
    def meet():
        together.wait()
        assert decoded(b'{"z":[{"x":2}]}', module.B).z[0].x == 2
        assert unpacked(msgspec.msgpack.encode(module.B()), module.B) == module.B()
    threads = [threading.Thread(target=meet) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""


def test_threads_that_meet_a_type_together_do_not_crash_the_process() -> None:
    subprocess.run([sys.executable, "-X", "tracemalloc", "-c", _RACE], check=True, timeout=60.0)


def test_what_is_no_such_value_is_told_as_msgspec_tells_it() -> None:
    with pytest.raises(msgspec.ValidationError):
        decoded(b"[]", Correction)
    with pytest.raises(msgspec.DecodeError):
        unpacked(b"", Correction)


def test_nobody_decodes_a_struct_past_it() -> None:
    """Plain types (``dict[str, int]``) have no fields that would be worked out."""
    past = re.compile(r"(?:json|msgpack)\.decode\(.*type=(?!dict|list|tuple|hint)\w+")
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for room in ("hivefeedback", "plugins", "integrations")
        for path in (ROOT / room).rglob("*.py")
        for match in past.finditer(path.read_text("utf-8"))
    ]
    assert found == []

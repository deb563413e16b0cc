"""The wheel built from the sdist holds every room: one without its plugins looks healthy until it is used."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOMS = ("hivefeedback", "plugins", "integrations")


@pytest.fixture(scope="module")
def built(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sdist and wheel, built from a copy."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for room in ROOMS:
        shutil.copytree(repository / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, source)
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    subprocess.run(build, check=True, capture_output=True, text=True)
    return out


def test_the_wheel_has_every_file_at_its_installed_place(built: Path, repository: Path) -> None:
    (wheel,) = built.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    for room in ROOMS:
        top = repository if room == "hivefeedback" else repository / room
        files = [p for p in (repository / room).rglob("*") if p.is_file() and "__pycache__" not in p.parts]
        sources = [p for p in files if p.suffix != ".md"]
        missing = [p for p in sources if p.relative_to(top).as_posix() not in held]
        assert missing == []


def test_the_wheel_pollutes_nothing_and_carries_licence_and_entry_points(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    held = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0].split("_")[0] for name in held} == {"hivefeedback"}
    assert any(name.endswith("licenses/LICENSE") for name in held)
    points = next(name for name in held if name.endswith("entry_points.txt"))
    text = zipfile.ZipFile(wheel).read(points).decode()
    assert "hivefeedback = hivefeedback.cli.main:main" in text
    assert "stores = hivefeedback_stores.plugin:StoresPlugin" in text


def test_the_sdist_holds_what_the_wheel_is_built_from(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as held:
        tops = {name.split("/")[1] for name in held.getnames() if "/" in name}
    assert {*ROOMS, "pyproject.toml", "README.md", "LICENSE"} <= tops

"""Imports every module of the installed distribution, without any extra.

A module that needs a vendor may say so, by ``MissingExtraError`` or by ``ImportError`` for that
vendor; a package (its ``__init__``) never: every package imports without its extra.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from importlib.metadata import distribution, entry_points

from hivefeedback.errors import MissingExtraError

VENDORS = {
    "apprise",
    "fastapi",
    "httpx",
    "hypothesis",
    "langchain",
    "langchain_core",
    "langchain_openai",
    "langgraph",
    "litellm",
    "openai",
    "prometheus_client",
    "psutil",
    "pyarrow",
    "pytest",
    "redis",
    "sklearn",
    "starlette",
    "uvicorn",
}


def missing(error: Exception) -> str:
    """The vendor or extra that an import failed for, or empty where it failed for another reason."""
    if isinstance(error, MissingExtraError):
        return f"extra {error.extra}"
    name = getattr(error, "name", None) or ""
    return name if name.split(".")[0] in VENDORS or name.startswith("opentelemetry.") else ""


def import_all(package: str) -> tuple[int, list[str]]:
    """Import a package and all below it; answers how many were imported and which need an extra."""
    top = importlib.import_module(package)
    count, waiting = 1, []
    for info in pkgutil.walk_packages(top.__path__, package + "."):
        if info.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(info.name)
            count += 1
        except (ImportError, MissingExtraError) as error:
            if info.ispkg or not missing(error):
                raise
            waiting.append(f"{info.name} ({missing(error)})")
    return count, waiting


def main() -> int:
    files = distribution("hivefeedback").files or []
    packages = sorted({f.parts[0] for f in files if f.parts[0].startswith("hivefeedback") and "." not in f.parts[0]})
    typed = {f.parts[0] for f in files if f.name == "py.typed"}
    rooms = {"hivefeedback", "hivefeedback_stores", "hivefeedback_policies", "hivefeedback_gates", "hivefeedback_demo"}
    if not rooms <= set(packages) or set(packages) - typed:
        print(f"the wheel holds {packages}, py.typed in {sorted(typed)}; something is missing", file=sys.stderr)
        return 1
    for package in packages:
        count, waiting = import_all(package)
        print(f"{package}: {count} modules" + (f"; need an extra: {', '.join(waiting)}" if waiting else ""))
    plugins = entry_points(group="hivefeedback")
    for plugin in plugins:
        plugin.load()
    print(f"{len(plugins)} plugins load through their entry points")
    return 0 if plugins else 1


if __name__ == "__main__":
    sys.exit(main())

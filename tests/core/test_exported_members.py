"""Every public name is in ``__all__``, and an ``__init__`` holds nothing else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

ROOMS = ("hivefeedback", "plugins", "integrations")
COMMANDS = "hivefeedback/cli/"
LAZY = ("hivefeedback/__init__.py", "hivefeedback/testing/__init__.py")


def modules(repository: Path) -> Iterator[tuple[str, ast.Module]]:
    """Every source file of the rooms with its parsed content."""
    for room in ROOMS:
        for path in sorted((repository / room).rglob("*.py")):
            name = path.relative_to(repository).as_posix()
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def exported(tree: ast.Module) -> list[str] | None:
    """The names in ``__all__``, or None where there is none."""
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets):
            return list(ast.literal_eval(node.value)) if isinstance(node, ast.Assign) else []
    return None


def defined(tree: ast.Module) -> set[str]:
    """Public classes and functions that a module defines itself."""
    nodes = (n for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef))
    return {n.name for n in nodes if not n.name.startswith("_") and not n.name.startswith("hive_")}


def test_every_public_class_and_function_is_in_the_all_of_its_module(repository: Path) -> None:
    """But for scripts and for commands, which nobody imports names from."""
    wrong = {}
    for name, tree in modules(repository):
        missing = defined(tree) - set(exported(tree) or [])
        if missing and not name.endswith(("__init__.py", "__main__.py")) and not name.startswith(COMMANDS):
            wrong[name] = sorted(missing)
    assert wrong == {}


def test_every_name_in_an_all_exists_once(repository: Path) -> None:
    for name, tree in modules(repository):
        names = exported(tree) or []
        assert len(names) == len(set(names)), name
        if not names or name in LAZY:
            continue
        bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        bound |= {a.asname or a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
        bound |= {n.name for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)}
        assert set(names) - bound == set(), name


def is_re_export(node: ast.stmt) -> bool:
    """True for a docstring, an import and ``__all__``."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Import | ast.ImportFrom) or exported(ast.Module([node], [])) is not None


def is_lazy_re_export(node: ast.stmt) -> bool:
    """True for what PEP 562 needs: where a name lives, and how it is fetched."""
    if isinstance(node, ast.FunctionDef):
        return node.name in ("__getattr__", "__dir__")
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING" and all(is_re_export(inner) for inner in node.body)
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOMES"


def test_an_init_re_exports_and_does_nothing_else(repository: Path) -> None:
    """Integrations may do so lazily, since their vendors are optional and slow to import."""
    wrong = []
    for name, tree in modules(repository):
        if name.endswith("__init__.py"):
            may_be_lazy = name in LAZY or name.startswith("integrations/")
            nodes = [n for n in tree.body if not is_re_export(n) and not (may_be_lazy and is_lazy_re_export(n))]
            wrong += [f"{name}:{node.lineno}" for node in nodes]
    assert wrong == []


def test_the_names_of_a_public_package_are_those_of_its_modules() -> None:
    for name in ("hooks", "model", "stats", "testing"):
        package = import_module(f"hivefeedback.{name}")
        for public in package.__all__:
            home = getattr(getattr(package, public), "__module__", None)
            assert home is None or not home.startswith("hivefeedback.") or public in import_module(home).__all__

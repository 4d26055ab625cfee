"""The direction of imports: app -> exporters, monitor -> exporters, nothing else between the three."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
ALLOWED = {"app": {"exporters"}, "monitor": {"exporters"}, "exporters": set[str]()}
EXCEPTIONS = {"monitor/demo/api.py": {"app"}}  # the demo's own application factory


def imported(source: str) -> Iterator[str]:
    """Top-level names that `source` imports, wherever in the file it does so."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"relative import in line {node.lineno}"
            yield str(node.module).partition(".")[0]


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_one_way(package: str) -> None:
    files = sorted((HOUSE / package).rglob("*.py"))
    assert files
    for file in files:
        name = file.relative_to(HOUSE).as_posix()
        others = (ALLOWED.keys() | {"tests", "benchmarks"}) - {package}
        strays = set(imported(file.read_text())) & others - ALLOWED[package] - EXCEPTIONS.get(name, set())
        assert not strays, f"{name} imports {strays}"


def test_the_search_sees_imports_inside_functions() -> None:
    assert list(imported("def f():\n    import monitor.cycle\n    from app import x")) == ["monitor", "app"]

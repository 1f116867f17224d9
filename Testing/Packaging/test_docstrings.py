"""What is public says in its first line what it is or gives."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from .update_cmake_lists import REPOSITORY

FILES = sorted(path for folder in ("SegAutoPlanLib", "SegAutoPlan") for path in (REPOSITORY / folder).rglob("*.py"))


def public_definitions(tree: ast.Module) -> list[ast.FunctionDef | ast.ClassDef]:
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [node for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_public_docstrings_begin_with_a_summary_line(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in public_definitions(tree):
        words = ast.get_docstring(node)
        assert words, f"{node.name} has no docstring"
        first = words.splitlines()[0]
        assert not first.startswith(("Raise", "Args", "Returns", "Yields")), f"{node.name}: {first}"
        assert words.splitlines()[1:2] in ([], [""]) or not first.endswith("."), f"{node.name}: {first}"

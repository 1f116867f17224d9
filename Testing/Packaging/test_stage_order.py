"""The stages know only those that come before them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parents[2] / "SegAutoPlanLib"
STAGES = (
    "images",
    "dataset",
    "importing",
    "fingerprint",
    "planning",
    "preprocessing",
    "models",
    "networks",
    "losses",
    "training",
    "inference",
    "exchange",
    "evaluation",
)
HELPERS = {
    "allocator",
    "blas_threads",
    "cluster",
    "dataset_json",
    "errors",
    "executors",
    "files",
    "labels",
    "locks",
    "machine",
    "matching",
    "names",
    "number_format",
    "progress",
    "rank",
    "schema",
    "shortcuts",
    "stop_signals",
    "workspace",
    "zip_directory",
}
"""Modules beside the stages that any of them may use; they use no stage."""


def imported_names(file: Path) -> set[str]:
    """The first names below SegAutoPlanLib that a file imports, wherever in it."""
    package = file.relative_to(LIBRARY.parent).parent.parts
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or node.level == 0:
            continue
        base = (*package[: len(package) - node.level + 1], *(node.module or "").split("."))
        parts = [part for part in base if part][1:]
        names.update(parts[:1] if parts else {alias.name for alias in node.names})
    return names


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_only_those_before_it(stage):
    allowed = {*STAGES[: STAGES.index(stage) + 1], *HELPERS, "__version__"}
    for file in (LIBRARY / stage).rglob("*.py"):
        assert imported_names(file) <= allowed, f"{file.relative_to(LIBRARY)} imports a later stage"


def test_segmenting_knows_nothing_of_training():
    for file in (LIBRARY / "inference").rglob("*.py"):
        assert not imported_names(file) & {"losses", "training"}, file.name


def test_the_helpers_use_no_stage():
    for name in HELPERS:
        assert imported_names(LIBRARY / f"{name}.py") <= {*HELPERS, "__version__"}


def test_runs_use_no_stage_so_that_watching_needs_nothing():
    for file in (LIBRARY / "runs").glob("*.py"):
        assert imported_names(file) <= {*HELPERS, "runs", "__version__"}


def test_only_the_pipeline_and_the_command_line_come_after_the_stages():
    for name, known in (
        ("pipeline", {*STAGES, *HELPERS, "pipeline"}),
        ("command_line", {"losses", "models", "pipeline", "planning", "runs", "training", *HELPERS, "command_line"}),
    ):
        for file in (LIBRARY / name).glob("*.py"):
            assert imported_names(file) <= {*known, "__version__"}, file.name


def private_imports(file: Path) -> set[str]:
    """Underscored names that a file imports from another module of ours, or takes from one that it imported."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    ours = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (node.level > 0 or (node.module or "").startswith(("SegAutoPlanLib", "SegAutoPlanUI")))
    ]
    imported = {alias.asname or alias.name for node in ours for alias in node.names}
    named = {alias.name for node in ours for alias in node.names}
    taken = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported
    }
    return {name for name in named | taken if name.startswith("_") and not name.startswith("__")}


@pytest.mark.parametrize("folder", ["SegAutoPlanLib", "SegAutoPlan"])
def test_no_module_uses_a_private_name_of_another(folder):
    for file in (LIBRARY.parent / folder).rglob("*.py"):
        assert private_imports(file) == set(), file


def test_a_private_name_would_be_noticed(tmp_path):
    file = tmp_path / "curious.py"
    file.write_text("from .files import _secret\nfrom . import progress\nprogress._hidden()\n")
    assert private_imports(file) == {"_secret", "_hidden"}


def test_every_folder_of_the_engine_is_a_stage_or_known():
    folders = {path.name for path in LIBRARY.iterdir() if (path / "__init__.py").is_file()}
    assert folders == {*STAGES, "runs", "pipeline", "command_line"}

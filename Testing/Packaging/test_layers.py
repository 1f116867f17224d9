"""Who may know whom: the engine nothing of Slicer, Slicer's start-up nothing of torch, segmenting nothing unbundled.

The order of the stages is in test_stage_order.py.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .update_cmake_lists import REPOSITORY

ENGINE_FILES = sorted((REPOSITORY / "SegAutoPlanLib").rglob("*.py"))
USER_INTERFACE = REPOSITORY / "SegAutoPlan" / "SegAutoPlanUI"
SLICER_FILES = sorted((REPOSITORY / "SegAutoPlan").rglob("*.py"))

ONLY_BUNDLED = """
import importlib.metadata, re, sys

def requirements(name, found):
    if name in found:
        return found
    found.add(name)
    try:
        for line in importlib.metadata.requires(name) or ():
            if "extra ==" not in line:
                requirements(re.match(r"[\\w.-]+", line)[0].lower().replace("_", "-"), found)
    except importlib.metadata.PackageNotFoundError:
        pass
    return found

ALLOWED = set()
for name in sys.argv[1].split():
    requirements(name, ALLOWED)
OWNERS = importlib.metadata.packages_distributions()

class OnlyBundled:
    def find_spec(self, name, path=None, target=None):
        owners = {owner.lower().replace("_", "-") for owner in OWNERS.get(name.partition(".")[0], ())}
        if name.partition(".")[0] in sys.stdlib_module_names:
            return  # some of it has a backport among the installed packages
        if owners and not owners & ALLOWED and "segautoplan" not in owners:
            raise ModuleNotFoundError(f"{name} is not bundled with Slicer", name=name)

sys.meta_path.insert(0, OnlyBundled())
"""


def imported_names(path: Path) -> set[str]:
    """Top-level packages that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names


def run_python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("path", ENGINE_FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_the_engine_knows_nothing_of_slicer(path):
    assert imported_names(path) & {"slicer", "qt", "ctk", "vtk", "SegAutoPlan", "SegAutoPlanUI"} == set()


@pytest.mark.parametrize("path", SLICER_FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_the_slicer_side_never_imports_torch_nor_starts_processes_itself(path):
    assert imported_names(path) & {"torch", "batchgenerators", "multiprocessing", "subprocess"} == set()


PROCESS_WIDE = {
    "mallopt": {"allocator.py"},
    "keep_freed_memory": {
        "__main__.py",
        "serve.py",
        "training/rank_process.py",
    },  # a rank's process is started for that alone
    "set_num_threads": {"training/batches.py"},  # in the loader processes
    "set_num_interop_threads": set(),
    "set_start_method": set(),
    "set_default_dtype": set(),
    "chdir": {"runs/start.py"},
    "go_where_asked": {"__main__.py", "serve.py"},
    "umask": set(),
    "dup2": {"command_line/run_verb.py", "runs/server.py", "serve.py"},  # of main and of the process that serves
    "_exit": {"runs/server.py", "training/rank_process.py"},
}
"""What changes the process for everybody in it, and the files of the engine that may do so."""


def called_names(path: Path) -> set[str]:
    calls = [node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return {getattr(function, "attr", getattr(function, "id", "")) for function in calls}


@pytest.mark.parametrize(("name", "allowed"), PROCESS_WIDE.items(), ids=list(PROCESS_WIDE))
def test_the_engine_leaves_the_process_of_its_caller_as_it_is(name, allowed):
    """Slicer's own process may call any function of the engine but `main`."""
    library = REPOSITORY / "SegAutoPlanLib"
    assert {path.relative_to(library).as_posix() for path in ENGINE_FILES if name in called_names(path)} == allowed


ROOMS = {
    "scene": set(),
    "engine": set(),
    "jobs": {"scene", "engine"},
    "panels": {"parameters", "jobs", "scene", "engine"},
}
"""The rooms of the Slicer side, and which others each may use."""


def used_parts(path: Path) -> set[tuple[str, ...]]:
    """Where in SegAutoPlanUI a file takes names from by a relative import, e.g. ("jobs", "segmentation_job")."""
    package = path.relative_to(USER_INTERFACE).parent.parts
    imports = [
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)
    ]
    return {
        (*package[: len(package) - node.level + 1], *(node.module or "").split("."))
        for node in imports
        if node.level > 0
    }


def test_every_folder_of_the_slicer_side_is_a_room_that_is_known():
    assert {path.name for path in USER_INTERFACE.iterdir() if (path / "__init__.py").is_file()} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_of_the_slicer_side_uses_only_those_below_it(room):
    for path in (USER_INTERFACE / room).rglob("*.py"):
        assert {part[0] for part in used_parts(path)} <= ROOMS[room] | {room}, path


def test_no_panel_knows_another():
    panels = USER_INTERFACE / "panels"
    for path in panels.rglob("*/*.py"):
        own = path.relative_to(panels).parts[0]
        assert {part[1] for part in used_parts(path) if part[0] == "panels"} <= {own, "panel"}, path


def test_the_modules_widget_names_its_panels_in_one_tuple():
    """A new panel is one line there, not one in each of the widget's methods."""
    source = (REPOSITORY / "SegAutoPlan" / "SegAutoPlan.py").read_text(encoding="utf-8")
    [widget] = [
        node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == "SegAutoPlanWidget"
    ]
    names = [node.id for node in ast.walk(widget) if isinstance(node, ast.Name) and node.id.endswith("Panel")]
    made = sorted(name for name in names if name != "Panel")  # the protocol
    folders = [path.parent.name for path in (USER_INTERFACE / "panels").glob("*/__init__.py")]
    assert [name.removesuffix("Panel").lower() for name in made] == sorted(name.replace("_", "") for name in folders)


def test_importing_the_module_file_brings_neither_torch_nor_what_takes_time():
    """Slicer imports every module when it starts."""
    pytest.importorskip("PySide6", reason="NOT TESTED: importing the module file needs the headless host")
    code = (
        "import sys; sys.path[:0] = ['.', 'SegAutoPlan']\n"
        "from Testing.Host import start_application\n"
        "start_application()\n"
        "before = set(sys.modules)\n"
        "import SegAutoPlan\n"
        "print(' '.join(name for name in set(sys.modules) - before if '.' not in name))\n"
    )
    brought = set(run_python(code).split("\n")[-2].split())
    assert {"SegAutoPlan", "SegAutoPlanLib", "SegAutoPlanUI"} <= brought
    assert brought & {"torch", "scipy", "SimpleITK", "batchgenerators", "multiprocessing"} == set()


def test_segmenting_needs_torch_and_what_slicer_bundles_and_nothing_else():
    code = ONLY_BUNDLED + "import SegAutoPlanLib.inference, SegAutoPlanLib.__main__; print('imported')"
    assert run_python(code, "torch numpy scipy simpleitk").endswith("imported\n")


@pytest.mark.parametrize(
    "module",
    ["dataset", "fingerprint", "planning", "preprocessing", "losses", "training", "runs", "pipeline", "__main__"],
)
def test_what_is_chosen_before_there_is_a_network_needs_no_torch(module):
    code = ONLY_BUNDLED + f"import SegAutoPlanLib.{module}; print('imported')"
    assert run_python(code, "numpy scipy simpleitk").endswith("imported\n")


def test_the_requirements_slicer_installs_are_those_of_the_package():
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    resources = REPOSITORY / "SegAutoPlan" / "Resources"
    [torch] = re.findall(r'"(torch[^"]*)"', project)
    train = re.search(r"^train = \[(.*)\]", project, re.MULTILINE)[1]
    for name, wanted in (("requirements.txt", [torch]), ("requirements-train.txt", re.findall(r'"([^"]+)"', train))):
        lines = (resources / name).read_text(encoding="utf-8").splitlines()
        assert [line for line in lines if line and not line.startswith("#")] == wanted

"""What CMake lists is what is there: Slicer ships nothing else, and fails on what is missing."""

from __future__ import annotations

import re

import pytest

from .update_cmake_lists import FOLDERS, REPOSITORY, listed, present, stale_lists

HOW = "run `python Testing/Packaging/update_cmake_lists.py`"


@pytest.mark.parametrize("keyword", ["SCRIPTS", "RESOURCES"])
@pytest.mark.parametrize("scripted", FOLDERS, ids=lambda scripted: scripted.folder)
def test_every_file_is_listed_and_every_listed_file_is_there(scripted, keyword):
    cmake = (REPOSITORY / scripted.folder / "CMakeLists.txt").read_text(encoding="utf-8")
    entries, files = listed(cmake, keyword), present(scripted, keyword)
    assert sorted(set(files) - set(entries)) == [], f"not shipped; {HOW}"
    assert sorted(set(entries) - set(files)) == [], f"listed but not there; {HOW}"
    assert len(entries) == len(set(entries))


def test_the_script_finds_nothing_to_change():
    assert list(stale_lists()) == [], HOW


def test_a_new_file_would_be_noticed_and_listed(tmp_path):
    for scripted in FOLDERS:
        folder = tmp_path / scripted.folder
        folder.mkdir()
        (folder / "CMakeLists.txt").write_text(
            "set(MODULE_PYTHON_SCRIPTS\n  gone.py\n  )\nset(MODULE_PYTHON_RESOURCES\n  )\n", encoding="utf-8"
        )
    (tmp_path / "SegAutoPlanLib" / "stage").mkdir()
    (tmp_path / "SegAutoPlanLib" / "stage" / "new.py").touch()
    updated = stale_lists(tmp_path)
    assert listed(updated[tmp_path / "SegAutoPlanLib" / "CMakeLists.txt"], "SCRIPTS") == ["stage/new.py"]
    assert listed(updated[tmp_path / "SegAutoPlan" / "CMakeLists.txt"], "SCRIPTS") == []


def test_each_listed_folder_is_added_by_the_top_level():
    top = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
    assert re.findall(r"add_subdirectory\((\w+)\)", top) == ["SegAutoPlanLib", "SegAutoPlan"]
    assert {scripted.folder for scripted in FOLDERS} == {"SegAutoPlanLib", "SegAutoPlan"}


def test_no_test_is_shipped():
    for scripted in FOLDERS:
        assert not [name for name in present(scripted, "SCRIPTS") if "test" in name.lower().split("/")[-1]]


def test_the_module_folder_holds_no_other_module():
    """Slicer tries every .py of a folder in Additional module paths as a module."""
    assert [path.name for path in (REPOSITORY / "SegAutoPlan").glob("*.py")] == ["SegAutoPlan.py"]

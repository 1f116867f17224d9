"""Names become paths at one place, and none leads out of its folder."""

from __future__ import annotations

import contextlib

import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.names import file_below, file_ending, file_name, problem_of_name, safe_name
from SegAutoPlanLib.schema import problem_of

SAFE = ("case_001", "nnUNetPlans_3d_fullres", "Prostata Größe 2", "肝臓", "-x", ".hidden", "a.b.c", "console", "nul_1")
UNSAFE = (
    "",
    ".",
    "..",
    "../x",
    "../../../etc/passwd",
    "/absolute",
    "a/b",
    "a\\b",
    "C:\\x",
    "C:x",
    "file:stream",
    "a\0b",
    "a\nb",
    "con",
    "NUL.txt",
    "com1",
    "aux.nii.gz",
    "ends with.",
    " begins",
    "ends ",
    "x" * 151,
    "é" * 80,
    "\ud800",
    None,
    7,
    ["a"],
)


@pytest.mark.parametrize("name", SAFE)
def test_ordinary_names_of_every_language_are_taken(name):
    assert problem_of_name(name) is None
    assert safe_name(name, "--plans") == name


@pytest.mark.parametrize("name", UNSAFE)
def test_what_is_no_single_part_of_a_path_everywhere_is_refused(name):
    assert problem_of_name(name) is not None
    assert problem_of(file_name, name) is not None
    with pytest.raises(UserInputError, match=r"^--plans: "):
        safe_name(name, "--plans")


@pytest.mark.parametrize("ending", [".nii.gz", ".png", ".NRRD", ".seg.nrrd"])
def test_endings_are_taken(ending):
    assert problem_of(file_ending, ending) is None


@pytest.mark.parametrize("ending", ["nii", "", ".", "./../x", ".nii/../x", "..", ".nii gz", ".*", ".a\n", 3, None])
def test_what_is_no_ending_is_refused(ending):
    assert problem_of(file_ending, ending) is not None


def test_a_file_is_found_only_below_its_folder(tmp_path):
    folder = tmp_path / "dataset"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "a.nii").touch()
    (tmp_path / "secret.nii").touch()
    assert file_below(folder, "images/a.nii", "dataset.json") == (folder / "images" / "a.nii").resolve()
    with contextlib.suppress(OSError):  # Windows, without the right to make links
        (folder / "link.nii").symlink_to(tmp_path / "secret.nii")
    for relative in ("../secret.nii", str(tmp_path / "secret.nii"), "images", "nothing.nii", "link.nii", "a\0b", ""):
        with pytest.raises(UserInputError, match=r"^dataset\.json: names the file"):
            file_below(folder, relative, "dataset.json")

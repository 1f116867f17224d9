"""The checks that the ExtensionsIndex runs on a pull request (its check_description_files.py), run here first."""

from __future__ import annotations

import json
import re
import struct
import subprocess

import pytest

from .update_cmake_lists import REPOSITORY

NAME = "SegAutoPlan"
URL = "https://github.com/SegAutoPlan/SlicerSegAutoPlan"
ALLOWED_KEYS = {
    "$schema",
    "category",
    "scm_url",
    "scm_revision",
    "scm_type",
    "build_dependencies",
    "build_subdirectory",
    "enabled",
    "tier",
}
LICENCE_NAMES = ("LICENSE", "LICENSE.txt", "License.txt", "license.txt", "LICENCE", "COPYING", "COPYING.txt")
LARGEST_REPOSITORY_BYTES = 100 * 2**20


@pytest.fixture(scope="module")
def cmake() -> str:
    return (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def entry() -> dict:
    return json.loads((REPOSITORY / f"{NAME}.json").read_text(encoding="utf-8"))


def variable(cmake: str, name: str) -> str:
    found = re.findall(rf'^set\({name} "([^"]*)"\)$', cmake, re.MULTILINE)
    assert len(found) == 1, f"{name} must be set once, on one line, in double quotes"
    return found[0]


def tracked_files() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip(f"NOT TESTED: this is not a git checkout ({listed.stderr.strip()})")
    return listed.stdout.splitlines()


def test_e1_the_entry_has_unix_line_ends_and_no_other_key_than_the_schema_has(entry):
    assert b"\r" not in (REPOSITORY / f"{NAME}.json").read_bytes()
    assert set(entry) <= ALLOWED_KEYS
    assert re.fullmatch(
        r"https://raw\.githubusercontent\.com/Slicer/Slicer/main/Schemas/"
        r"slicer-extension-catalog-entry-schema-v1\.0\.[012]\.json#",
        entry["$schema"],
    )


def test_e2_what_is_required_is_there_with_the_right_types(entry):
    assert {"$schema", "category", "scm_url"} <= set(entry)
    assert isinstance(entry["build_dependencies"], list)
    assert isinstance(entry["tier"], int)
    assert 1 <= entry["tier"] <= 5


def test_e3_the_repository_is_called_slicer_and_the_name(entry):
    assert not NAME.startswith("Slicer")
    assert entry["scm_url"] == f"{URL}.git"
    assert URL.rpartition("/")[2] == f"Slicer{NAME}"


def test_e4_the_category_is_one_that_the_index_has(entry):
    assert entry["category"] == "Segmentation"


def test_e6_the_repository_stays_small_and_holds_no_weights():
    files = tracked_files()
    assert sum((REPOSITORY / name).stat().st_size for name in files if (REPOSITORY / name).is_file()) < (
        LARGEST_REPOSITORY_BYTES
    )
    assert not [name for name in files if name.endswith((".pth", ".pt", ".onnx", ".safetensors"))]


def test_e7_the_project_and_its_addresses_are_found_by_the_indexs_patterns(cmake):
    assert re.findall(r"^project\((\w+)\)", cmake, re.MULTILINE) == [NAME]
    assert variable(cmake, "EXTENSION_HOMEPAGE") == URL
    for name in ("EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"):
        for address in variable(cmake, name).split():
            assert address.startswith("https://raw.githubusercontent.com/SegAutoPlan/SlicerSegAutoPlan/main/")


@pytest.mark.parametrize("name", ["EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"])
def test_e7_each_address_is_a_picture_of_this_repository(cmake, name):
    for address in variable(cmake, name).split():
        path = REPOSITORY / address.partition("/main/")[2]
        assert path.is_file(), f"{path} is named by {name}"
        assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_the_icon_is_128_pixels_square(cmake):
    icon = REPOSITORY / variable(cmake, "EXTENSION_ICONURL").partition("/main/")[2]
    assert struct.unpack(">II", icon.read_bytes()[16:24]) == (128, 128)


def test_the_modules_icon_is_found_by_its_name():
    assert (REPOSITORY / NAME / "Resources" / "Icons" / f"{NAME}.png").is_file()
    assert (REPOSITORY / NAME / "Resources" / "Icons" / f"{NAME}.svg").is_file()


def test_e8_the_licence_has_a_name_that_the_index_looks_for():
    assert any((REPOSITORY / name).is_file() for name in LICENCE_NAMES)


def test_e9_what_the_entry_depends_on_is_what_cmake_depends_on(entry, cmake):
    assert entry["build_dependencies"] == variable(cmake, "EXTENSION_DEPENDS").split() == ["PyTorch"]


def test_the_description_says_what_it_does_in_one_plain_text(cmake):
    description = variable(cmake, "EXTENSION_DESCRIPTION")
    assert 60 < len(description) < 500
    assert "<" not in description

"""Files that appear as a whole or not at all."""

from __future__ import annotations

import os

import pytest

from SegAutoPlanLib.files import atomic_path, write_json


@pytest.mark.skipif(os.name != "posix", reason="NOT TESTED: permissions are POSIX's")
def test_a_written_file_has_the_permissions_that_any_new_file_has(tmp_path):
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    write_json(tmp_path / "plans.json", {})
    assert (tmp_path / "plans.json").stat().st_mode == ordinary.stat().st_mode


def test_an_error_leaves_the_previous_file_and_nothing_else(tmp_path):
    write_json(tmp_path / "plans.json", {"good": True})
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "plans.json") as temporary:
        temporary.write_text(str(1 / 0))
    assert [path.name for path in tmp_path.iterdir()] == ["plans.json"]
    assert "good" in (tmp_path / "plans.json").read_text(encoding="utf-8")

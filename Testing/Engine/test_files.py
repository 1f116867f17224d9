"""Files that appear as a whole or not at all."""

from __future__ import annotations

import os
import stat

import pytest

from SegAutoPlanLib.files import atomic_path, remove_abandoned, write_json


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


@pytest.mark.skipif(os.name != "posix", reason="NOT TESTED: only POSIX flushes folders")
def test_a_durable_file_is_on_the_disk_before_it_has_its_name_and_then_its_name_is(tmp_path, monkeypatch):
    done = []
    flush, rename = os.fsync, os.replace

    def fsync(descriptor):
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else os.fstat(descriptor).st_size)
        flush(descriptor)

    def replace(source, target):
        done.append("renamed")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    with atomic_path(tmp_path / "checkpoint.pth", durable=True) as temporary:
        temporary.write_bytes(b"all of it")
    assert done == [9, "renamed", "folder"]


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    ours = [f".writing_{number:032x}{ending}" for number, ending in enumerate(("", ".json", ".nii.gz", ".safetensors"))]
    others = [".writing_notes.txt", f"writing_{1:032x}.json", f".writing_{1:032x} of mine", ".hidden"]
    for name in (*ours, *others):
        (tmp_path / name).touch()
    remove_abandoned(tmp_path)
    assert len(list(tmp_path.iterdir())) == len(ours) + len(others), "they may be in the making"
    remove_abandoned(tmp_path, is_alone=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)
    remove_abandoned(tmp_path / "not there")

"""What the operating system refuses, and memory that ran out, are sentences; mistakes of ours are not."""

from __future__ import annotations

import errno
import os
import pickle

import pytest

from SegAutoPlanLib.errors import SYSTEM_PROBLEMS, FileError, UserInputError, in_sentences, sentence_of
from SegAutoPlanLib.files import atomic_path, write_json


@pytest.mark.parametrize("number", sorted(SYSTEM_PROBLEMS))
def test_each_error_of_the_system_names_the_file_and_a_remedy(number):
    problem, remedy = SYSTEM_PROBLEMS[number]
    assert sentence_of(OSError(number, os.strerror(number), "/data/a file")) == f"/data/a file: {problem}; {remedy}."


def test_an_unknown_error_with_a_file_is_a_sentence_too():
    assert "/data/x: the system refuses it (odd)" in sentence_of(OSError(9999, "odd", "/data/x"))


def test_a_full_disk_is_told_even_where_the_file_is_not_known():
    assert sentence_of(OSError(errno.ENOSPC, "full")).startswith("The disk is full; free some space")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:75] DefaultCPUAllocator: can't allocate memory: you tried …"),
        RuntimeError("CUDA out of memory. Tried to allocate 20 GiB"),
        type("OutOfMemoryError", (RuntimeError,), {})("CUDA"),
    ],
)
def test_memory_that_ran_out_is_a_sentence(error):
    assert "memory" in sentence_of(error)
    with pytest.raises(UserInputError, match="ran out"), in_sentences():
        raise error


@pytest.mark.parametrize("error", [ValueError("x"), RuntimeError("shapes differ"), OSError("no number"), KeyError("x")])
def test_our_own_mistakes_stay_what_they_are(error):
    assert sentence_of(error) is None
    with pytest.raises(type(error)), in_sentences():
        raise error


def test_writing_where_the_system_refuses_names_the_file_that_was_meant(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserInputError, match="file: something else of this name"):
        write_json(tmp_path / "file" / "below.json", {})
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserInputError, match=r"folder: (is a folder|access is denied)"):
        write_json(tmp_path / "folder", {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_an_error_while_writing_leaves_the_previous_file(tmp_path):
    write_json(tmp_path / "a.json", {"old": 1})

    def write_half() -> None:
        with atomic_path(tmp_path / "a.json") as path:
            path.write_text("half")
            raise OSError(errno.ENOSPC, "full")

    with pytest.raises(UserInputError, match=r"a\.json: the disk is full"):
        write_half()
    assert (tmp_path / "a.json").read_text().startswith("{")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_file_error_survives_the_way_to_another_process():
    error = pickle.loads(pickle.dumps(FileError("a.nii", "is damaged", "copy it again")))
    assert (str(error.file), error.problem, error.remedy) == ("a.nii", "is damaged", "copy it again")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb", r"a\nb"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("half \ud800", r"half \ud800"),
        ("turned \u202egnp.exe", r"turned \u202egnp.exe"),
        ("Größe 肝臓", "Größe 肝臓"),
    ],
)
def test_a_sentence_shows_what_a_terminal_would_obey(name, shown):
    assert str(UserInputError(f"{name}: is wrong.")) == f"{shown}: is wrong."


def test_a_sentence_about_something_huge_keeps_its_beginning_and_end():
    sentence = str(UserInputError(f"/data/x: {'y' * 100_000}; correct it."))
    assert sentence.startswith("/data/x: y")
    assert sentence.endswith("; correct it.")
    assert len(sentence) < 2000

"""Every JSON file comes in through one gate: what cannot be used is a sentence, at once and in little memory."""

from __future__ import annotations

import json
import os
import re

import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.files import MAX_DEPTH, parse_json, read_json

BAD_TEXTS = {
    "cut short": (b'{"a": ', "is not valid JSON"),
    "a repeated key": (b'{"a": 1, "b": 2, "a": 3}', '"a" stands there twice'),
    "a giant whole number": (b"[" + b"9" * 5000 + b"]", "a number has 5000 digits"),
    "a number beyond all floats": (b'{"a": 1e999}', "the number 1e999 is too large"),
    "depth": (b"[" * 200_000 + b"]" * 200_000, "is nested too deeply"),
    "depth that the parser bears": (b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2), "is nested too deeply"),
    "depth in objects": (b'{"a":' * 100 + b"1" + b"}" * 100, "is nested too deeply"),
    "another encoding": ('{"a": "é"}'.encode("latin-1"), "is not UTF-8 text"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "is not UTF-8 text"),
    "half a character": (rb'{"a": "\ud800"}', "half a character"),
    "a zero character": (rb'{"a\u0000": 1}', "a zero character"),
    "a control character": (b'{"a": "\x01"}', "is not valid JSON"),
    "nothing": (b"", "is not valid JSON"),
    "zeros, as a crash leaves them": (b"\0" * 4096, "is not valid JSON"),
    "two documents": (b"{} {}", "is not valid JSON"),
    "Python": (b"{'a': None}", "is not valid JSON"),
}


@pytest.mark.parametrize("fault", BAD_TEXTS)
def test_a_text_that_is_no_usable_json_is_a_sentence(tmp_path, fault):
    content, words = BAD_TEXTS[fault]
    file = tmp_path / "some file.json"
    file.write_bytes(content)
    with pytest.raises(UserInputError, match=re.escape(words)) as caught:
        read_json(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "meant"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": [1, -2.5e10, null, true]}', {"a": [1, -2.5e10, None, True]}),
        (rb'{"\u00e9\ud83d\ude00": "\u0041"}', {"é😀": "A"}),
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, json.loads("[" * MAX_DEPTH + "]" * MAX_DEPTH)),
    ],
)
def test_what_other_programs_write_is_read(content, meant):
    assert parse_json(content, "file.json") == meant


def test_not_a_number_is_let_through_because_nnunet_writes_it():
    assert parse_json(b'{"Dice": NaN}', "summary.json")["Dice"] != 0


def test_a_folder_and_a_missing_file_are_sentences(tmp_path):
    with pytest.raises(UserInputError, match=r"is a folder and not a file|access is denied"):
        read_json(tmp_path)
    with pytest.raises(UserInputError, match="does not exist"):
        read_json(tmp_path / "nothing.json")
    with pytest.raises(UserInputError, match="too long"):
        read_json(tmp_path / ("x" * 300))
    with pytest.raises(UserInputError, match="cannot be the name of a file"):
        read_json("with\0zero.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="NOT TESTED: no pipes in the file system here")
def test_a_pipe_or_a_device_does_not_keep_anybody_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "endless.json").symlink_to("/dev/zero")
    (tmp_path / "circle.json").symlink_to(tmp_path / "circle.json")
    for name in ("pipe.json", "endless.json"):
        with pytest.raises(UserInputError, match="is a pipe, device or socket"):
            read_json(tmp_path / name)
    with pytest.raises(UserInputError, match="circle"):
        read_json(tmp_path / "circle.json")


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    file = tmp_path / "huge.json"
    with file.open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(UserInputError, match="is larger than such a file can be"):
        read_json(file)

"""Whatever folder somebody chooses, the panel answers with a sentence; an exception in a slot fails a test."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

SOUND = {
    "channel_names": {"0": "T1"},
    "labels": {"background": 0, "grey matter": 1},
    "numTraining": 5,
    "file_ending": ".nii.gz",
}
WRONG = (None, True, -1, 2**70, 1.5, float("nan"), "", "x" * 10_000, [], [[]], {}, {"a": {"b": []}})
DOCUMENTS = {
    **{f"{key} is {index}": {**SOUND, key: value} for key in SOUND for index, value in enumerate(WRONG)},
    "a list": [],
    "a number": 7,
    "a label of a million": {**SOUND, "labels": {"background": 0, "a": 10**6}},
    "a label below zero": {**SOUND, "labels": {"background": 0, "a": -1}},
    "colours that are none": {**SOUND, "segments": {"grey matter": {"color": ["red", 0, 0]}}},
    "control characters": {**SOUND, "labels": {"background": 0, "a\x1b[31m\nb": 1}},
    "more channels than anybody has": {**SOUND, "channel_names": {str(index): "T1" for index in range(500)}},
    "many channels": {**SOUND, "channel_names": {str(index): "T1" for index in range(20_000)}},
    "an ending that leads elsewhere": {**SOUND, "file_ending": ".nii.gz/../../../x"},
}
TEXTS = {
    "empty": b"",
    "cut short": b'{"labels": {',
    "deep": b"[" * 300_000,
    "zeros": b"\0" * 5000,
    "UTF-16": json.dumps(SOUND).encode("utf-16"),
    "repeated": b'{"labels": {}, "labels": {}}',
    "giant number": b'{"numTraining": ' + b"9" * 5000 + b"}",
    "half a character": rb'{"labels": {"\ud800": 0}}',
}


def special(path: Path, what: str) -> None:
    """Put something that is no file in the place of one."""
    path.unlink(missing_ok=True)
    make = {
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "circle": lambda: path.symlink_to(path),
        "folder": path.mkdir,
        "huge": lambda: _huge(path),
    }
    make[what]()


def _huge(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(1 << 40)


@pytest.fixture
def model(tmp_path) -> Callable[[bytes], Path]:
    """A model folder with this dataset.json."""

    def write(content: bytes) -> Path:
        folder = tmp_path / "model"
        (folder / "fold_0").mkdir(parents=True)
        (folder / "fold_0" / "checkpoint_final.pth").touch()
        (folder / "plans.json").write_text("{}")
        (folder / "dataset.json").write_bytes(content)
        return folder

    return write


def answer(panel, folder: Path | str) -> str:
    """What the panel says of a model folder that was chosen."""
    panel.ui.modelFolderPathLineEdit.currentPath = ""
    panel.ui.modelFolderPathLineEdit.currentPath = str(folder)
    panel.widget.enter()
    return panel.ui.problemLabel.text


def is_a_sentence(text: str) -> bool:
    return text.endswith(".") and "\n" not in text and "Traceback" not in text and len(text) < 2000


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_description_that_is_wrong_is_a_sentence(panel, model, kind):
    folder = model(json.dumps(DOCUMENTS[kind]).encode())
    said = answer(panel, folder)
    assert is_a_sentence(said)
    # Training cases are not counted by who only segments: null and the like are refused all the same where they stand.
    assert str(folder) in said or said == 'Choose the volume for "T1".'
    if "is" not in kind:
        assert "dataset.json" in said or "colours" in kind or "more channels" in kind
    assert not panel.ui.segmentButton.enabled


@pytest.mark.parametrize("kind", TEXTS)
def test_a_description_that_is_no_json_is_a_sentence(panel, model, kind):
    said = answer(panel, model(TEXTS[kind]))
    assert "dataset.json" in said
    assert is_a_sentence(said)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="NOT TESTED: no pipes in the file system here")
@pytest.mark.parametrize("name", ["dataset.json", "plans.json", "fold_0/checkpoint_final.pth"])
@pytest.mark.parametrize("what", ["pipe", "device", "circle", "folder", "huge"])
def test_what_is_no_file_in_a_model_does_not_stop_the_window(panel, model, name, what):
    folder = model(json.dumps(SOUND).encode())
    special(folder / name, what)
    assert is_a_sentence(answer(panel, folder))


@pytest.mark.parametrize(
    "path", ["\0", "a\nb", "x" * 5000, "~nobody/x", "/dev/null", "/proc/self/mem", "//server/share", "."]
)
def test_a_path_that_is_none_is_a_sentence(panel, path):
    assert is_a_sentence(answer(panel, path))


def test_names_with_markup_are_shown_as_they_are(panel, model):
    """A label is not a web page: nothing is drawn, loaded or linked because a name says so."""
    names = {"background": 0, '<img src="file:///etc/passwd"><b>bold': 1, "<a href='http://x'>link</a>": 2}
    folder = model(json.dumps({**SOUND, "labels": names, "channel_names": {"0": "<h1>T1</h1>"}}).encode())
    answer(panel, folder)
    ui = panel.ui
    for label in (ui.modelSummaryLabel, ui.problemLabel, ui.statusLabel):
        assert label.textFormat == label.textFormat.PlainText
    assert "<b>bold" in ui.modelSummaryLabel.text


def test_a_workspace_that_is_a_file_is_a_sentence(host, module, workspace, add_volume, model):
    workspace.parent.mkdir(parents=True)
    workspace.write_text("not a folder")
    logic = module.SegAutoPlan.SegAutoPlanLogic()
    from SegAutoPlanLib.errors import UserInputError

    with pytest.raises(UserInputError, match="workspace"):
        logic.segment([add_volume()], model(json.dumps(SOUND).encode()))
    with pytest.raises(UserInputError, match="workspace"):
        logic.checkDataset(workspace)


def test_a_full_or_forbidden_disk_while_starting_is_said_in_the_panel(
    host, panel, workspace, add_volume, model, monkeypatch
):
    panel.ui.modelFolderPathLineEdit.currentPath = str(model(json.dumps(SOUND).encode()))
    panel.parameters().channelVolumes = [add_volume()]
    (workspace / "runs").mkdir(parents=True)
    (workspace / "runs" / "segmentations").write_text("in the way")
    panel.ui.segmentButton.click()
    assert "segmentations" in panel.ui.problemLabel.text or "segmentations" in panel.ui.statusLabel.text

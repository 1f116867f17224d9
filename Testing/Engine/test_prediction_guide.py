"""What docs/prediction.md shows can be done as it stands there."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path

import pytest

from SegAutoPlanLib.command_line import build_parser
from SegAutoPlanLib.inference import Predictor, Segmenter

from .balls import ball_case, ball_workspace, untrained_model
from .raw_datasets import write_image

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "prediction.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


def test_the_python_of_the_guide_runs(tmp_path, monkeypatch, capsys):
    workspace = ball_workspace(tmp_path / "workspace")
    model = untrained_model(workspace)
    (tmp_path / "models").mkdir()
    model.rename(tmp_path / "models" / model.name)
    for seed, name in enumerate(("first", "second")):
        write_image(ball_case(seed)[0], tmp_path / "images" / f"{name}_0000.nii.gz")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    assert len(blocks("python")) == 4
    for block in blocks("python"):
        exec(block, names)
    assert [file.name for file in names["written"]] == ["first.nii.gz", "second.nii.gz"]
    assert Path("segmentations/first.npz").is_file()
    assert (names["results"][0].labels.shape, len(names["results"])) == ((24, 24, 24), 2)
    assert names["one"].probabilities.shape == (3, 20, 24, 22)
    assert names["shapes"] == [(20, 24, 22), (20, 24, 22), (24, 24, 24)]
    assert re.search(r"^segmenting \d+ \d+ tile ", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize("line", [line for block in blocks("sh") for line in block.splitlines() if line])
def test_the_commands_of_the_guide_are_understood(line):
    given = build_parser().parse_args(shlex.split(line.removeprefix("python -m SegAutoPlanLib ")))
    assert given.verb.name in ("predict", "ensemble")


def test_the_names_that_the_guide_translates_are_there():
    for method, names in re.findall(r"`(predict_\w+)\(([^)`]*)\)`", GUIDE.partition("| here |")[2]):
        if hasattr(Predictor, method):
            wanted = {name for name in re.findall(r"\w+", names) if name not in ("or", "None")}
            assert wanted <= set(inspect.signature(getattr(Predictor, method)).parameters) | {"iterator"}, method
    for name in ("step_size", "use_gaussian", "mirroring", "device"):
        assert name in inspect.signature(Segmenter).parameters

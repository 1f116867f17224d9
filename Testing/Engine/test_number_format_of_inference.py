"""Segmenting computes in the fastest format whose labels are float32's: measured once, remembered, and told."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from SegAutoPlanLib.__main__ import main
from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.inference import Segmenter, format_choice, load_model, segment, segment_cases
from SegAutoPlanLib.inference.format_choice import (
    Agreement,
    agreement,
    choose_format,
    digest_of,
    tile_with_most_structure,
)
from SegAutoPlanLib.labels import LabelScheme
from SegAutoPlanLib.networks import build_network, format_memory, write_checkpoint
from SegAutoPlanLib.networks.casting import candidates, usual_format
from SegAutoPlanLib.number_format import FULL_PRECISION, NumberFormat
from SegAutoPlanLib.planning import read_plan
from SegAutoPlanLib.workspace import FORMATS_FILE, Workspace, cache_folder

from .balls import NAME, ball_case, ball_workspace
from .raw_datasets import write_image
from .test_training import Recorder

CPU = torch.device("cpu")
CHANNELS_LAST = NumberFormat("float32", channels_last=True)
LABELS = LabelScheme((("background", 0), ("organ", 1)))
TILE = torch.randn((1, 2, 8, 8, 8), generator=torch.Generator().manual_seed(0))


class Threshold(nn.Module):
    """Foreground where the image is above a value that depends on the format, as its rounding would."""

    def __init__(self, thresholds: dict[bool, float]) -> None:
        super().__init__()
        self._thresholds, self.passes = thresholds, 0

    def forward(self, x):
        self.passes += 1
        is_last = not x.is_contiguous()
        x = x[:, :1]
        return torch.cat([torch.full_like(x, self._thresholds[is_last]), x], 1)


@pytest.fixture
def two_formats(monkeypatch):
    """On every machine float32 in two layouts, of which the other takes half the time; each passage is worth it."""
    now = [0.0]
    monkeypatch.setattr(format_memory.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(format_choice, "candidates", lambda device: (FULL_PRECISION, CHANNELS_LAST))
    real = format_choice.TileNetwork.mean_logits

    def timed(network, tiles, mirrored=True):
        now[0] += 1.0 if network.number_format == CHANNELS_LAST else 2.0
        return real(network, tiles, mirrored)

    monkeypatch.setattr(format_choice.TileNetwork, "mean_logits", timed)


def choose(network, memory=None, passes=100, report=None, work=()):
    return choose_format([network], lambda: TILE, LABELS, CPU, lambda: list(work), passes, memory, report or Recorder())


def message_of(report) -> str:
    [told] = [event["message"] for event in report.events if event["event"] == "number_format"]
    return told


def test_the_fastest_that_agrees_is_taken_remembered_and_told(two_formats, tmp_path):
    memory, report, again = tmp_path / "new folder" / FORMATS_FILE, Recorder(), Recorder()
    network = Threshold({False: 0.0, True: 0.0})
    assert choose(network, memory, report=report) == CHANNELS_LAST
    assert message_of(report) == (
        "Segmenting computes in 32-bit numbers (float32, channels-last), as measured now (time of a tile, relative: "
        "float32 1.00, float32, channels-last 0.50): labels agree with 32-bit ones on 100.00 % of the voxels of a tile."
    )
    passes = network.passes
    assert choose(network, memory, passes=1, report=again) == CHANNELS_LAST
    assert network.passes == passes
    assert "the fastest when this was measured here: labels agreed" in message_of(again)
    assert choose(network, memory, passes=1, work=["other weights"]) is None


def test_a_faster_format_with_other_labels_is_refused_and_told(two_formats, tmp_path):
    report = Recorder()
    network = Threshold({False: 0.0, True: 0.02})
    assert choose(network, tmp_path / FORMATS_FILE, report=report) == FULL_PRECISION
    assert "too few labels agree in float32, channels-last on 9" in message_of(report)
    assert choose(network, tmp_path / FORMATS_FILE) == FULL_PRECISION


def test_a_little_foreground_must_agree_in_itself():
    labels = torch.zeros(100_000, dtype=torch.int64)
    labels[:100] = 1
    others = labels.clone()
    others[0] = 0
    found = agreement(labels, others)
    assert found.voxels == 1 - 1e-5
    assert found.dice == pytest.approx(198 / 199)
    assert not found.is_enough
    assert agreement(labels, labels) == Agreement(1.0, 1.0)
    assert agreement(0 * labels, 0 * labels).is_enough


def test_a_format_whose_remembered_labels_differ_is_measured_anew(two_formats, tmp_path):
    memory, network = tmp_path / FORMATS_FILE, Threshold({False: 0.0, True: 0.02})
    choose(network, memory)
    [(key, entry)] = read_json(memory).items()
    for wrong in ({"agreement": 0.5}, {}, {"agreement": 1.5}):
        entry = {"number_format": vars(CHANNELS_LAST), "seconds": entry["seconds"], **wrong}
        write_json(memory, {key: entry})
        assert choose(network, memory) == FULL_PRECISION
        assert read_json(memory)[key]["agreement"] == 1


def test_what_is_small_is_not_measured(two_formats):
    network = Threshold({False: 0.0, True: 0.0})
    assert choose(network, passes=format_choice.WORTH_MEASURING - 1) is None
    assert network.passes == 0


def test_what_is_quick_is_not_measured_to_its_end(two_formats, monkeypatch, tmp_path):
    monkeypatch.setattr(format_choice, "WORTH_SECONDS", 2.0 * 100 + 1)
    network, report = Threshold({False: 0.0, True: 0.0}), Recorder()
    assert choose(network, tmp_path / FORMATS_FILE, report=report) == usual_format(CPU)
    assert network.passes == 2
    assert report.events == []
    assert not (tmp_path / FORMATS_FILE).exists()


def test_a_place_that_cannot_be_written_to_costs_a_measurement_not_the_segmentation(two_formats, tmp_path):
    (tmp_path / "file").touch()
    memory = tmp_path / "file" / FORMATS_FILE
    network = Threshold({False: 0.0, True: 0.0})
    assert choose(network, memory) == choose(network, memory) == CHANNELS_LAST


def test_a_tile_is_measured_where_the_image_has_structure():
    data = np.zeros((1, 40, 16, 16), np.float32)
    data[0, 20:28] = np.random.default_rng(0).normal(size=(8, 16, 16))
    tile = tile_with_most_structure(data, (16, 16, 16), 0.5)
    assert tile.shape == (1, 1, 16, 16, 16)
    assert torch.count_nonzero(tile) == 8 * 16 * 16
    assert tile_with_most_structure(data, (32, 20), 0.5).shape == (1, 1, 32, 20)
    assert tile_with_most_structure(data, (64, 8, 8), 0.5).shape == (1, 1, 64, 8, 8)


def test_other_weights_are_another_measurement():
    weights = {"a": torch.zeros(3), "b": torch.ones((), dtype=torch.int64)}
    changed = {**weights, "a": torch.tensor([0.0, 0.0, 1e-30])}
    assert digest_of([weights]) == digest_of([{name: value.clone() for name, value in weights.items()}])
    assert len({digest_of([weights]), digest_of([changed]), digest_of([weights, weights])}) == 3


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """With the weights of a fresh network."""
    root = tmp_path_factory.mktemp("formats of inference")
    workspace = ball_workspace(root)
    folder = root / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    write_json(folder / "plans.json", read_json(workspace.preprocessed / NAME / "nnUNetPlans.json"))
    write_json(folder / "dataset.json", read_json(workspace.raw / NAME / "dataset.json"))
    torch.manual_seed(0)
    network = build_network(read_plan(folder / "plans.json").configurations["3d_fullres"].architecture, 1, 3)
    content = {
        "network_weights": network.state_dict(),
        "init_args": {"configuration": "3d_fullres"},
        "trainer_name": "nnUNetTrainer",
    }
    write_checkpoint(folder / "fold_0" / "checkpoint_final.pth", content)
    return folder


@pytest.fixture
def image(tmp_path):
    write_image(ball_case(11, (20, 26, 30))[0], tmp_path / "in" / "new_0000.nii.gz")
    return tmp_path / "in"


def test_predict_takes_its_precision_and_the_workspace_remembers(model, image, tmp_path, monkeypatch, capsys):
    used = []
    monkeypatch.setattr(format_choice, "WORTH_MEASURING", 1)
    monkeypatch.setattr(format_choice, "WORTH_SECONDS", 0)

    def measure(formats, prepare, is_admissible, is_worth):
        used.append(tuple(formats))
        for each in formats:
            prepare(each)()
        assert is_worth(1.0)
        for other in formats[1:]:
            is_admissible(other)
        return FULL_PRECISION, dict.fromkeys(formats, 1.0)

    monkeypatch.setattr(format_choice, "measure", measure)
    (tmp_path / "runs").mkdir()
    command = ["predict", "--model", str(model), "--input", str(image), "--device", "cpu"]
    command += ["--workspace", str(tmp_path), "--overwrite", "--output", str(tmp_path / "out")]
    assert main([*command, "--precision", "full"]) == 0
    assert used == []
    assert main(command) == 0
    assert main(command) == 0
    expected = [set(candidates(CPU))] if len(candidates(CPU)) > 1 else []
    assert [set(each) for each in used] == expected
    assert Workspace.at(tmp_path).formats_file == tmp_path / FORMATS_FILE
    assert len(read_json(tmp_path / FORMATS_FILE)) == len(expected)
    capsys.readouterr()


def test_without_a_workspace_formats_are_remembered_in_the_users_cache(tmp_path, monkeypatch):
    for name, variable in (("linux", "XDG_CACHE_HOME"), ("win32", "LOCALAPPDATA")):
        monkeypatch.setattr("sys.platform", name)
        monkeypatch.setenv(variable, str(tmp_path / name))
        assert cache_folder() == tmp_path / name
    monkeypatch.setattr("SegAutoPlanLib.workspace.cache_folder", lambda: tmp_path / "cache")
    assert Workspace.at(tmp_path).formats_file == tmp_path / "cache" / "segautoplan" / FORMATS_FILE


def test_an_inexact_segmentation_is_labelled_in_the_result_and_in_the_log(model, image, tmp_path, capsys):
    command = ["predict", "--model", str(model), "--input", str(image), "--device", "cpu", "--json"]
    command += ["--workspace", str(tmp_path), "--output", str(tmp_path / "out")]
    assert main([*command, "--skip-air", "--time-limit", "10"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["inexact"] == "--skip-air, --time-limit 10"
    assert "Inexact, as asked for (--skip-air, --time-limit 10)" in said.err
    assert main([*command, "--overwrite"]) == 0
    assert json.loads(capsys.readouterr().out)["inexact"] is None


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (["--time-limit", "0"], "--time-limit 0.0: must be"),
        (["--time-limit", "nan"], "--time-limit nan: must be"),
        (["--coarse-step-above", "99999999"], "--coarse-step-above 99999999: must be"),
    ],
)
def test_an_impossible_shortcut_is_a_sentence(model, image, tmp_path, capsys, option, sentence):
    command = ["predict", "--model", str(model), "--input", str(image), "--output", str(tmp_path / "out")]
    assert main([*command, *option]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_case_that_does_not_fit_is_segmented_slab_by_slab_with_the_same_labels(model, image, tmp_path, monkeypatch):
    segmenter = Segmenter(load_model(model), "cpu")
    [whole] = segment_cases(segmenter, image, tmp_path / "whole")
    monkeypatch.setattr("SegAutoPlanLib.inference.memory_plan.available_memory", lambda: 1)
    used = []
    real = segment.logit_slabs
    monkeypatch.setattr(segment, "logit_slabs", lambda *given: used.append(given) or real(*given))
    [slabs] = segment_cases(segmenter, image, tmp_path / "slabs")
    assert len(used) == 1
    assert whole.read_bytes() == slabs.read_bytes()

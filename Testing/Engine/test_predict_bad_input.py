"""`predict` and what it may be given: a correct result or one sentence, and nothing half-written either way."""

from __future__ import annotations

import errno
import gzip
import itertools
import multiprocessing
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from torch import nn

from SegAutoPlanLib.__main__ import main
from SegAutoPlanLib.errors import StopRequested
from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.inference import load_model
from SegAutoPlanLib.pipeline.predict import PredictOptions, predict
from SegAutoPlanLib.progress import Reporter
from SegAutoPlanLib.workspace import Workspace

from .balls import SIZE, ball_case, plan_small, untrained_model, write_balls
from .raw_datasets import OBLIQUE, write_image

REPOSITORY = Path(__file__).resolve().parents[2]
UNIT = (1.0, 1.0, 1.0)
LEFT_HANDED = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
PATCH = 16


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[int, Path]:
    """By the number of channels; what they find is noise, but the same each time."""
    made = {}
    for channels in (1, 2):
        workspace = Workspace.at(tmp_path_factory.mktemp(f"{channels} channels ü"))
        names = {str(channel): f"MR{channel}" for channel in range(channels)}
        raw = write_balls(workspace.raw, cases=2, channel_names=names)
        for first, channel in itertools.product(sorted((raw / "imagesTr").iterdir()), range(1, channels)):
            shutil.copyfile(first, first.with_name(first.name.replace("_0000", f"_{channel:04d}")))
        plan_small(workspace, patch=PATCH)
        made[channels] = untrained_model(workspace)
    return made


@dataclass(frozen=True)
class Place:
    """A folder of images and one for results."""

    root: Path
    model: Path
    capsys: pytest.CaptureFixture

    @property
    def images(self) -> Path:
        return self.root / "in"

    @property
    def output(self) -> Path:
        return self.root / "out"

    def image(self, array: np.ndarray, case: str = "a", channel: int = 0, ending: str = ".nii.gz", **geometry) -> Path:
        path = self.images / f"{case}_{channel:04d}{ending}"
        return write_image(array, path, **{"spacing": UNIT, **geometry})

    def command(self, *inputs: Path) -> list[str]:
        given = [str(path) for path in inputs or (self.images,)]
        command = ["predict", "--model", str(self.model), "--input", *given, "--output", str(self.output)]
        return [*command, "--device", "cpu", "--workspace", str(self.root)]

    def segment(self, case: str = "a") -> sitk.Image:
        """The result."""
        assert main(self.command()) == 0, self.capsys.readouterr().err
        return sitk.ReadImage(str(self.output / f"{case}.nii.gz"))

    def refuse(self, *inputs: Path) -> str:
        """The sentence of the refusal, after which nothing is left."""
        self.capsys.readouterr()
        assert main(self.command(*inputs)) == 2
        said = [line for line in self.capsys.readouterr().err.splitlines() if line.startswith("segautoplan: ")]
        assert len(said) == 1
        self.require_nothing_left()
        return said[0]

    def require_nothing_left(self, but: tuple[str, ...] = ()) -> None:
        """No result but these, and nothing half-written, in any folder."""
        left = {path.name for path in self.output.rglob("*") if path.is_file()} if self.output.exists() else set()
        assert left - {"written.jsonl"} == set(but)


@pytest.fixture
def place(models, tmp_path, capsys) -> Place:
    return Place(tmp_path, models[1], capsys)


@pytest.fixture
def two_channels(models, tmp_path, capsys) -> Place:
    return Place(tmp_path, models[2], capsys)


def ball(*shape: int) -> np.ndarray:
    return ball_case(3, shape or (SIZE,) * 3)[0]


def labels_of(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


def test_a_missing_channel_is_named(two_channels):
    two_channels.image(ball())
    assert "segautoplan: a: The image has 1 channel" in two_channels.refuse()
    for channel in range(2):
        two_channels.image(ball(), "b", channel)
    assert "a_0001.nii.gz: this channel of a is missing" in two_channels.refuse()


@pytest.mark.parametrize(("given", "needed"), [(2, 1), (1, 2), (3, 2)])
def test_another_number_of_files_than_channels_is_counted(models, tmp_path, capsys, given, needed):
    place = Place(tmp_path, models[needed], capsys)
    files = [place.image(ball(), channel=channel) for channel in range(given)]
    sentence = place.refuse(*files)
    assert f"{given} channel" in sentence or f"{needed} channel" in sentence


@pytest.mark.parametrize(
    "other",
    [
        {"array": ball(SIZE, SIZE, SIZE - 1)},
        {"spacing": (1.0, 1.0, 1.5)},
    ],
)
def test_channels_on_different_grids_are_named(two_channels, other):
    two_channels.image(ball())
    two_channels.image(**{"array": ball(), **other}, channel=1)
    assert "a_0001.nii.gz" in two_channels.refuse()


@pytest.mark.parametrize("shape", [(5, 7, 6), (1, SIZE, SIZE), (PATCH + 3, 9, PATCH)])
def test_a_volume_smaller_than_a_patch_is_seen_amid_zeros(place, shape):
    array = ball(*shape)
    place.image(array)
    found = labels_of(place.segment())
    # By hand: the voxels are those of the plan, so that there is nothing to resample.
    values = torch.from_numpy((array - array.mean()) / array.std()).float()
    around = [(max(PATCH - size, 0) // 2, max(PATCH - size, 0) - max(PATCH - size, 0) // 2) for size in shape]
    padded = nn.functional.pad(values, [edge for pair in reversed(around) for edge in pair])
    if padded.shape != (PATCH,) * 3:
        assert found.shape == shape
        return
    with torch.no_grad():
        logits = load_model(place.model).build(0)(padded[None, None])[0]
    inside = tuple(slice(low, low + size) for (low, _), size in zip(around, shape, strict=True))
    np.testing.assert_array_equal(found, logits.argmax(0)[inside].numpy())


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 20.0), (20.0, 1.0, 1.0), (0.05, 1.0, 1.0)])
def test_voxels_twenty_times_as_long_as_wide_come_back_on_their_grid(place, spacing):
    shape = tuple(4 if edge == 20 else 12 for edge in reversed(spacing))
    source = sitk.ReadImage(str(place.image(ball(*shape), spacing=spacing)))
    result = place.segment()
    assert (result.GetSize(), result.GetSpacing()) == (source.GetSize(), source.GetSpacing())
    assert set(np.unique(labels_of(result))) <= {0, 1, 2}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("everywhere", [False, True])
def test_values_that_are_no_numbers_are_named(place, value, everywhere):
    array = ball().astype(np.float32)
    array[tuple(slice(None) if everywhere else 5 for _ in array.shape)] = value
    place.image(array)
    assert "a_0000.nii.gz" in place.refuse()


def test_an_image_of_one_value_everywhere_is_segmented(place):
    place.image(np.full((SIZE,) * 3, 7, np.int16))
    assert labels_of(place.segment()).shape == (SIZE,) * 3


def test_a_fourth_axis_is_channels_and_too_many_are_refused(place):
    four_dimensional(place.images / "a_0000.nii.gz", ball(), ball())
    assert "2 channel" in place.refuse()


def test_a_fourth_axis_is_channels_and_as_many_as_needed_are_segmented(two_channels):
    one, other = ball(), ball_case(4)[0]
    file = four_dimensional(two_channels.images / "a_0000.nii.gz", one, other)
    assert main(two_channels.command(file)) == 0
    together = labels_of(sitk.ReadImage(str(two_channels.output / "a.nii.gz")))
    file.unlink()
    two_channels.image(one, "b")
    two_channels.image(other, "b", channel=1)
    np.testing.assert_array_equal(labels_of(two_channels.segment("b")).squeeze(), together.squeeze())


def four_dimensional(path: Path, *volumes: np.ndarray) -> Path:
    path.parent.mkdir()
    sitk.WriteImage(sitk.JoinSeries([sitk.GetImageFromArray(volume) for volume in volumes]), str(path))
    return path


def test_a_fifth_axis_is_refused(place):
    write_nifti(place.images / "a_0000.nii.gz", (5, 4, 4, 4, 2, 2))
    assert "a_0000.nii.gz" in place.refuse()


@pytest.mark.parametrize("sizes", [(3, 0, 16, 16), (3, 16, 16, 0), (3, 0, 0, 0)])
def test_a_volume_without_voxels_is_named(place, sizes):
    write_nifti(place.images / "a_0000.nii.gz", sizes)
    assert "a_0000.nii.gz" in place.refuse()


def write_nifti(path: Path, sizes: tuple[int, ...]) -> None:
    """One whose header has these sizes, the first of them the number of axes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, *sizes, *[1] * (8 - len(sizes)))
    struct.pack_into("<2h", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, *[1.0] * 8)
    struct.pack_into("<2f", header, 108, 352, 1)
    header[344:348] = b"n+1\0"
    voxels = int(np.prod(sizes[1:]))
    path.write_bytes(gzip.compress(bytes(header) + bytes(2 * voxels)))


@pytest.mark.parametrize("direction", [OBLIQUE, LEFT_HANDED])
def test_the_direction_changes_nothing_and_comes_back(place, direction):
    place.image(ball(), "straight")
    source = sitk.ReadImage(str(place.image(ball(), "turned", direction=direction)))
    straight = labels_of(place.segment("straight"))
    turned = sitk.ReadImage(str(place.output / "turned.nii.gz"))
    np.testing.assert_array_equal(labels_of(turned), straight)
    assert turned.GetDirection() == source.GetDirection()
    assert (turned.GetOrigin(), turned.GetSpacing()) == (source.GetOrigin(), source.GetSpacing())


def test_weights_of_another_plan_are_named(place, tmp_path):
    model = Path(shutil.copytree(place.model, tmp_path / place.model.name))
    plans = read_json(model / "plans.json")
    plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]["features_per_stage"] = [8, 16, 24]
    write_json(model / "plans.json", plans)
    place.image(ball())
    assert "checkpoint_final.pth" in Place(tmp_path, model, place.capsys).refuse()


@pytest.mark.skipif(os.name != "posix", reason="NOT TESTED: Windows has no read-only folders")
def test_a_folder_that_is_read_only_is_named(place):
    place.image(ball())
    place.output.mkdir(mode=0o555)
    place.root.chmod(0o755)
    # Root may write everywhere, and a process cannot take its rights back.
    code = (
        "import sys; from SegAutoPlanLib.__main__ import main; from Testing.Attack.privileges import obey_permissions; "
        "obey_permissions(); sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *place.command()], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert str(place.output) in done.stderr
    assert "Traceback" not in done.stderr
    place.require_nothing_left()


@pytest.mark.parametrize("full_at", ["a.npz", "a.pkl", "a.nii.gz", "dataset.json", "plans.json"])
def test_a_disk_that_fills_leaves_no_half_of_a_result(place, monkeypatch, full_at):
    """The disk is full when the file of that name is to take its place."""
    place.image(ball())
    replace = os.replace

    def full(source, target, *given, **named):
        if Path(target).name == full_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source))
        replace(source, target, *given, **named)

    monkeypatch.setattr(os, "replace", full)
    code = main([*place.command(), "--save-probabilities"])
    said = place.capsys.readouterr().err
    assert code == 2
    assert "segautoplan: " in said
    there = {path.name for path in place.output.rglob("*") if path.is_file()} if place.output.exists() else set()
    assert not {name for name in there if name.startswith(".writing")}
    assert not there & {"a.nii.gz", "a.npz", "a.pkl"} or {"a.nii.gz", "a.npz", "a.pkl"} <= there
    monkeypatch.undo()
    assert main([*place.command(), "--save-probabilities", "--continue"]) == 0
    assert {"a.nii.gz", "a.npz", "a.pkl", "dataset.json", "plans.json"} <= {
        path.name for path in place.output.iterdir()
    }


class Stopping(Reporter):
    """Asks for a stop from one moment on, and counts how often it was asked before."""

    def __init__(self) -> None:
        self.now = False

    def stop_requested(self) -> bool:
        return self.now

    def at(self, function: Callable) -> Callable:
        """The function, when which is called the moment has come."""

        def call(*given, **named):
            self.now = True
            return function(*given, **named)

        return call


STAGES = {
    "reading": ("SegAutoPlanLib.images.image_io", "require_finite"),
    "preprocessing": ("SegAutoPlanLib.preprocessing.case", "normalize"),
    "the first tile": ("SegAutoPlanLib.networks.unet.UNet", "forward"),
    "exporting": ("SegAutoPlanLib.inference.segment", "export"),
    "writing": (sitk.ImageFileWriter, "Execute"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stop_at_any_stage_leaves_whole_results_and_is_continued(place, monkeypatch, stage):
    for case in "abc":
        place.image(ball(), case)
    reporter, before = Stopping(), threading.active_count()
    owner, name = STAGES[stage]
    if isinstance(owner, str):
        monkeypatch.setattr(f"{owner}.{name}", reporter.at(_named(owner, name)))
    else:
        monkeypatch.setattr(owner, name, reporter.at(getattr(owner, name)))
    options = {"input": [place.images], "output": place.output, "device": "cpu", "mirroring": False}
    with pytest.raises(StopRequested):
        predict(Workspace.at(place.root), PredictOptions(place.model, **options), reporter)
    assert reporter.now
    # Whoever reads ahead may finish the file that he has begun.
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before
    assert not multiprocessing.active_children()
    results = {path.name for path in place.output.rglob("*.nii.gz")} if place.output.exists() else set()
    assert results <= {"a.nii.gz", "b.nii.gz"}
    assert not list(place.root.rglob(".writing*"))
    monkeypatch.undo()
    predict(Workspace.at(place.root), PredictOptions(place.model, **options, skip_existing=True))
    first = labels_of(sitk.ReadImage(str(place.output / "a.nii.gz")))
    for case in "bc":
        np.testing.assert_array_equal(labels_of(sitk.ReadImage(str(place.output / f"{case}.nii.gz"))), first)


def _named(owner: str, name: str) -> Callable:
    import pkgutil

    return getattr(pkgutil.resolve_name(owner), name)

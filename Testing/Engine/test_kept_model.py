"""A model stays loaded from one prediction to the next, until another one is asked for or its files change."""

from __future__ import annotations

import os
import shutil
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.files import read_json
from SegAutoPlanLib.pipeline import predict as predict_module
from SegAutoPlanLib.pipeline.kept_model import KeptModel
from SegAutoPlanLib.pipeline.predict import PredictOptions, predict
from SegAutoPlanLib.runs import RunFolder, WarmWorker, WorkerSettings
from SegAutoPlanLib.workspace import Workspace


@pytest.fixture
def image(sound, tmp_path) -> Path:
    """One that is a tile of the model's network, without resampling."""
    file = tmp_path / "case_0000.nii.gz"
    made = sitk.GetImageFromArray(np.random.default_rng(3).normal(50, 100, (16, 16, 16)).astype(np.float32))
    made.SetSpacing(read_json(sound / "plans.json")["configurations"]["3d_fullres"]["spacing"][::-1])
    sitk.WriteImage(made, str(file))
    return file


class Loads(list):
    """Counts what is loaded; at each time the models that were loaded before must have gone."""

    def __call__(self, load, *given, **named):
        alive = [reference() for reference in self if reference() is not None]
        assert not alive, "the former model was still there"
        made = load(*given, **named)
        self.append(weakref.ref(made))
        return made


@pytest.fixture
def loads(monkeypatch) -> Loads:
    found, load = Loads(), predict_module.load_ensemble
    monkeypatch.setattr(predict_module, "load_ensemble", lambda *given, **named: found(load, *given, **named))
    return found


@pytest.fixture
def segment(tmp_path, image):
    kept = KeptModel()

    def run(model: Path, **options) -> np.ndarray:
        output = tmp_path / "out" / str(time.monotonic_ns())
        asked = PredictOptions(model, [options.pop("image", image)], output, mirroring=False, device="cpu", **options)
        [file] = predict(Workspace.at(tmp_path), asked, kept=kept).files
        return sitk.GetArrayFromImage(sitk.ReadImage(str(file)))

    return run


def test_the_second_prediction_loads_nothing_and_gives_the_same(model, segment, loads):
    first = segment(model)
    second = segment(model, save_probabilities=True)
    assert len(loads) == 1
    assert first.any()
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("options", [{"folds": (1,)}, {"step_size": 0.7}], ids=["other folds", "another step"])
def test_other_options_load_anew_after_the_former_model_has_gone(model, segment, loads, options):
    segment(model)
    segment(model, **options)
    segment(model, **options)
    assert len(loads) == 2


def test_another_model_takes_the_place_of_the_former(model, segment, loads, tmp_path):
    segment(model)
    segment(Path(shutil.copytree(model, tmp_path / "another" / model.name)))
    assert len(loads) == 2


def test_a_model_that_was_trained_further_is_loaded_anew(model, segment, loads):
    segment(model)
    checkpoint = model / "fold_0" / "checkpoint_final.pth"
    then = checkpoint.stat().st_mtime + 10
    os.utime(checkpoint, (then, then))
    segment(model)
    assert len(loads) == 2


def test_a_damaged_image_leaves_the_model_loaded(model, segment, loads, tmp_path):
    segment(model)
    damaged = tmp_path / "damaged_0000.nii.gz"
    damaged.write_bytes(b"no image")
    with pytest.raises(UserInputError, match="damaged_0000"):
        segment(model, image=damaged)
    segment(model)
    assert len(loads) == 1


def test_a_model_that_cannot_be_loaded_leaves_nothing_behind(model, segment, loads):
    (model / "fold_0" / "checkpoint_final.pth").write_bytes(b"no weights")
    for _ in range(2):
        with pytest.raises(UserInputError, match="checkpoint_final"):
            segment(model, folds=(0,))
    assert not loads


def test_the_process_that_stays_segments_as_one_that_is_started_for_it(model, segment, image, tmp_path):
    """The real one: two images with one model, then another model, then a wrong option, then the first model again."""
    expected = segment(model)
    other = Path(shutil.copytree(model, tmp_path / "another" / model.name))
    worker, settings = WarmWorker(), WorkerSettings(tmp_path / "runs", 60)

    def run(asked: Path, *options: str) -> tuple[RunFolder, Path]:
        output = tmp_path / f"result {time.monotonic_ns()}"
        files = ["--model", str(asked), "--input", str(image), "--output", str(output)]
        started = worker.start_run(["predict", *files, "--no-mirroring", *options], "segment", settings)
        limit = time.monotonic() + 120
        while worker.is_busy and time.monotonic() < limit:
            worker.poll()
            time.sleep(0.01)
        return started, output / "case.nii.gz"

    try:
        pids = set()
        for asked in (model, model, other, model):
            started, result = run(asked)
            assert started.state().status == "finished", started.log_tail()
            np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(result))), expected)
            pids.add(started.description().worker.pid)
        assert pids == {worker.pid}
        refused, _ = run(model, "--step-size", "7")
        assert "--step-size" in refused.state().message
        unknown, _ = run(model, "--no-such-option")
        assert unknown.state().status == "failed"
        assert "--no-such-option" in unknown.state().message
        assert pids == {worker.pid}
    finally:
        worker.close()

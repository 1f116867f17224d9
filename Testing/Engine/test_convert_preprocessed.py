"""What is preprocessed here trains nnU-Net, and what nnU-Net has preprocessed trains here."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from SegAutoPlanLib.dataset import load_dataset
from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.pipeline.convert_preprocessed import ConvertPreprocessedOptions, convert_preprocessed
from SegAutoPlanLib.pipeline.preprocess import PreprocessOptions, preprocess
from SegAutoPlanLib.planning import read_plan
from SegAutoPlanLib.preprocessing import open_preprocessed
from SegAutoPlanLib.preprocessing.case_geometry import CaseGeometry
from SegAutoPlanLib.training.samples import PatchDataset, SampleSource
from SegAutoPlanLib.workspace import Workspace

from .balls import NAME, plan_small, write_balls

blosc2 = pytest.importorskip("blosc2", reason="nnU-Net's preprocessed cases need blosc2")

CASES = ("ball_0", "ball_1", "ball_2")
FULL = "3d_fullres"
NNUNET_SIDE = Path(__file__).resolve().parents[1] / "Benchmarks" / "round_trip_nnunet.py"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Workspace:
    """Balls, preprocessed here and given to nnU-Net's folder beside the workspace. Not to be changed."""
    workspace = Workspace.at(tmp_path_factory.mktemp("convert ü"))
    write_balls(workspace.raw, len(CASES))
    plan_small(workspace)
    path = workspace.preprocessed / NAME / "nnUNetPlans.json"
    document = read_json(path)
    # So that cases are resampled, and differ between the configurations.
    document["configurations"][FULL]["spacing"] = [1.25, 1.0, 1.0]
    write_json(path, document)
    convert_preprocessed(workspace, ConvertPreprocessedOptions(NAME, to_nnunet=nnunets(workspace), workers=1))
    return workspace


@pytest.fixture
def fresh(prepared, tmp_path) -> Workspace:
    """A workspace with the raw data alone, and a copy of nnU-Net's folder beside it."""
    shutil.copytree(prepared.raw, tmp_path / "raw")
    shutil.copytree(nnunets(prepared), tmp_path / "nnunet")
    return Workspace.at(tmp_path)


def nnunets(workspace: Workspace) -> Path:
    return workspace.raw.parent / "nnunet"


def folder_of(preprocessed: Path, configuration: str = FULL) -> Path:
    return preprocessed / NAME / f"nnUNetPlans_{configuration}"


def take(workspace: Workspace, **named) -> None:
    options = {"from_nnunet": nnunets(workspace), "configurations": [FULL], "workers": 1, **named}
    convert_preprocessed(workspace, ConvertPreprocessedOptions(NAME, **options))


def batches_of(workspace: Workspace) -> list[torch.Tensor]:
    """Images and labels of some augmented samples."""
    configuration = read_plan(workspace.preprocessed / NAME / "nnUNetPlans.json").configuration(FULL)
    source = SampleSource(
        folder_of(workspace.preprocessed),
        CASES,
        configuration,
        0.33,
        augmentation="default",
        mirror_axes=(0, 1, 2),
        seed=3,
    )
    dataset = PatchDataset((source,))
    return [tensor for number in range(6) for tensor in dataset[0, number]]


def as_npz(workspace: Workspace) -> None:
    """nnU-Net's files of its versions before 2.6."""
    folder = folder_of(nnunets(workspace))
    for case in CASES:
        image, labels = (blosc2.open(str(folder / f"{case}{end}.b2nd"), mode="r")[:] for end in ("", "_seg"))
        np.savez_compressed(folder / f"{case}.npz", data=image, seg=labels)
        for end in ("", "_seg"):
            (folder / f"{case}{end}.b2nd").unlink()


def test_nnunets_files_hold_the_same_arrays(prepared):
    for configuration in ("2d", FULL):
        for case in CASES:
            ours = open_preprocessed(folder_of(prepared.preprocessed, configuration), case, (0, 1, 2))
            path = folder_of(nnunets(prepared), configuration) / case
            image = blosc2.open(f"{path}.b2nd", mode="r")
            labels = blosc2.open(f"{path}_seg.b2nd", mode="r")
            np.testing.assert_array_equal(image[:], ours.data)
            np.testing.assert_array_equal(labels[:], ours.segmentation[None])
            assert (image.dtype, labels.dtype) == (np.float32, np.int8)


def test_nnunets_properties_say_what_training_asks(prepared):
    for case in CASES:
        ours = open_preprocessed(folder_of(prepared.preprocessed), case, (0, 1, 2))
        properties = pickle.loads((folder_of(nnunets(prepared)) / f"{case}.pkl").read_bytes())
        assert CaseGeometry.from_nnunet(properties, (0, 1, 2)) == ours.geometry
        for label, voxels in properties["class_locations"].items():
            assert voxels.shape[1] == 4
            assert (ours.segmentation[tuple(voxels[:, 1:].T)] == label).all()


def test_nnunet_finds_one_kind_of_files_and_what_it_trains_by(prepared):
    endings = {path.suffix for path in folder_of(nnunets(prepared)).iterdir()}
    assert endings == {".b2nd", ".pkl"}
    there = {path.name for path in (nnunets(prepared) / NAME).iterdir() if not path.name.startswith(".")}
    documents = {"dataset.json", "dataset_fingerprint.json", "nnUNetPlans.json", "splits_final.json"}
    assert there == {*documents, "gt_segmentations", "nnUNetPlans_2d", f"nnUNetPlans_{FULL}"}


def test_what_is_there_already_is_not_written_again(prepared):
    files = sorted(folder_of(nnunets(prepared)).iterdir())
    before = [file.stat().st_mtime_ns for file in files]
    convert_preprocessed(prepared, ConvertPreprocessedOptions(NAME, to_nnunet=nnunets(prepared), workers=1))
    assert [file.stat().st_mtime_ns for file in files] == before


@pytest.mark.parametrize("packed", [False, True])
def test_batches_of_nnunets_cases_are_those_of_our_own(prepared, fresh, packed):
    if packed:
        as_npz(fresh)
    take(fresh)
    for mine, theirs in zip(batches_of(prepared), batches_of(fresh), strict=True):
        assert torch.equal(mine, theirs)
    # Nothing is left to be preprocessed: training begins at once.
    before = {path: path.stat().st_mtime_ns for path in folder_of(fresh.preprocessed).glob("*.safetensors")}
    preprocess(fresh, PreprocessOptions(NAME, configurations=[FULL], workers=1))
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_way_back_to_the_images_is_known_too(prepared, fresh):
    take(fresh)
    for case in CASES:
        mine, theirs = (
            open_preprocessed(folder_of(one.preprocessed), case, (0, 1, 2)).geometry for one in (prepared, fresh)
        )
        assert mine == theirs


def test_nnunets_pickles_are_not_read(fresh):
    for path in folder_of(nnunets(fresh)).glob("*.pkl"):
        path.write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    take(fresh)
    assert not Path("opened").exists()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("ball_0.b2nd", np.zeros((1, 24, 24, 24), np.float32), "has an image of 1 × 24 × 24 × 24 values"),
        ("ball_0.b2nd", np.zeros((2, 19, 24, 24), np.float32), "has an image of 2 × 19 × 24 × 24 values"),
        ("ball_0.b2nd", np.zeros((1, 19, 24, 24), np.float64), "has an image of the type float64"),
        ("ball_0.b2nd", np.full((1, 19, 24, 24), np.nan, np.float32), "holds values that are no finite numbers"),
        ("ball_0_seg.b2nd", np.zeros((1, 19, 24, 24), np.float32), "has labels of the type float32"),
        ("ball_0_seg.b2nd", np.full((1, 19, 24, 24), 1 << 16, np.int32), "has labels of the type int32"),
        ("ball_0_seg.b2nd", np.full((1, 19, 24, 24), 9, np.int8), "holds the label 9"),
        ("ball_0_seg.b2nd", np.full((1, 19, 24, 24), -2, np.int8), "holds the label -2"),
        ("ball_0_seg.b2nd", np.zeros((19, 24, 24), np.int8), "has labels of 19 × 24 × 24 values"),
        ("ball_0.b2nd", b"nothing of blosc2", "is not a preprocessed case as nnU-Net writes it"),
        ("ball_0.b2nd", None, "does not exist"),
        ("ball_0_seg.b2nd", None, "does not exist"),
    ],
)
def test_a_file_that_is_not_what_the_plan_makes_is_refused(fresh, name, content, sentence):
    path = folder_of(nnunets(fresh)) / name
    path.unlink()
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else blosc2.asarray(content).to_cframe())
    with pytest.raises(UserInputError, match=f"{name}: .*{sentence}"):
        take(fresh)
    assert not list(folder_of(fresh.preprocessed).glob("ball_0*"))
    assert not list(folder_of(fresh.preprocessed).glob(".writing*"))


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"data": np.zeros((1, 19, 24, 24), np.float32)}, "is not a preprocessed case"),
        ({"data": np.zeros((1, 9), np.float32), "seg": np.zeros((1, 9), np.int8)}, "has an image of 1 × 9 values"),
        ({"data": np.array([{}]), "seg": np.array([{}])}, "has an image of 1 values"),
        (b"PK no archive", "is not a preprocessed case"),
    ],
)
def test_an_npz_that_is_not_what_the_plan_makes_is_refused(fresh, arrays, sentence):
    as_npz(fresh)
    path = folder_of(nnunets(fresh)) / "ball_0.npz"
    if isinstance(arrays, bytes):
        path.write_bytes(arrays)
    else:
        np.savez(path, **arrays)
    with pytest.raises(UserInputError, match=rf"ball_0\.npz: .*{sentence}"):
        take(fresh)


def test_another_plan_of_the_same_name_is_not_replaced(fresh):
    shutil.copytree(nnunets(fresh), fresh.preprocessed, ignore=lambda *_: [])
    path = fresh.preprocessed / NAME / "nnUNetPlans.json"
    document = read_json(path)
    document["configurations"][FULL]["spacing"] = [2.0, 1.0, 1.0]
    write_json(path, document)
    with pytest.raises(UserInputError, match="makes other cases of 3d_fullres"):
        take(fresh)
    assert read_json(path) == document


def test_nnunets_cases_are_not_written_among_our_own(prepared):
    options = ConvertPreprocessedOptions(NAME, to_nnunet=prepared.preprocessed)
    with pytest.raises(UserInputError, match="is where this workspace keeps its own cases"):
        convert_preprocessed(prepared, options)


@pytest.mark.parametrize("converted", [False, True])
def test_in_a_folder_of_both_nnunet_still_finds_one_kind_of_files(prepared, fresh, converted):
    """The variable nnUNet_preprocessed makes it the folder of both programs."""
    shared = Workspace(fresh.raw, nnunets(fresh), fresh.results, fresh.runs)
    if converted:
        take(shared, from_nnunet=shared.preprocessed)
    folders = preprocess(shared, PreprocessOptions(NAME, configurations=[FULL], workers=1)).folders
    assert {path.suffix for path in folder_of(shared.preprocessed).iterdir() if path.is_file()} == {".b2nd", ".pkl"}
    for case in CASES:
        mine, theirs = (
            open_preprocessed(folder, case, (0, 1, 2)) for folder in (folder_of(prepared.preprocessed), folders[FULL])
        )
        np.testing.assert_array_equal(mine.data, theirs.data)


def test_a_folder_of_other_files_is_refused(prepared, tmp_path):
    folder_of(tmp_path).mkdir(parents=True)
    (folder_of(tmp_path) / "notes.txt").touch()
    with pytest.raises(UserInputError, match=r"notes\.txt: is a file beside which nnU-Net reads no cases"):
        convert_preprocessed(prepared, ConvertPreprocessedOptions(NAME, to_nnunet=tmp_path, configurations=[FULL]))


def test_one_way_is_asked_for():
    for ways in ({}, {"to_nnunet": Path("a"), "from_nnunet": Path("b")}):
        with pytest.raises(UserInputError, match="give one of the two"):
            ConvertPreprocessedOptions(NAME, **ways)


def test_without_blosc2_the_sentence_says_what_to_install(prepared, monkeypatch, tmp_path):
    monkeypatch.setattr("SegAutoPlanLib.pipeline.convert_preprocessed.blosc2_is_installed", lambda: False)
    with pytest.raises(UserInputError, match="pip install blosc2"):
        convert_preprocessed(prepared, ConvertPreprocessedOptions(NAME, to_nnunet=tmp_path))


@dataclass(frozen=True)
class Nnunet:
    """The real one, in an environment of its own."""

    python: str
    folder: Path

    def __call__(self, work: str, preprocessed: Path, raw: Path, **task) -> None:
        file = self.folder / "task.json"
        file.write_text(json.dumps({"dataset": NAME, "plans": "nnUNetPlans", "configuration": FULL, **task}))
        folders = {"nnUNet_raw": raw, "nnUNet_preprocessed": preprocessed, "nnUNet_results": self.folder / "results"}
        own = {"nnUNet_n_proc_DA": "0", "nnUNet_def_n_proc": "1", "nnUNet_compile": "f", "OMP_NUM_THREADS": "1"}
        environment = {**os.environ, **own, **{name: str(path) for name, path in folders.items()}}
        command = [self.python, str(NNUNET_SIDE), work, str(file)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture
def nnunet(tmp_path) -> Nnunet:
    python = os.environ.get("NNUNET_PYTHON")
    if not python:
        pytest.skip("the real nnU-Net is asked only where NNUNET_PYTHON names an interpreter with nnunetv2")
    return Nnunet(python, tmp_path)


def test_nnunet_trains_on_what_is_preprocessed_here(prepared, nnunet):
    nnunet("train", nnunets(prepared), prepared.raw, steps=2, seed=1)
    assert list(nnunet.folder.rglob("fold_all/checkpoint_final.pth"))


def test_what_nnunet_has_preprocessed_trains_here(prepared, fresh, nnunet):
    nnunet("preprocess", nnunets(fresh), fresh.raw)
    take(fresh)
    for mine, theirs in zip(batches_of(prepared), batches_of(fresh), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
    assert load_dataset(fresh.raw / NAME).cases

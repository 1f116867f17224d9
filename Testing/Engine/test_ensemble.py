"""`ensemble` gives what nnU-Net's gives, and believes no file that is not what it says."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.files import read_json
from SegAutoPlanLib.inference.complete_results import is_complete_npz
from SegAutoPlanLib.inference.probabilities_file import read_heads, writing_heads
from SegAutoPlanLib.pipeline.ensemble import EnsembleOptions, ensemble
from SegAutoPlanLib.progress import CallbackReporter
from SegAutoPlanLib.workspace import Workspace
from Testing.Fixtures.probability_folders import CASES, FOLDERS, KINDS, SHAPE, write_folders

RECORDED = Path(__file__).resolve().parents[1] / "Fixtures" / "ensemble.npz"
HERE = Workspace.at(Path())


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    write_folders(folder, "labels")
    return folder


@pytest.fixture
def folders(sound, tmp_path) -> tuple[Path, Path]:
    """Copies that a test may spoil."""
    return tuple(shutil.copytree(sound / name, tmp_path / name) for name in FOLDERS)


def run(folders, output: Path, **options) -> list[str]:
    return [file.name for file in ensemble(HERE, EnsembleOptions(input=folders, output=output, **options)).files]


def test_it_equals_nnunets_to_the_bit(kind, tmp_path):
    folders = write_folders(tmp_path, kind)
    assert run(folders, tmp_path / "out", save_probabilities=True) == ["one.nii.gz", "two.nii.gz"]
    with np.load(RECORDED) as recorded:
        for case in CASES:
            image = sitk.ReadImage(str(tmp_path / "out" / f"{case}.nii.gz"))
            np.testing.assert_array_equal(sitk.GetArrayFromImage(image), recorded[f"{kind}/{case}/labels"])
            np.testing.assert_allclose(image.GetOrigin(), recorded[f"{kind}/{case}/origin"])
            np.testing.assert_allclose(image.GetDirection(), recorded[f"{kind}/{case}/direction"])
            found = np.load(tmp_path / "out" / f"{case}.npz")["probabilities"]
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, recorded[f"{kind}/{case}/probabilities"])


def test_what_belongs_to_the_results_goes_along(folders, tmp_path):
    run(folders, tmp_path / "out", save_probabilities=True, workers=1)
    files = {file.name for file in (tmp_path / "out").iterdir() if file.name[0] != "."}
    assert files == {f"{case}{end}" for case in CASES for end in (".nii.gz", ".npz", ".pkl")} | {
        "dataset.json",
        "plans.json",
    }
    assert read_json(tmp_path / "out" / "dataset.json") == read_json(folders[0] / "dataset.json")
    # Such a folder is itself one that can be averaged.
    assert run([tmp_path / "out", *folders], tmp_path / "three") == ["one.nii.gz", "two.nii.gz"]


def test_a_folder_without_a_plan_is_read_by_its_file_ending(folders, tmp_path):
    run(folders, tmp_path / "with")
    (folders[0] / "plans.json").unlink()
    run(folders, tmp_path / "without")
    for case in CASES:
        pair = [sitk.ReadImage(str(tmp_path / name / f"{case}.nii.gz")) for name in ("with", "without")]
        np.testing.assert_array_equal(*map(sitk.GetArrayFromImage, pair))
    assert not (tmp_path / "without" / "plans.json").exists()


def test_its_own_results_are_replaced_and_those_of_others_are_not(folders, tmp_path):
    run(folders, tmp_path / "out")
    run(folders, tmp_path / "out")
    (tmp_path / "out" / "one.nii.gz").write_bytes((folders[0] / "two.nii.gz").read_bytes())
    with pytest.raises(UserInputError, match=r"one\.nii\.gz: was changed"):
        run(folders, tmp_path / "out")
    run(folders, tmp_path / "out", overwrite=True)
    with pytest.raises(UserInputError, match="holds the files that are read"):
        run(folders, folders[1], overwrite=True)


def test_other_cases_are_named(folders, tmp_path):
    (folders[1] / "two.npz").unlink()
    with pytest.raises(UserInputError, match=r"b: has no two\.npz, which another folder has; segment the same cases"):
        run(folders, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_grid_is_no_ensemble(folders, tmp_path):
    image = sitk.ReadImage(str(folders[1] / "one.nii.gz"))
    image.SetOrigin((0.0, 0.0, 0.0))
    sitk.WriteImage(image, str(folders[1] / "one.nii.gz"))
    with pytest.raises(UserInputError, match=r"b/one\.nii\.gz: its origin is .* away from one\.nii\.gz"):
        run(folders, tmp_path / "out")


def test_a_damaged_case_leaves_the_earlier_ones_and_nothing_half_written(folders, tmp_path):
    file = folders[1] / "two.npz"
    file.write_bytes(file.read_bytes()[:-300])
    with pytest.raises(UserInputError, match=r"two\.npz: is damaged or no archive of probabilities"):
        run(folders, tmp_path / "out", workers=1, save_probabilities=True)
    left = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert left == {"one.nii.gz", "one.npz", "one.pkl", "dataset.json", "plans.json", "written.jsonl"}


def test_a_stop_leaves_whole_results(folders, tmp_path):
    told = []
    reporter = CallbackReporter(told.append, lambda: any(one.done for one in told))
    with pytest.raises(StopRequested):
        ensemble(HERE, EnsembleOptions(input=folders, output=tmp_path / "out", workers=1), reporter)
    assert {file.name for file in (tmp_path / "out").glob("*.nii.gz")} <= {"one.nii.gz", "two.nii.gz"}
    assert not list((tmp_path / "out").rglob(".writing*"))


def test_probabilities_are_written_as_numpy_writes_them(tmp_path):
    array = np.random.default_rng(0).uniform(0, 1, (3, *SHAPE)).astype(np.float32)
    with writing_heads(tmp_path / "x.npz", array.shape) as take:
        for head in array:
            take(head)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as content:
        np.testing.assert_array_equal(content["probabilities"], array)
    assert is_complete_npz(tmp_path / "x.npz")
    np.testing.assert_array_equal(list(read_heads(tmp_path / "x.npz", array.shape)), array)
    for stored in (np.asfortranarray(array), array.astype(">f4"), array.astype(np.float64)):
        np.savez(tmp_path / "y.npz", probabilities=stored)
        np.testing.assert_array_equal(list(read_heads(tmp_path / "y.npz", array.shape)), array)
    with pytest.raises(RuntimeError), writing_heads(tmp_path / "z.npz", array.shape):
        raise RuntimeError("half-way")
    assert not (tmp_path / "z.npz").exists()


def test_no_more_is_inflated_than_the_case_has_voxels(folders, tmp_path, monkeypatch):
    """A bomb is refused by its header and its length, before any of it is read."""
    np.savez_compressed(folders[1] / "one.npz", probabilities=np.zeros((3, 60, 800, 100), np.float32))
    monkeypatch.setattr("SegAutoPlanLib.inference.probabilities_file._values", lambda *_: pytest.fail("was inflated"))
    shutil.rmtree(folders[0])
    shutil.copytree(folders[1], folders[0])
    with pytest.raises(UserInputError, match=r"one\.npz: has the shape 3 × 60 × 800 × 100, and its case 3 classes"):
        run(folders, tmp_path / "out", workers=1)

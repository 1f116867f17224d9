"""`predict` replaces nothing that it did not write, and believes nothing that is not whole."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.inference.complete_results import (
    is_complete_npz,
    is_complete_pickle,
    is_complete_segmentation,
)
from SegAutoPlanLib.inference.results_folder import LOCK_FILE, OWN_FOLDER, ResultsFolder
from SegAutoPlanLib.locks import exclusive
from SegAutoPlanLib.pipeline.evaluate import EvaluateOptions, evaluate
from SegAutoPlanLib.pipeline.predict import PredictOptions, predict
from SegAutoPlanLib.workspace import Workspace

from .balls import ball_case, ball_workspace, untrained_model
from .raw_datasets import write_image

CASES = ("a", "b", "c")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    workspace = ball_workspace(tmp_path_factory.mktemp("model"))
    return untrained_model(workspace)


@pytest.fixture
def place(model, tmp_path):
    """Three images, a model, and what predicts the one with the other."""
    for seed, name in enumerate(CASES):
        write_image(ball_case(seed)[0], tmp_path / "in" / f"{name}_0000.nii.gz")
    return Place(model, tmp_path)


class Place:
    def __init__(self, model: Path, root: Path) -> None:
        self.model, self.images, self.output = model, root / "in", root / "out"

    def predict(self, *inputs: Path, **options) -> list[str]:
        given = {"output": self.output, "device": "cpu", "mirroring": False, **options}
        done = predict(Workspace.at(self.images), PredictOptions(self.model, inputs or [self.images], **given))
        return [file.name for file in done.files]

    def results(self) -> dict[str, bytes]:
        """Every file of the output folder that is not hidden."""
        return {path.name: path.read_bytes() for path in sorted(self.output.iterdir()) if path.name[0] != "."}


def correct(file: Path) -> bytes:
    """Somebody corrects a result by hand, and saves it under its name."""
    image = sitk.ReadImage(str(file))
    array = sitk.GetArrayFromImage(image)
    array[:] = 1
    corrected = sitk.GetImageFromArray(array)
    corrected.CopyInformation(image)
    sitk.WriteImage(corrected, str(file))
    return file.read_bytes()


@contextlib.contextmanager
def without_weights(model: Path):
    """A model whose weights cannot be read: what is refused within was refused before they were looked at."""
    weights = model / "fold_0" / "checkpoint_final.pth"
    content = weights.read_bytes()
    weights.write_bytes(b"no weights")
    try:
        yield
    finally:
        weights.write_bytes(content)


def test_results_and_what_belongs_to_them_is_all_that_is_there(place):
    assert place.predict() == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]
    assert list(place.results()) == ["a.nii.gz", "b.nii.gz", "c.nii.gz", "dataset.json", "plans.json"]
    (part,) = (place.output / OWN_FOLDER).iterdir()
    assert [file.name for file in part.iterdir()] == ["written.jsonl"]


@pytest.mark.parametrize("continued", [False, True])
@pytest.mark.parametrize("name", ["a.nii.gz", "other.nii.gz", "dataset.json", "notes.txt", "plans.json"])
def test_a_folder_of_others_is_refused_before_the_weights_are_read(place, name, continued):
    place.output.mkdir()
    write_image(ball_case(0)[1], place.output / "x.nii.gz")
    (place.output / "x.nii.gz").rename(place.output / name)
    before = place.results()
    with (
        without_weights(place.model),
        pytest.raises(UserInputError, match=f"holds files that predict did not write .{name}.*--overwrite") as refused,
    ):
        place.predict(skip_existing=continued)
    assert str(place.output) in str(refused.value)
    assert [path.name for path in place.output.iterdir()] == [name]
    assert place.results() == before


def test_overwrite_works_there_and_leaves_other_names_alone(place):
    place.output.mkdir()
    for name in ("a.nii.gz", "notes.txt"):
        (place.output / name).write_text("somebody's")
    assert place.predict(overwrite=True) == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]
    assert (place.output / "notes.txt").read_text() == "somebody's"
    assert is_complete_segmentation(place.output / "a.nii.gz", place.images / "a_0000.nii.gz", "SimpleITKIO")


def test_its_own_results_are_replaced_without_asking_and_become_the_same(place):
    place.predict(save_probabilities=True)
    before = place.results()
    place.predict(save_probabilities=True)
    assert set(place.results()) == set(before)
    assert place.results()["a.nii.gz"] == before["a.nii.gz"]


def test_cases_join_those_of_earlier_runs(place):
    for name in CASES:
        assert place.predict(place.images / f"{name}_0000.nii.gz") == [f"{name}.nii.gz"]
    assert len(place.results()) == 5


def test_a_corrected_result_is_never_replaced_unless_that_is_said(place):
    place.predict()
    corrected = correct(place.output / "b.nii.gz")
    with pytest.raises(UserInputError, match=r"b\.nii\.gz: was changed after predict had written it; .*--overwrite"):
        place.predict()
    assert place.predict(skip_existing=True) == []
    assert (place.output / "b.nii.gz").read_bytes() == corrected
    # Who segments another case is not kept from it.
    assert place.predict(place.images / "a_0000.nii.gz") == ["a.nii.gz"]
    place.predict(overwrite=True)
    assert (place.output / "b.nii.gz").read_bytes() != corrected


def test_a_copied_folder_is_still_ones_own(place, tmp_path):
    place.predict()
    shutil.copytree(place.output, tmp_path / "copy", copy_function=shutil.copyfile)
    assert place.predict(output=tmp_path / "copy", skip_existing=True) == []
    assert len(place.predict(output=tmp_path / "copy")) == 3


def test_what_later_verbs_and_file_managers_leave_is_in_nobodys_way(place):
    place.predict()
    references = place.output.parent / "references"
    for seed, name in enumerate(CASES):
        write_image(ball_case(seed)[1], references / f"{name}.nii.gz")
    for output in (None, place.output / "second opinion.json"):
        evaluate(Workspace.at(references), EvaluateOptions(references, place.output, output=output))
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", f".writing_{'0' * 32}.nii.gz"):
        (place.output / name).touch()
    (place.output / "screenshots").mkdir()
    assert len(place.predict()) == 3


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def flipped(file: Path) -> None:
    """One bit in the middle, and the time as it was."""
    status, content = file.stat(), bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    ("spoil", "ending"),
    [
        *itertools.product((truncated, emptied, Path.unlink), (".nii.gz", ".npz", ".pkl")),
        # A pickle has no checksum of its own, and is not unpickled.
        *itertools.product((flipped,), (".nii.gz", ".npz")),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_continuing_makes_again_what_is_not_whole(place, spoil, ending):
    place.predict(save_probabilities=True)
    sound = place.results()
    spoil(place.output / f"b{ending}")
    assert place.predict(save_probabilities=True, skip_existing=True) == ["b.nii.gz"]
    assert place.results()["b.nii.gz"] == sound["b.nii.gz"]
    assert place.results()["b.pkl"] == sound["b.pkl"]
    assert is_complete_npz(place.output / "b.npz")


@pytest.mark.parametrize("spoil", [truncated, emptied], ids=lambda spoil: spoil.__name__)
def test_a_damaged_result_is_nobodys_correction(place, spoil):
    place.predict()
    spoil(place.output / "b.nii.gz")
    assert len(place.predict()) == 3


def test_continuing_in_a_folder_of_others_believes_them_only_when_told(place):
    place.predict()
    shutil.rmtree(place.output / OWN_FOLDER)
    truncated(place.output / "c.nii.gz")
    kept = place.results()["a.nii.gz"]
    with pytest.raises(UserInputError, match="--overwrite, where --continue keeps complete segmentations"):
        place.predict(skip_existing=True)
    assert place.predict(skip_existing=True, overwrite=True) == ["c.nii.gz"]
    assert place.results()["a.nii.gz"] == kept


def test_an_empty_file_of_a_results_name_is_made_when_continuing(place):
    place.output.mkdir()
    (place.output / "b.nii.gz").touch()
    assert place.predict(skip_existing=True) == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]


def test_a_segmentation_of_another_size_is_no_complete_one(place):
    place.output.mkdir()
    write_image(ball_case(0, (9, 24, 24))[1], place.output / "a.nii.gz")
    assert "a.nii.gz" in place.predict(skip_existing=True, overwrite=True)


def test_continuing_with_another_model_is_refused(place, tmp_path):
    place.predict(place.images / "a_0000.nii.gz")
    shutil.copytree(place.model, tmp_path / "other")
    plans = read_json(tmp_path / "other" / "plans.json")
    plans["configurations"]["3d_fullres"]["batch_size"] = 7
    write_json(tmp_path / "other" / "plans.json", plans)
    place.model = tmp_path / "other"
    with pytest.raises(UserInputError, match=r"plans\.json: is of another model"):
        place.predict(skip_existing=True)
    assert place.predict(skip_existing=True, overwrite=True) == ["b.nii.gz", "c.nii.gz"]


def test_continuing_a_finished_folder_brings_its_description_back(place):
    place.predict()
    (place.output / "plans.json").unlink()
    assert place.predict(skip_existing=True) == []
    assert (place.output / "plans.json").is_file()


@pytest.mark.parametrize("overwrite", [False, True])
def test_no_result_ever_goes_where_its_images_or_its_model_are(place, overwrite):
    before = {path: path.read_bytes() for path in place.images.iterdir()}
    for output in (place.images, place.images / ".." / "in"):
        with pytest.raises(UserInputError, match="holds the files that are read"):
            place.predict(output=output, overwrite=overwrite)
    with pytest.raises(UserInputError, match="holds the files that are read"):
        place.predict(output=place.model, overwrite=overwrite)
    assert {path: path.read_bytes() for path in place.images.iterdir()} == before


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED on Windows: links need a privilege there")
def test_an_image_under_another_name_is_still_an_image(place):
    place.output.mkdir()
    os.link(place.images / "a_0000.nii.gz", place.output / "b.nii.gz")
    os.symlink(place.images, place.output.parent / "same")
    with pytest.raises(UserInputError, match="would be replaced by what is made from it"):
        place.predict(overwrite=True)
    with pytest.raises(UserInputError, match="holds the files that are read"):
        place.predict(output=place.output.parent / "same", overwrite=True)


def test_images_of_a_name_that_results_have_stay(place):
    write_image(ball_case(0)[0], place.output / "a.nii.gz")
    before = (place.output / "a.nii.gz").read_bytes()
    with pytest.raises(UserInputError, match="holds the files that are read"):
        place.predict(place.output / "a.nii.gz", overwrite=True)
    assert (place.output / "a.nii.gz").read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED on Windows: links and pipes")
@pytest.mark.parametrize("kind", ["file", "dangling", "circle", "pipe", "below a file", "a folder as result"])
def test_an_output_that_is_no_folder_is_one_sentence(place, kind):
    output = place.output
    if kind == "file":
        output.touch()
    elif kind == "dangling":
        output.symlink_to("nowhere")
    elif kind == "circle":
        output.symlink_to(output)
    elif kind == "pipe":
        os.mkfifo(output)
    elif kind == "below a file":
        output.touch()
        output /= "below"
    else:
        (output / "a.nii.gz").mkdir(parents=True)
    with pytest.raises(UserInputError, match=str(place.output)):
        place.predict(output=output, overwrite=True)


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED on Windows: it has no such pipes")
@pytest.mark.parametrize("name", ["dataset.json", "a.nii.gz", "a.npz", "a.pkl", "notes.json"])
def test_nobody_waits_for_a_pipe_among_the_results(place, name):
    place.output.mkdir()
    os.mkfifo(place.output / name)
    with pytest.raises(UserInputError, match="did not write"):
        place.predict(save_probabilities=True)
    assert len(place.predict(save_probabilities=True, skip_existing=True, overwrite=True)) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED on Windows: links need a privilege there")
@pytest.mark.parametrize("planted", [OWN_FOLDER, f"{OWN_FOLDER}/part_1_of_1"])
def test_a_planted_record_leads_nowhere_else(place, planted, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("precious")
    link = place.output / planted
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "precious")
    with pytest.raises(UserInputError, match="is a link or a file where predict keeps its record"):
        place.predict()
    assert [path.name for path in (tmp_path / "precious").iterdir()] == ["file"]


def test_a_record_of_rubbish_makes_nothing_ones_own(place):
    place.output.mkdir()
    (place.output / "a.nii.gz").write_text("somebody's")
    record = place.output / OWN_FOLDER / "part_1_of_1" / "written.jsonl"
    record.parent.mkdir(parents=True)
    record.write_bytes(b'\x00\xff\n{"name": "a.nii.gz"}\n[]\n{"name": "a.nii.gz", "size": 1e400}\n{"name":')
    with pytest.raises(UserInputError, match="did not write"):
        place.predict()
    record.parent.joinpath("written.jsonl").unlink()
    record.mkdir()
    with pytest.raises(UserInputError, match=r"written\.jsonl"):
        place.predict()


def test_two_parts_share_a_folder_and_parts_that_overlap_do_not(place):
    place.predict(part=(1, 2))
    with exclusive(ResultsFolder(place.output, (1, 2)).workplace / LOCK_FILE, "predicting"):
        assert place.predict(part=(2, 2)) == ["b.nii.gz"]
        for part in ((1, 2), (1, 1), (1, 4), (3, 4), (1, 3)):
            with pytest.raises(UserInputError, match=f"goes on already: process {os.getpid()}"):
                place.predict(part=part)
        assert place.predict(part=(2, 4)) == ["b.nii.gz"]
    assert place.predict(skip_existing=True) == []


def test_a_run_that_fails_at_its_first_case_leaves_nothing(place):
    truncated(place.images / "a_0000.nii.gz")
    with pytest.raises(UserInputError, match=r"a_0000\.nii\.gz"):
        place.predict()
    assert not place.output.exists()


@pytest.fixture
def stacks(place, tmp_path):
    """The same place for 3-D TIFF stacks, whose spacing stands in a file beside them."""
    shutil.copytree(place.model, tmp_path / "model of stacks")
    place.model, place.images = tmp_path / "model of stacks", tmp_path / "stacks"
    for name, changes in (
        ("plans.json", {"image_reader_writer": "Tiff3DIO"}),
        ("dataset.json", {"file_ending": ".tif"}),
    ):
        write_json(place.model / name, {**read_json(place.model / name), **changes})
    write_image(ball_case(0)[0], place.images / "a_0000.tif")
    write_json(place.images / "a.json", {"spacing": [3.0, 2.0, 1.0]})
    return place


def test_a_file_that_belongs_beside_a_result_is_a_result_too(stacks):
    assert stacks.predict() == ["a.tif"]
    assert list(stacks.results()) == ["a.json", "a.tif", "dataset.json", "plans.json"]
    assert read_json(stacks.output / "a.json") == {"spacing": [3.0, 2.0, 1.0]}
    (stacks.output / "a.json").unlink()
    assert stacks.predict(skip_existing=True) == ["a.tif"]
    assert read_json(stacks.output / "a.json") == {"spacing": [3.0, 2.0, 1.0]}


def test_a_case_named_as_the_models_own_files_is_refused(stacks):
    (stacks.images / "a_0000.tif").rename(stacks.images / "dataset_0000.tif")
    with pytest.raises(UserInputError, match=r"dataset\.json: would be both a result and the model's own file"):
        stacks.predict()


def test_a_complete_file_is_told_from_one_that_was_cut(place):
    place.predict(save_probabilities=True)
    image = place.images / "a_0000.nii.gz"
    for ending, is_complete in (
        (".nii.gz", lambda file: is_complete_segmentation(file, image, "SimpleITKIO")),
        (".npz", is_complete_npz),
        (".pkl", is_complete_pickle),
    ):
        file = place.output / f"a{ending}"
        content = file.read_bytes()
        assert is_complete(file)
        for length in (0, 1, 10, len(content) // 2, len(content) - 9, len(content) - 1):
            file.write_bytes(content[:length])
            assert not is_complete(file), (ending, length)
        file.unlink()
        assert not is_complete(file)
        file.mkdir()
        assert not is_complete(file)


def test_an_archive_whose_array_is_shorter_than_it_says_is_not_complete(tmp_path):
    import zipfile

    np.savez_compressed(tmp_path / "good.npz", probabilities=np.zeros((2, 3, 4, 5), np.float32))
    assert is_complete_npz(tmp_path / "good.npz")
    with zipfile.ZipFile(tmp_path / "good.npz") as good:
        array = good.read("probabilities.npy")
    for name, content in (
        ("short", array[:-4]),
        ("long", array + b"1234"),
        ("text", b"text"),
        ("empty", b""),
        ("odd", array[:10] + b"(((" + array[13:]),
        ("odder", array[:10] + b"\n  x\n y" + array[18:]),
    ):
        with zipfile.ZipFile(tmp_path / f"{name}.npz", "w") as archive:
            archive.writestr("probabilities.npy", content)
        assert not is_complete_npz(tmp_path / f"{name}.npz")
    np.savez(tmp_path / "objects.npz", probabilities=np.array([[[[None]]]], object))
    assert not is_complete_npz(tmp_path / "objects.npz")


@pytest.mark.parametrize("content", [b"", b"text", b"[]", b'{"mean": {}}', b'{"metric_per_case": []}', None])
def test_an_evaluation_replaces_nothing_but_an_evaluation(place, content, tmp_path):
    place.predict()
    references = tmp_path / "references"
    for seed, name in enumerate(CASES):
        write_image(ball_case(seed)[1], references / f"{name}.nii.gz")
    target = tmp_path / "answer.json"
    if content is None:
        target.mkdir()
    else:
        target.write_bytes(content)
    options = EvaluateOptions(references, place.output, output=target)
    with pytest.raises(UserInputError, match=r"answer\.json: .*--output"):
        evaluate(Workspace.at(tmp_path), options)
    assert content is None or target.read_bytes() == content
    target.rmdir() if content is None else target.unlink()
    for _ in range(2):
        evaluate(Workspace.at(tmp_path), options)
    assert read_json(target)["metric_per_case"]


def test_an_evaluation_passes_over_what_a_killed_writer_left(place, tmp_path):
    place.predict()
    for seed, name in enumerate(CASES):
        write_image(ball_case(seed)[1], tmp_path / "references" / f"{name}.nii.gz")
    for name in (f".writing_{'0' * 32}.nii.gz", "._a.nii.gz"):
        (place.output / name).write_bytes(b"half")
    done = evaluate(Workspace.at(tmp_path), EvaluateOptions(tmp_path / "references", place.output))
    assert len(done.evaluation.cases) == 3

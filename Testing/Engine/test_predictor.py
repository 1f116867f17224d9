"""The four ways into a predictor give one result; cascades and several models need no files in between."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SegAutoPlanLib.dataset import Case
from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.images import read_image
from SegAutoPlanLib.inference import ArrayCase, Predictor, SegmentCasesOptions, Segmenter
from SegAutoPlanLib.inference.overlap import overlapped
from SegAutoPlanLib.pipeline.ensemble import EnsembleOptions, ensemble
from SegAutoPlanLib.pipeline.predict import PredictOptions, predict
from SegAutoPlanLib.planning import budget
from SegAutoPlanLib.progress import SILENT, CallbackReporter, Progress, Reporter
from SegAutoPlanLib.workspace import Workspace

from .balls import ball_case, ball_workspace, untrained_model, write_untrained
from .cascades import FIRST, SECOND, model_of
from .planning_fixtures import read_recorded
from .raw_datasets import write_image
from .test_real_data import HIPPOCAMPUS, needs_hippocampi

SPACING_ZYX = (1.5, 1.0, 0.8)
HOW = {"device": "cpu", "mirroring": False}
HERE = Workspace.at(Path())


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> tuple[Path, Path]:
    """Two configurations of one dataset, one of them in 2-D."""
    workspace = ball_workspace(tmp_path_factory.mktemp("models"))
    return untrained_model(workspace, "3d_fullres"), untrained_model(workspace, "2d")


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for seed, name in enumerate(("a", "b", "c")):
        array = ball_case(seed, (14, 20, 18))[0]
        array[:3] = 0  # an empty border, to be cut away
        write_image(array, folder / f"{name}_0000.nii.gz", spacing=SPACING_ZYX[::-1])
    return folder


@pytest.fixture(scope="module")
def predictor(models) -> Predictor:
    return Predictor(models[0], **HOW)


def files_of(images: Path) -> list[Path]:
    return sorted(images.iterdir())


def voxels(file: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(file)))


def labels_in(folder: Path) -> dict[str, np.ndarray]:
    return {file.name: voxels(file) for file in sorted(folder.glob("*.nii.gz"))}


def arrays_of(images: Path) -> list[np.ndarray]:
    return [read_image([file], "SimpleITKIO").array for file in files_of(images)]


def require_equal(found, expected):
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_all_four_ways_in_give_the_same(predictor, images, tmp_path):
    written = predictor.predict_files(images, tmp_path / "out")
    assert [file.name for file in written] == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]
    expected = [voxels(file) for file in written]
    assert any(labels.any() for labels in expected)
    arrays, properties = arrays_of(images), [{"spacing": SPACING_ZYX}] * 3
    require_equal([result.labels for result in predictor.predict_files(images)], expected)
    require_equal([result.labels for result in predictor.predict_arrays(arrays, properties)], expected)
    require_equal([predictor.predict_array(arrays[1], properties[1]).labels], expected[1:2])
    mixed = [
        ArrayCase(arrays[0], properties[0]),
        {"image": arrays[1], "properties": properties[1]},
        Case("c", (files_of(images)[2],)),
        [str(files_of(images)[0])],
        files_of(images)[1],
    ]
    require_equal([result.labels for result in predictor.predict_iterator(iter(mixed))], [*expected, *expected[:2]])
    listed = predictor.predict_files([[file] for file in files_of(images)], None, SegmentCasesOptions(part=(2, 2)))
    require_equal([result.labels for result in listed], expected[1:2])


def test_the_iterators_of_nnunet_give_preprocessed_data(predictor, images, tmp_path):
    [segmenter] = predictor.ensemble.segmenters
    case = segmenter.preprocess(read_image(files_of(images)[:1], "SimpleITKIO"))
    np.save(tmp_path / "case.npy", case.data)
    properties = case.geometry.to_nnunet()
    given = [
        {"data": case.data, "data_properties": properties, "ofile": str(tmp_path / "a")},
        {"data": str(tmp_path / "case.npy"), "data_properties": properties, "ofile": None},
    ]
    results = list(predictor.predict_iterator(given, save_probabilities=True))
    [expected] = predictor.predict_files(files_of(images)[:1])
    require_equal([result.labels for result in results], [expected.labels] * 2)
    assert (tmp_path / "case.npy").exists()
    np.testing.assert_array_equal(voxels(tmp_path / "a.nii.gz"), expected.labels)
    assert results[0].probabilities.shape == (3, 14, 20, 18)
    assert {"a.npz", "a.pkl"} <= {file.name for file in tmp_path.iterdir()}


def test_an_iterator_is_asked_for_one_case_ahead(predictor, images):
    asked = []

    def source():
        for array in arrays_of(images):
            asked.append(len(asked))
            yield ArrayCase(array, {"spacing": SPACING_ZYX})

    results = predictor.predict_iterator(source())
    assert asked == []
    next(results)
    assert len(asked) == 3
    assert len(list(results)) == 2


GOOD = np.zeros((1, 4, 5, 6), np.float32)


@pytest.mark.parametrize(
    ("image", "properties", "words"),
    [
        (GOOD[0], {"spacing": (1, 1, 1)}, "Image 1: the array has 3 axes; give four"),
        (GOOD[None], {"spacing": (1, 1, 1)}, "has 5 axes"),
        (GOOD[:, :0], {"spacing": (1, 1, 1)}, "no voxels"),
        (GOOD + np.nan, {"spacing": (1, 1, 1)}, "NaN or infinite"),
        (GOOD.astype(complex), {"spacing": (1, 1, 1)}, "complex"),
        (GOOD.repeat(2, 0), {"spacing": (1, 1, 1)}, "Image 1: .*2 channel"),
        (GOOD, {}, "properties cannot be used"),
        (GOOD, {"spacing": (1, 1)}, "properties cannot be used"),
        (GOOD, {"spacing": (1, 0, 1)}, "each must be above 0"),
        (GOOD, {"spacing": (1, float("nan"), 1)}, "each must be above 0"),
        (GOOD, {"spacing": "abc"}, "properties cannot be used"),
    ],
)
def test_an_array_that_cannot_be_used_is_one_sentence(predictor, image, properties, words):
    with pytest.raises(UserInputError, match=words):
        predictor.predict_array(image, properties)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ({"image": GOOD}, "has no properties"),
        ({"image": GOOD, "properties": {}, "spacing": 1}, "unknown key spacing"),
        ({"data": GOOD, "data_properties": {}}, "not those of a preprocessed case"),
        ({"data": GOOD.repeat(2, 0), "data_properties": {"spacing": (1, 1, 1), "bbox_used_for_cropping": [[0, 1]] * 3,
          "shape_before_cropping": (4, 5, 6)}}, "2 channels, but the network takes 1"),
        (17, "int is nothing to segment"),
        ([], "input is empty"),
    ],
)  # fmt: skip
def test_what_an_iterator_gives_is_checked(predictor, case, words):
    with pytest.raises(UserInputError, match=words):
        list(predictor.predict_iterator([case]))


def test_lists_of_other_lengths_and_names_that_are_there_twice_are_refused(predictor, images, tmp_path):
    with pytest.raises(UserInputError, match="properties: there are 0 for 1 images"):
        predictor.predict_arrays([GOOD], [])
    other = shutil.copy(files_of(images)[0], tmp_path)
    with pytest.raises(UserInputError, match=r"both would become a\.nii\.gz"):
        predictor.predict_files([[files_of(images)[0]], [other]], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_progress_is_told_and_a_stop_is_obeyed_within_a_tile(predictor, images, tmp_path):
    told: list[Progress] = []
    predictor.predict_files(images, tmp_path / "out", reporter=CallbackReporter(told.append))
    tiles = [progress for progress in told if progress.unit == "tile"]
    assert [progress.done for progress in told if progress.stage == "cases"] == [0, 1, 2, 3]
    assert len([progress for progress in tiles if progress.done == progress.total]) == 3
    assert all(progress.eta_s is not None for progress in tiles if progress.done)

    seen: list[Progress] = []
    stop = CallbackReporter(seen.append, lambda: any(one.unit == "tile" for one in seen))
    with pytest.raises(StopRequested):
        predictor.predict_files(images, tmp_path / "stopped", reporter=stop)
    assert [file.name for file in (tmp_path / "stopped").rglob("*") if file.suffix == ".gz"] == []


def test_without_gaussian_the_tiles_count_alike(models, images, tmp_path):
    array, properties = arrays_of(images)[0], {"spacing": SPACING_ZYX}
    with_it, without = (
        Predictor(models[0], use_gaussian=use, **HOW).predict_array(array, properties, save_probabilities=True)
        for use in (True, False)
    )
    assert with_it.probabilities.shape == without.probabilities.shape
    assert not np.allclose(with_it.probabilities, without.probabilities)


def test_a_cascade_runs_its_first_stage_as_if_by_files(both_stages, tmp_path):
    images = tmp_path / "in"
    for number in (1, 2):
        image, _ = ball_case(number)
        write_image(image, images / f"ball_{number}_0000.nii.gz", spacing=(1.2, 1.0, 0.9))
    first, second = model_of(both_stages, FIRST), model_of(both_stages, SECOND)
    options = {"device": "cpu", "folds": [0]}
    predict(both_stages, PredictOptions(first, [images], tmp_path / "low", **options))
    step_by_step = PredictOptions(second, [images], tmp_path / "out", previous_stage=tmp_path / "low", **options)
    predict(both_stages, step_by_step)
    predict(both_stages, PredictOptions(second, [images], tmp_path / "alone", **options))
    expected = labels_in(tmp_path / "out")
    assert labels_in(tmp_path / "low").keys() == expected.keys()
    require_equal(labels_in(tmp_path / "alone").values(), expected.values())

    shutil.copytree(first, tmp_path / "first stage")
    shutil.copytree(second, tmp_path / "second")
    named = PredictOptions(
        tmp_path / "second", [images], tmp_path / "named", previous_model=tmp_path / "first stage", **options
    )
    predict(both_stages, named)
    require_equal(labels_in(tmp_path / "named").values(), expected.values())
    arrays = [voxels(file)[None] for file in files_of(images)]
    given = Predictor(second, folds=[0], with_first_stage=False, **HOW).predict_arrays(
        arrays, [{"spacing": (0.9, 1.0, 1.2)}] * 2, list(labels_in(tmp_path / "low").values())
    )
    require_equal([result.labels for result in given], expected.values())


def test_a_first_stage_that_is_not_there_is_looked_for_by_name(both_stages, tmp_path):
    second = tmp_path / model_of(both_stages, SECOND).name
    shutil.copytree(model_of(both_stages, SECOND), second)
    with pytest.raises(UserInputError) as refusal:
        Predictor(second)
    assert f"there is no {tmp_path / model_of(both_stages, FIRST).name}" in str(refusal.value)
    second.rename(tmp_path / "renamed")
    with pytest.raises(UserInputError, match=r"this one was renamed.*--previous-model"):
        Predictor(tmp_path / "renamed")
    with pytest.raises(UserInputError, match=f"holds {SECOND}, and .* follows {FIRST}"):
        Predictor(tmp_path / "renamed", previous_model=tmp_path / "renamed")


def test_a_first_stage_of_other_labels_is_refused(both_stages, tmp_path):
    first = tmp_path / "first"
    shutil.copytree(model_of(both_stages, FIRST), first)
    description = read_json(first / "dataset.json")
    write_json(first / "dataset.json", {**description, "labels": {"background": 0, "core": 1, "ball": 2}})
    with pytest.raises(UserInputError, match=r"first: has other labels than .*--previous-stage"):
        Predictor(model_of(both_stages, SECOND), previous_model=first)


def test_a_first_stage_is_for_cascades_only(models, tmp_path):
    with pytest.raises(UserInputError, match=r"--previous-model .*no model here is a cascade's second stage"):
        Predictor(models[0], previous_model=models[1])
    with pytest.raises(UserInputError, match="--previous-stage and --previous-model"):
        PredictOptions(models[0], [tmp_path], tmp_path, previous_stage=tmp_path, previous_model=tmp_path)


def test_first_stage_labels_that_nobody_takes_are_refused(predictor, images, tmp_path):
    with pytest.raises(UserInputError, match="is no second stage of a cascade"):
        predictor.predict_array(GOOD, {"spacing": (1, 1, 1)}, previous=GOOD[0])
    for output in (None, tmp_path / "out"):
        with pytest.raises(UserInputError, match=r"leave them out \(--previous-stage\)"):
            predictor.predict_files(images, output, SegmentCasesOptions(previous_stage=tmp_path))


class StopsAt(Reporter):
    """Asks for a stop at its question of that number."""

    def __init__(self, number: int) -> None:
        self.left = number

    def stop_requested(self) -> bool:
        self.left -= 1
        return self.left <= 0


def test_a_stop_at_any_question_leaves_whole_files_and_no_thread(both_stages, models, images, tmp_path):
    cascade, both = Predictor(model_of(both_stages, SECOND), folds=[0], **HOW), Predictor(models, **HOW)
    stopped = 0
    for predictor in (cascade, both):
        whole = {
            file.name: file.read_bytes() for file in predictor.predict_files(images, tmp_path / f"{id(predictor)}")
        }
        for number in range(1, 12):
            output = tmp_path / f"{id(predictor)} {number}"
            try:
                predictor.predict_files(images, output, reporter=StopsAt(number))
            except StopRequested:
                stopped += 1
            left = {path.name: path.read_bytes() for path in output.rglob("*.gz")}
            assert left.items() <= whole.items()
            assert not [path for path in output.rglob(".writing*")]
    assert stopped > 10
    limit = time.monotonic() + 10
    while [thread for thread in threading.enumerate() if thread.name.startswith(("read", "write"))]:
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_several_models_are_averaged_as_through_files(models, images, tmp_path):
    options = {"device": "cpu", "mirroring": False, "save_probabilities": True}
    for model in models:
        predict(HERE, PredictOptions(model, [images], tmp_path / model.name, **options))
    through_files = EnsembleOptions(
        input=[tmp_path / model.name for model in models], output=tmp_path / "files", save_probabilities=True, workers=2
    )
    assert [file.name for file in ensemble(HERE, through_files).files] == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]
    predict(HERE, PredictOptions(models, [images], tmp_path / "memory", **options))
    expected = labels_in(tmp_path / "files")
    require_equal(labels_in(tmp_path / "memory").values(), expected.values())
    alone = labels_in(tmp_path / models[0].name)
    assert any((alone[name] != labels).any() for name, labels in expected.items())
    for name in ("a", "b", "c"):
        found, mean, *parts = (
            np.load(tmp_path / folder / f"{name}.npz")["probabilities"]
            for folder in ("memory", "files", *(model.name for model in models))
        )
        np.testing.assert_array_equal(mean, (parts[0] + parts[1]) / 2)
        np.testing.assert_allclose(found, mean, atol=1e-6)


def test_the_mean_is_the_same_in_thin_slabs_and_for_plans_of_another_axis_order(models, images, tmp_path, monkeypatch):
    turned = tmp_path / "turned"
    shutil.copytree(models[0], turned)
    document = read_json(turned / "plans.json")
    write_json(turned / "plans.json", {**document, "transpose_forward": [2, 0, 1], "transpose_backward": [1, 2, 0]})
    array, properties = arrays_of(images)[0], {"spacing": SPACING_ZYX}
    for pair in (models, (models[0], turned)):
        both = Predictor(pair, **HOW).predict_array(array, properties, save_probabilities=True)
        single = [Predictor(one, **HOW).predict_array(array, properties, save_probabilities=True) for one in pair]
        mean = (single[0].probabilities + single[1].probabilities) / 2
        np.testing.assert_allclose(both.probabilities, mean, atol=1e-6)
        np.testing.assert_array_equal(both.labels, both.probabilities.argmax(0))
        monkeypatch.setattr("SegAutoPlanLib.inference.ensemble.SLAB_BYTES", 1)
        thin = Predictor(pair, **HOW).predict_array(array, properties)
        np.testing.assert_array_equal(thin.labels, both.labels)
        assert thin.probabilities is None


@pytest.mark.real_data
@needs_hippocampi
def test_hippocampi_are_averaged_in_memory_as_through_files(tmp_path):
    """Two configurations of the plan that nnU-Net made for them, with narrow networks."""
    plans = read_recorded("real.json.xz")[HIPPOCAMPUS.name]["plans"]["ExperimentPlanner"]
    for configuration in plans["configurations"].values():
        arguments = configuration["architecture"]["arch_kwargs"]
        arguments["features_per_stage"] = [4] * arguments["n_stages"]
    models = [
        write_untrained(
            tmp_path / f"nnUNetTrainer__nnUNetPlans__{configuration}",
            plans,
            read_json(HIPPOCAMPUS / "dataset.json"),
        )
        for configuration in ("3d_fullres", "2d")
    ]
    images = sorted((HIPPOCAMPUS / "imagesTr").glob("*.nii.gz"))[:2]
    for number, chosen in enumerate((models[:1], models[1:], models)):
        options = SegmentCasesOptions(save_probabilities=True)
        Predictor(chosen, **HOW).predict_files([[file] for file in images], tmp_path / str(number), options)
    ensemble(HERE, EnsembleOptions(input=[tmp_path / "0", tmp_path / "1"], output=tmp_path / "files", workers=1))
    require_equal(labels_in(tmp_path / "2").values(), labels_in(tmp_path / "files").values())
    for file in images:
        source, result = sitk.ReadImage(str(file)), tmp_path / "2" / file.name.replace("_0000", "")
        assert sitk.ReadImage(str(result)).GetSize() == source.GetSize()


def test_models_of_other_labels_are_not_averaged(models, tmp_path):
    other = tmp_path / models[1].name
    shutil.copytree(models[1], other)
    description = read_json(other / "dataset.json")
    write_json(other / "dataset.json", {**description, "labels": {"background": 0, "core": 1, "ball": 2}})
    with pytest.raises(UserInputError, match=r"has other labels than .*average models of one dataset only"):
        Predictor([models[0], other])


class Steps:
    """Records what is done when, with reading, computing and writing of strings."""

    def __init__(self, failing: str = "", seconds: float = 0.0) -> None:
        self.done: list[str] = []
        self.failing, self.seconds = failing, seconds
        self.waiting = self.most = 0
        self.lock = threading.Lock()

    def read(self, item):
        with self.lock:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
        return self.step("read", item)

    def compute(self, item, reporter: Reporter):
        for _ in range(20):
            if reporter.stop_requested():
                raise StopRequested("stopped")
            time.sleep(self.seconds / 20)
        return self.step("computed", item)

    def write(self, item, computed):
        assert item == computed
        with self.lock:
            self.waiting -= 1
        return self.step("written", item)

    def step(self, what, item):
        if self.failing == f"{what} {item}":
            raise MemoryError
        self.done.append(f"{what} {item}")
        return item

    def run(self, items, reporter=SILENT):
        return overlapped(items, self.read, self.compute, self.write, str, reporter)


def test_results_come_in_order_and_few_cases_are_in_memory():
    steps = Steps()
    items = [str(number) for number in range(30)]
    assert list(steps.run(items)) == items
    assert steps.most <= 4
    assert len(steps.done) == 3 * len(items)


@pytest.mark.parametrize("failing", ["read b", "computed b", "written b"])
def test_an_error_of_any_step_names_its_case_and_leaves_the_earlier_ones(failing):
    steps = Steps(failing)
    with pytest.raises(UserInputError, match=r"^b: The memory"):
        list(steps.run("abcdefgh"))
    assert "written a" in steps.done
    assert "computed e" not in steps.done


def test_a_failed_write_ends_the_work_on_the_next_case():
    steps = Steps("written a", seconds=0.8)
    with pytest.raises(UserInputError, match=r"^a: "):
        list(steps.run("ab"))
    assert "computed b" not in steps.done


def test_without_room_a_case_is_written_before_the_next_is_computed():
    steps = Steps()
    run = overlapped("abcd", steps.read, steps.compute, steps.write, str, has_room=lambda _: False)
    assert list(run) == list("abcd")
    order = [entry for entry in steps.done if not entry.startswith("read")]
    assert order == [f"{what} {item}" for item in "abcd" for what in ("computed", "written")]


def test_logits_that_do_not_fit_together_are_refused_and_those_that_barely_do_wait(models, images, monkeypatch):
    array, properties = arrays_of(images)[0], {"spacing": SPACING_ZYX}
    both = Predictor(models, **HOW)
    prepared = both.ensemble.prepare(read_image(files_of(images)[:1], "SimpleITKIO"))
    needed = both.ensemble.logits_bytes(prepared)
    assert needed == sum(one.case.data[0].size for one in prepared) * 3 * 4
    for free, has_room in ((None, True), (1.8 * needed, False), (2 * needed, True)):
        monkeypatch.setattr("SegAutoPlanLib.inference.ensemble.available_memory", lambda free=free: free)
        assert both.ensemble.has_room(prepared) == has_room
    # Each alone would fit.
    monkeypatch.setattr(budget, "total_memory", lambda: needed - 1)
    monkeypatch.setattr(Segmenter, "require_fits", lambda *_: None)
    with pytest.raises(UserInputError, match=r"^Image 1: .*the logits of 2 models needs .*; average fewer models"):
        both.predict_array(array, properties)


def test_closing_the_results_early_begins_nothing_more():
    steps = Steps()
    results = steps.run(str(number) for number in range(1000))
    assert next(results) == "0"
    results.close()
    assert len([entry for entry in steps.done if entry.startswith("computed")]) <= 3

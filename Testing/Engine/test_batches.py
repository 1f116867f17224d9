"""Batches are what was promised, whoever makes them; the processes that do live as long as the training."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from SegAutoPlanLib.dataset import load_dataset
from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.pipeline.plan import find_plan
from SegAutoPlanLib.pipeline.preprocess import PreprocessOptions, preprocess
from SegAutoPlanLib.preprocessing import open_training_case
from SegAutoPlanLib.preprocessing.storage import ENDING
from SegAutoPlanLib.training import Recipe
from SegAutoPlanLib.training.augmentation.apply import apply_changes
from SegAutoPlanLib.training.augmentation.changes import AddedNoise, Flip
from SegAutoPlanLib.training.augmentation.drawing import Subject, draw_changes
from SegAutoPlanLib.training.augmentation.geometry import augmentation_geometry
from SegAutoPlanLib.training.augmentation_presets import AUGMENTATIONS
from SegAutoPlanLib.training.batches import TRAINING, VALIDATION, BatchStream, LoaderDied, batch_order
from SegAutoPlanLib.training.samples import PatchDataset, SampleSource, draw_sample

from .balls import NAME, ball_workspace

REPOSITORY = Path(__file__).resolve().parents[2]
THREE_EPOCHS = Recipe(epochs=3, iterations_per_epoch=3, validation_iterations=1)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> SampleSource:
    workspace = ball_workspace(tmp_path_factory.mktemp("batches ü"))
    preprocess(workspace, PreprocessOptions(NAME, configurations=("3d_fullres",)))
    configuration = find_plan(workspace, load_dataset(workspace.raw / NAME), "nnUNetPlans").configuration("3d_fullres")
    return SampleSource(
        workspace.preprocessed / NAME / configuration.data_identifier,
        ("ball_0", "ball_1"),
        configuration,
        oversample_foreground=0.33,
        augmentation="default",
        mirror_axes=(0, 1, 2),
        seed=3,
    )


def loader_pids() -> set[int]:
    return {process.pid for process in multiprocessing.active_children()}


def test_the_coin_of_a_sample_is_its_own(source):
    tossed = dataclasses.replace(source, oversampling="coin", augmentation="none", oversample_foreground=0.5)
    one, other = (PatchDataset((tossed,)) for _ in range(2))
    assert all(torch.equal(one[TRAINING, n][0], other[TRAINING, n][0]) for n in range(6))


def test_no_two_samples_have_the_same_chances(source):
    drawn = [draw_sample(source, number).changes for number in range(300)]
    noises = [step.seed for sample in drawn for step in sample.steps if isinstance(step, AddedNoise)]
    assert len(noises) > 10
    assert len(set(noises)) == len(noises)
    flips = [step.axes for sample in drawn for step in sample.steps if isinstance(step, Flip)]
    assert len(set(flips)) == 7


@pytest.mark.parametrize("patch", [(16, 16, 16), (6, 24, 24), (24, 16)])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentation_is_decided_by_its_seed_alone(patch, name):
    preset = AUGMENTATIONS[name]
    geometry = augmentation_geometry(patch, preset.space)
    subject = Subject(2, geometry, tuple(range(len(patch))))
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.normal(size=(2, *geometry.crop_size)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(-1, 3, (2, *geometry.crop_size)).astype(np.int16))
    before = image.clone()

    def augment(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        drawn = draw_changes(preset.space, preset.steps, subject, np.random.default_rng(seed))
        return apply_changes(image, labels, drawn, patch)

    different = 0
    for seed in range(12):
        (seen, named), again, other = augment(seed), augment(seed), augment(seed + 100)
        assert seen.shape == (2, *patch)
        assert named.shape == (2, *patch)
        assert torch.isfinite(seen).all()
        assert torch.equal(seen, again[0])
        assert torch.equal(named, again[1])
        assert set(named.unique().tolist()) <= {-1, 0, 1, 2}
        different += not torch.equal(seen, other[0])
    assert different >= 6
    assert torch.equal(image, before)


def test_batches_do_not_depend_on_the_number_of_workers(source):
    def three_epochs(workers: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        with BatchStream((source, validation_of(source)), batch_order(THREE_EPOCHS), workers) as batches:
            return list(batches)

    alone, helped = three_epochs(0), three_epochs(2)
    assert len(alone) == 3 * (3 + 1)
    for (image, labels), (other_image, other_labels) in zip(alone, helped, strict=True):
        assert torch.equal(image, other_image)
        assert torch.equal(labels, other_labels)


def test_batches_augmented_by_the_training_itself_are_those_of_a_worker(source):
    """As on a graphics card; here the device is the processor, so that they are equal to the bit."""
    order = [(TRAINING, number) for number in range(6)]
    with BatchStream((source,), order) as batches:
        by_workers = list(batches)
    with BatchStream((source,), order, augments_on=torch.device("cpu")) as batches:
        by_device = list(batches)
    for (image, labels), (other_image, other_labels) in zip(by_workers, by_device, strict=True):
        assert torch.equal(image, other_image)
        assert torch.equal(labels, other_labels)


def test_the_ranks_of_a_distributed_run_make_the_batch_of_one_process(source):
    def first(rank: int, world: int) -> torch.Tensor:
        with BatchStream((source,), [(TRAINING, 5)], rank=rank, world=world) as batches:
            return next(batches)[0]

    assert torch.equal(first(0, 1), torch.cat([first(0, 2), first(1, 2)]))


def test_the_order_of_batches_goes_on_in_the_middle_of_an_epoch():
    whole = list(batch_order(THREE_EPOCHS))
    assert whole[:5] == [(TRAINING, 0), (TRAINING, 1), (TRAINING, 2), (VALIDATION, 0), (TRAINING, 3)]
    assert list(batch_order(THREE_EPOCHS, epoch=1, iteration=2)) == whole[6:]
    assert list(batch_order(THREE_EPOCHS, epoch=3)) == []


def test_no_process_is_left_when_the_batches_are_not_all_taken(source):
    with BatchStream((source, validation_of(source)), batch_order(THREE_EPOCHS), workers=1) as batches:
        next(batches)
        assert len(loader_pids()) == 1
    assert loader_pids() == set()


def test_no_process_is_left_after_a_bug_in_one_of_them(source):
    # An axis of no image: nothing that a user can give.
    broken = dataclasses.replace(source, mirror_axes=("x",))
    with (
        pytest.raises(Exception, match="DataLoader worker") as told,
        BatchStream((broken,), [(TRAINING, n) for n in range(9)], workers=1) as batches,
    ):
        list(batches)
    assert not issubclass(told.type, UserInputError)
    assert loader_pids() == set()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_case_is_a_sentence_whoever_reads_it(source, tmp_path, workers):
    (tmp_path / f"ball_0{ENDING}").write_bytes(b"damaged")
    broken = dataclasses.replace(source, folder=tmp_path, identifiers=("ball_0",))
    with pytest.raises(UserInputError) as told, BatchStream((broken,), [(TRAINING, 0)], workers) as batches:
        next(batches)
    assert str(told.value).startswith(str(tmp_path))
    assert "Traceback" not in str(told.value)


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED: Windows has no signals to send to one process")
def test_loader_processes_leave_signals_to_the_training(source):
    with BatchStream((source,), [(TRAINING, n) for n in range(9)], workers=1) as batches:
        next(batches)
        for pid in loader_pids():
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
        assert len(list(batches)) == 8
    assert loader_pids() == set()


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED: Windows has no SIGKILL")
def test_loader_processes_end_when_the_training_is_killed(source, tmp_path):
    script = (
        "import os, pickle, signal, sys\n"
        "from SegAutoPlanLib.training.batches import BatchStream\n"
        "if __name__ == '__main__':\n"
        "    source = pickle.load(sys.stdin.buffer)\n"
        "    with BatchStream((source,), [(0, n) for n in range(99)], workers=1) as batches:\n"
        "        next(batches)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    (tmp_path / "killed.py").write_text(script)
    # This comes back when nobody holds the output any more: neither the script nor the loader process that it began.
    done = subprocess.run(
        [sys.executable, tmp_path / "killed.py"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        input=pickle.dumps(source),
        stdout=subprocess.PIPE,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL


def kill_a_loader() -> None:
    os.kill(min(loader_pids()), signal.SIGKILL)


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED: Windows has no SIGKILL")
def test_where_a_loader_is_killed_the_batches_go_on_as_if_nothing_had_happened(source):
    both = (source, validation_of(source))
    with BatchStream(both, batch_order(THREE_EPOCHS)) as batches:
        undisturbed = list(batches)
    told = []
    with BatchStream(both, batch_order(THREE_EPOCHS), workers=1, warn=told.append) as batches:
        seen = [next(batches)]
        before = loader_pids()
        kill_a_loader()
        # Nothing is raised here, in the middle of what might be a step or a save.
        time.sleep(0.2)
        started = time.monotonic()
        seen.append(next(batches))
        assert time.monotonic() - started < 60
        assert len(loader_pids()) == 1
        assert not loader_pids() & before
        seen.extend(batches)
    assert loader_pids() == set()
    (sentence,) = told
    assert "SIGKILL" in sentence
    assert "memory ran out" in sentence
    assert len(seen) == len(undisturbed)
    for (image, labels), (other_image, other_labels) in zip(undisturbed, seen, strict=True):
        assert torch.equal(image, other_image)
        assert torch.equal(labels, other_labels)


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED: Windows has no SIGKILL")
def test_loaders_that_die_again_and_again_are_one_sentence(source, monkeypatch):
    monkeypatch.setattr("SegAutoPlanLib.training.batches.MAX_RESTARTS", 0)
    with BatchStream((source,), [(TRAINING, n) for n in range(99)], workers=1) as batches:
        next(batches)
        kill_a_loader()
        with pytest.raises(LoaderDied, match=r"SIGKILL, probably because memory ran out.*--resume"):
            list(batches)
    assert loader_pids() == set()


def test_a_case_that_is_not_preprocessed_is_named_with_the_remedy(source):
    gone = dataclasses.replace(source, identifiers=("ball_77",))
    with pytest.raises(UserInputError, match=r"ball_77.*preprocess"), BatchStream((gone,), [(TRAINING, 0)]) as batches:
        next(batches)


def test_without_augmentation_a_patch_is_a_piece_of_the_image(source):
    plain = dataclasses.replace(source, augmentation="none", mirror_axes=())
    image, labels = PatchDataset((plain,))[TRAINING, 3]
    cases = [open_training_case(source.folder, name) for name in source.identifiers]
    pieces = np.concatenate([sliding_window_view(case.data[0], (16, 16, 16)).reshape(-1, 16**3) for case in cases])
    assert (labels >= 0).all()
    assert (pieces == image.numpy().reshape(-1)).all(1).any()


def test_mirroring_alone_flips_patches_and_changes_nothing_else(source):
    plain = dataclasses.replace(source, augmentation="none", mirror_axes=())
    mirrored = dataclasses.replace(source, augmentation="none", mirror_axes=(2,))
    pairs = [(PatchDataset((plain,))[TRAINING, n][0], PatchDataset((mirrored,))[TRAINING, n][0]) for n in range(12)]
    flipped = [torch.equal(image.flip(3), other) for image, other in pairs]
    kept = [torch.equal(image, other) for image, other in pairs]
    assert all(a != b for a, b in zip(flipped, kept, strict=True))
    assert any(flipped)
    assert any(kept)


def validation_of(source: SampleSource) -> SampleSource:
    return dataclasses.replace(source, augmentation="none", mirror_axes=(), seed=source.seed + 1)

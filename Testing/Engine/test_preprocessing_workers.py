"""How many cases are worked on at once, and what the machine says about itself."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from SegAutoPlanLib import executors, machine
from SegAutoPlanLib.dataset import load_dataset
from SegAutoPlanLib.executors import worker_count
from SegAutoPlanLib.images.image_size import ImageSize
from Testing.Engine.raw_datasets import write_image, write_raw_dataset

GIB = 1 << 30


@pytest.mark.parametrize(
    ("cases", "gib_per_case", "requested", "free_gib", "expected"),
    [
        (100, 1, None, 64, 8),
        (3, 1, None, 64, 3),
        (100, 10, None, 64, 5),
        (100, 100, None, 64, 1),
        (100, 1, 2, 64, 2),
        (100, 30, 4, 64, 1),
        (100, 1, None, None, 8),
    ],
)
def test_workers_are_as_many_as_cores_cases_and_memory_allow(
    cases, gib_per_case, requested, free_gib, expected, monkeypatch
):
    monkeypatch.setattr(executors, "core_count", lambda: 8)
    monkeypatch.setattr(executors, "available_memory", lambda: free_gib and free_gib * GIB)
    assert worker_count(cases, gib_per_case * GIB, requested) == expected


def test_this_machine_tells_its_free_memory():
    memory = machine.available_memory()
    assert memory is None or 0 < memory < 1 << 50
    assert machine.core_count() >= 1


@pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: control groups, because only Linux has them")
def test_a_container_may_be_allowed_less_than_the_machine_has(monkeypatch):
    numbers = {"/sys/fs/cgroup/memory.max": 3 * GIB, "/sys/fs/cgroup/memory.current": 2 * GIB}
    monkeypatch.setattr(machine, "_number", numbers.get)
    monkeypatch.setattr(machine, "_cgroup_cache", lambda: 0)
    monkeypatch.setattr(machine, "_meminfo", lambda _: 50 * GIB)
    assert machine.available_memory() == GIB


def test_macos_pages_are_counted():
    text = (
        "Mach Virtual Memory Statistics: (page size of 16384 bytes)\n"
        "Pages free:                               10.\n"
        "Pages active:                            500.\n"
        "Pages inactive:                           20.\n"
        "Pages speculative:                         5.\n"
    )
    assert machine.free_bytes_of_vm_stat(text) == 35 * 16384


def test_the_largest_case_is_found_by_its_header(tmp_path):
    folder = write_raw_dataset(tmp_path / "Dataset001_X", 3)
    write_image(np.random.default_rng(0).integers(0, 99, (9, 20, 30)), folder / "imagesTr" / "case_001_0000.nii.gz")
    assert load_dataset(folder).largest_case().values == 9 * 20 * 30


def test_a_finer_spacing_makes_more_values():
    size = ImageSize((10, 10, 4), (1.0, 1.0, 3.0), channels=2)
    assert size.values == 800
    assert size.values_at((1.5, 0.5, 0.5)) == 6400
    assert size.values_at((0.5, 0.5)) == 3200

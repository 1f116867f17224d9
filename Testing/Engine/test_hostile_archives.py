"""Every hostile archive of the attack suite, here and now: one sentence, nothing written, and little memory."""

from __future__ import annotations

import shutil
import tracemalloc
from pathlib import Path

import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.exchange import zip_source
from Testing.Attack.cases.model_zips import BOMBS, DAMAGE, HOSTILE_MODELS, KINDS, NAMES, UNKNOWN
from Testing.Attack.model_zips import pack_again, zipped
from Testing.Attack.place import Place
from Testing.Attack.watch import snapshot

from .balls import ball_workspace, untrained_model
from .shared_models import imported, inspected

SLOW = ("thousands-of-files",)
"""`make attack` has them."""
MOST_MEMORY = 96 << 20
ROWS = {
    **{f"name-{name}": (spoil,) for name, spoil in NAMES.items()},
    **{f"kind-{name}": (spoil,) for name, spoil in KINDS.items()},
    **{f"bomb-{name}": (spoil,) for name, spoil in BOMBS.items() if name not in SLOW},
    **{f"damage-{name}": (spoil,) for name, spoil in DAMAGE.items()},
    **{f"unknown-{name}": (spoil,) for name, (spoil, _) in UNKNOWN.items()},
    **{f"model-{name}": (*spoils, pack_again) for name, spoils in HOSTILE_MODELS.items()},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    workspace = ball_workspace(tmp_path_factory.mktemp("balls"), cases=2)
    model = untrained_model(workspace)
    for name in ("best", "latest"):
        shutil.copy2(model / "fold_0" / "checkpoint_final.pth", model / "fold_0" / f"checkpoint_{name}.pth")
    return model


@pytest.fixture
def place(trained, tmp_path) -> Place:
    place = Place(tmp_path)
    for folder in (place.outside, place.workspace):
        folder.mkdir(parents=True)
    (place.outside / "precious.txt").write_text("precious")
    shutil.copytree(trained, place.model)
    zipped(place.model, place.archive)
    return place


def test_there_are_enough_of_them():
    assert len(ROWS) >= 40


def test_the_archive_that_is_spoilt_is_sound(place):
    assert inspected(place.archive).is_usable
    assert len(imported(place.archive, place.workspace).folders) == 1


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_hostile_archive_is_refused_in_a_sentence_and_nothing_is_written(place, row):
    for spoil in ROWS[row]:
        spoil(place)
    before = snapshot(place.root)
    tracemalloc.start()
    try:
        with pytest.raises(UserInputError) as refusal:
            imported(place.archive, place.workspace)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    sentence = str(refusal.value)
    assert str(place.archive) in sentence
    assert sentence.endswith(".")
    assert ";" in sentence
    assert "\n" not in sentence
    assert peak < MOST_MEMORY
    assert snapshot(place.root) == before


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("MOST_BYTES", 10_000, "would unpack to 0 GB, more than any model"),
        ("MOST_FILES", 3, "holds 5 files, more than a model has"),
    ],
)
def test_the_stated_limits_hold(place, monkeypatch, limit, value, words):
    monkeypatch.setattr(zip_source, limit, value)
    with pytest.raises(UserInputError, match=words):
        inspected(place.archive)

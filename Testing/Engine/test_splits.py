"""Folds: nnU-Net's own where it has some, sensible ones where it stops."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import numpy as np
import pytest

from SegAutoPlanLib.dataset.splits import fold_cases, load_or_make_splits, make_splits
from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.progress import Reporter


class Listener(Reporter):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def event(self, event, **fields):
        if event == "warning":
            self.messages.append(fields["message"])


def cases(count: int) -> list[str]:
    return [f"case{index:04d}" for index in range(count)]


def test_ten_cases_give_the_folds_that_nnunet_gives():
    validation = [{int(name[4:]) for name in split["val"]} for split in make_splits(cases(10))]
    assert validation == [{0, 7}, {3, 9}, {4, 6}, {1, 8}, {2, 5}]


@pytest.mark.parametrize("count", [5, 6, 8, 22, 28, 200, 1001])
def test_every_case_validates_once_and_trains_in_the_other_folds(count):
    splits = make_splits(reversed(cases(count)))
    assert sorted(name for split in splits for name in split["val"]) == cases(count)
    for split in splits:
        assert sorted(split["train"] + split["val"]) == cases(count)
        assert split["train"] == sorted(split["train"])
    assert max(len(s["val"]) for s in splits) - min(len(s["val"]) for s in splits) <= 1


@pytest.mark.parametrize("count", [2, 3, 4])
def test_fewer_than_five_cases_are_left_out_one_by_one(count):
    splits = make_splits(cases(count))
    assert [len(split["val"]) for split in splits] == [1] * count
    assert sorted(split["val"][0] for split in splits) == cases(count)


def test_one_case_validates_on_itself_and_says_so():
    listener = Listener()
    assert fold_cases(make_splits(["only"]), 0, ["only"], listener) == (["only"], ["only"])
    assert "Dice is too good" in listener.messages[0]


def test_no_case_is_a_sentence():
    with pytest.raises(UserInputError, match="imagesTr"):
        make_splits([])


def test_fold_all_trains_and_validates_on_everything():
    assert fold_cases(make_splits(cases(6)), "all", cases(6)) == (cases(6), cases(6))


def test_a_fold_beyond_the_list_draws_the_80_to_20_split_of_its_number():
    train, val = fold_cases(make_splits(cases(10)), 7, cases(10))
    drawn = np.random.RandomState(12345 + 7).choice(10, size=8, replace=False)
    assert train == [f"case{i:04d}" for i in drawn]
    assert set(train) | set(val) == set(cases(10))
    assert val == sorted(val)
    assert len(val) == 2


@pytest.mark.parametrize("fold", ["first", -1, 1.5])
def test_a_fold_that_is_no_fold_is_a_sentence(fold):
    with pytest.raises(UserInputError, match=f"Fold {fold} is neither"):
        fold_cases(make_splits(cases(6)), fold, cases(6))


def test_a_random_split_of_one_case_is_a_sentence():
    with pytest.raises(UserInputError, match="no case to train on"):
        fold_cases(make_splits(cases(1)), 3, cases(1))


def test_new_folds_are_written_where_nnunet_looks(tmp_path):
    splits = load_or_make_splits(tmp_path / "raw", tmp_path / "preprocessed", cases(7))
    assert json.loads((tmp_path / "preprocessed" / "splits_final.json").read_text()) == splits
    assert load_or_make_splits(tmp_path / "raw", tmp_path / "preprocessed", cases(7)) == splits


def write_splits(folder, splits) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "splits_final.json").write_text(json.dumps(splits))


def test_a_users_split_is_taken_literally_and_copied(tmp_path):
    users = [{"train": ["case0002", "case0000"], "val": ["case0001"]}]
    write_splits(tmp_path / "raw", users)
    listener = Listener()
    assert load_or_make_splits(tmp_path / "raw", tmp_path / "pre", cases(4), listener) == users
    assert json.loads((tmp_path / "pre" / "splits_final.json").read_text()) == users
    assert "1 of 4 cases are in no fold, for example case0003" in listener.messages[0]
    assert fold_cases(users, 0, cases(4)) == (["case0002", "case0000"], ["case0001"])


def test_two_files_that_disagree_are_both_named(tmp_path):
    write_splits(tmp_path / "raw", [{"train": ["case0000"], "val": ["case0001"]}])
    write_splits(tmp_path / "pre", [{"train": ["case0001"], "val": ["case0000"]}])
    with pytest.raises(UserInputError, match=r"raw.*differs from.*pre"):
        load_or_make_splits(tmp_path / "raw", tmp_path / "pre", cases(2))


def test_a_split_with_an_unknown_case_names_it_and_writes_nothing(tmp_path):
    write_splits(tmp_path / "raw", [{"train": ["case0000", "ghost"], "val": ["case0001"]}])
    with pytest.raises(UserInputError, match="ghost"):
        load_or_make_splits(tmp_path / "raw", tmp_path / "pre", cases(2))
    assert not (tmp_path / "pre").exists()


@pytest.mark.parametrize("content", [{}, [], [{"train": ["a"]}], [{"train": "a", "val": ["b"]}]])
def test_a_file_of_another_shape_is_a_sentence(tmp_path, content):
    write_splits(tmp_path / "raw", content)
    with pytest.raises(UserInputError, match="must be a list of"):
        load_or_make_splits(tmp_path / "raw", tmp_path / "pre", cases(2))


@pytest.fixture(scope="module")
def recorded() -> dict:
    """What nnunetv2 2.8.1 did, see Testing/Fixtures/README.md."""
    path = Path(__file__).resolve().parents[1] / "Fixtures" / "splits.json.xz"
    return json.loads(lzma.decompress(path.read_bytes()))


def nnunet_cases(count: int) -> list[str]:
    return [f"case_{index:03d}" for index in range(count)]


def numbers(names: list[str]) -> list[int]:
    return [int(name.removeprefix("case_")) for name in names]


def test_folds_equal_those_recorded_from_nnunet(recorded):
    for count, folds in recorded["folds"].items():
        names = nnunet_cases(int(count))
        ours = [numbers(split["val"]) for split in make_splits(names)]
        assert ours == folds, count
    assert len(recorded["folds"]) > 100


def test_folds_beyond_the_file_equal_those_recorded_from_nnunet(recorded):
    for entry in recorded["beyond"]:
        names = nnunet_cases(entry["cases"])
        train, val = fold_cases([{"train": names[1:], "val": names[:1]}], entry["fold"], names)
        assert [numbers(train), numbers(val)] == entry["split"]
    assert recorded["beyond"]

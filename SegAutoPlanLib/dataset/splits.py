"""Which cases train and which validate: nnU-Net's folds, without scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import FileError, UserInputError
from ..files import read_json, write_json
from ..progress import SILENT, Reporter
from ..schema import array_of, problem_of, record, text

FOLDS = 5
SEED = 12345
SPLITS_FILE = "splits_final.json"

CASES = array_of(text(longest=500))
SPLITS_RULE = array_of(record({"train": CASES, "val": CASES}), shortest=1, longest=10_000)
"""What splits_final.json says; that the cases exist is known only beside their dataset."""

Split = dict[str, list[str]]


def make_splits(identifiers: Sequence[str]) -> list[Split]:
    """Five folds over the sorted identifiers: nnU-Net's `KFold(5, shuffle=True, random_state=12345)`.

    nnU-Net stops below five cases. Here two to four cases give one fold a case (leave one out), and a single
    case trains and validates on itself; nnU-Net reads both as a user's own split.

    Raises:
        UserInputError: there is no case.
    """
    names = sorted(identifiers)
    if not names:
        raise UserInputError("There are no training cases to split; add images to imagesTr and labels to labelsTr.")
    if len(names) == 1:
        return [{"train": names, "val": list(names)}]
    order = np.arange(len(names))
    np.random.RandomState(SEED).shuffle(order)
    folds = np.array_split(order, min(FOLDS, len(names)))
    return [_split_with_validation(names, set(fold.tolist())) for fold in folds]


def load_or_make_splits(
    raw_folder: Path | str,
    preprocessed_folder: Path | str,
    identifiers: Sequence[str],
    reporter: Reporter = SILENT,
) -> list[Split]:
    """The dataset's folds; `splits_final.json` of the preprocessed folder holds them afterwards.

    A `splits_final.json` in the raw folder is the user's and is taken literally; else the one written before
    counts; else the folds are made. As in nnU-Net, the preprocessed file may have further folds at its end.

    Raises:
        UserInputError: the raw and the preprocessed file disagree, a file is not a list of train/val lists,
            or it names a case that the dataset does not have.
    """
    users, written = Path(raw_folder) / SPLITS_FILE, Path(preprocessed_folder) / SPLITS_FILE
    if users.is_file() and written.is_file() and not _begins_alike(read_splits(written), read_splits(users)):
        raise UserInputError(
            f"{users}: differs from {written}; delete the one that is out of date "
            "(networks trained before used the latter)."
        )
    source = next((path for path in (written, users) if path.is_file()), None)
    splits = read_splits(source) if source else make_splits(identifiers)
    _check_cases(splits, identifiers, source or written, reporter)
    if not written.is_file():
        write_json(written, splits)
    return splits


def read_splits(path: Path | str) -> list[Split]:
    """Read a `splits_final.json`.

    Raises:
        UserInputError: it is not a list of objects with the lists `train` and `val`.
    """
    content = read_json(path)
    if (problem := problem_of(SPLITS_RULE, content)) is not None:
        raise FileError(
            path,
            f'must be a list of {{"train": [cases], "val": [cases]}}, but {problem}',
            "correct it, or delete it to have new folds made",
        )
    return [{"train": list(entry["train"]), "val": list(entry["val"])} for entry in content]


def fold_cases(
    splits: Sequence[Split], fold: int | str, identifiers: Sequence[str], reporter: Reporter = SILENT
) -> tuple[list[str], list[str]]:
    """The training and validation cases of one fold, in the order nnU-Net has them.

    `fold` is a number or `"all"` (every case in both lists). A number beyond the list draws a random 80 : 20
    split that depends on the number only, as nnU-Net's does.

    Raises:
        UserInputError: the fold is neither, or leaves no training case.
    """
    names = sorted(identifiers)
    if fold == "all":
        return names, list(names)
    if not str(fold).isdecimal():
        raise UserInputError(f'Fold {fold} is neither a number from 0 nor "all"; give one of them.')
    number = int(fold)
    if number < len(splits):
        train, val = list(splits[number]["train"]), list(splits[number]["val"])
    else:
        train, val = _random_split(names, number)
    if not train:
        raise UserInputError(
            f"Fold {fold} leaves no case to train on ({len(names)} in all); choose one of the folds 0 to "
            f'{len(splits) - 1}, or "all".'
        )
    shared = set(train) & set(val)
    if shared:
        reporter.event(
            "warning",
            message=f"Fold {fold} validates on {len(shared)} of its training cases: its Dice is too good.",
            hint="Label more cases.",
        )
    return train, val


def _split_with_validation(names: list[str], validation: set[int]) -> Split:
    return {
        "train": [name for index, name in enumerate(names) if index not in validation],
        "val": [name for index, name in enumerate(names) if index in validation],
    }


def _random_split(names: list[str], fold: int) -> tuple[list[str], list[str]]:
    random = np.random.RandomState(SEED + fold)
    drawn = random.choice(len(names), size=int(len(names) * 0.8), replace=False).tolist()
    return [names[i] for i in drawn], [name for i, name in enumerate(names) if i not in drawn]


def _begins_alike(written: list[Split], users: list[Split]) -> bool:
    def as_sets(split: Split) -> tuple[set[str], set[str]]:
        return set(split["train"]), set(split["val"])

    return list(map(as_sets, written[: len(users)])) == list(map(as_sets, users))


def _check_cases(splits: list[Split], identifiers: Sequence[str], source: Path, reporter: Reporter) -> None:
    known = set(identifiers)
    named = {name for split in splits for part in split.values() for name in part}
    unknown = sorted(named - known)
    if unknown:
        examples = ", ".join(unknown[:5]) + (" …" if len(unknown) > 5 else "")
        raise UserInputError(
            f"{source}: names {examples}, which the dataset does not have; "
            "correct the file, or delete it to have new folds made."
        )
    unused = sorted(known - named)
    if unused:
        reporter.event(
            "warning",
            message=f"{source}: {len(unused)} of {len(known)} cases are in no fold, for example {unused[0]}.",
            hint="Delete the file to have new folds made from all cases.",
        )

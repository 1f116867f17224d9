"""What a dataset.json may say that it must not: of a raw dataset, a model, segmentations, an imported task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..attack import Attack, Expected
from ..spoils import GONE, InJson, Replaced, Text
from ..wrong_values import INFINITY, NAN, WRONG_VALUES, nested

FAMILY = "dataset.json"
RAW, MODEL, SEGMENTED = "{raw}/dataset.json", "{model}/dataset.json", "{predictions}/dataset.json"
EQUAL = Expected.REFUSED_OR_EQUAL

WHOLE_AND_CORE = {"background": 0, "whole": [1, 2], "core": 2}

ALWAYS_WRONG: dict[str, tuple[tuple[str, ...], Any]] = {
    "channels-list": (("channel_names",), ["MR"]),
    "channels-empty": (("channel_names",), {}),
    "channels-text": (("channel_names",), "MR"),
    "channels-number": (("channel_names",), 7),
    "channels-null": (("channel_names",), None),
    "channel-null": (("channel_names",), {"0": None}),
    "channel-object": (("channel_names",), {"0": {"a": 1}}),
    "channel-list": (("channel_names",), {"0": ["MR"]}),
    "channels-two-of-one": (("channel_names",), {"0": "MR", "1": "PET"}),
    "channels-100000": (("channel_names",), {str(number): "MR" for number in range(100_000)}),
    "channels-missing": (("channel_names",), GONE),
    "labels-list": (("labels",), ["background", "ball"]),
    "labels-empty": (("labels",), {}),
    "labels-text": (("labels",), "ball"),
    "labels-null": (("labels",), None),
    "labels-missing": (("labels",), GONE),
    "labels-only-background": (("labels",), {"background": 0}),
    "background-missing": (("labels", "background"), GONE),
    "background-one": (("labels", "background"), 1),
    "background-false": (("labels", "background"), False),
    "label-negative": (("labels", "core"), -1),
    "label-2^70": (("labels", "core"), 2**70),
    "label-2^31": (("labels", "core"), 2**31),
    "label-70000": (("labels", "core"), 70_000),
    "label-true": (("labels", "core"), True),
    "label-float": (("labels", "core"), 1.5),
    "label-nan": (("labels", "core"), NAN),
    "label-infinite": (("labels", "core"), INFINITY),
    "label-1e999": (("labels", "core"), "literally:1e999"),
    "label-text": (("labels", "core"), "two"),
    "label-null": (("labels", "core"), None),
    "label-empty-list": (("labels", "core"), []),
    "label-nested": (("labels", "core"), [[2]]),
    "label-deep": (("labels", "core"), nested(400)),
    "label-object": (("labels", "core"), {"value": 2}),
    "label-list-of-floats": (("labels", "core"), [1.5]),
    "label-list-of-negatives": (("labels", "core"), [-1, 2]),
    "label-list-of-2^70": (("labels", "core"), [2**70]),
    "ignore-in-the-middle": (("labels",), {"background": 0, "ignore": 1, "core": 2}),
    "ignore-list": (("labels",), {"background": 0, "ball": 1, "core": 2, "ignore": [3]}),
    "regions-without-order": (("labels",), WHOLE_AND_CORE),
    "ending-null": (("file_ending",), None),
    "ending-number": (("file_ending",), 7),
    "ending-list": (("file_ending",), [".nii.gz"]),
    "ending-empty": (("file_ending",), ""),
    "ending-dot": (("file_ending",), "."),
    "ending-without-dot": (("file_ending",), "nii.gz"),
    "ending-climbs": (("file_ending",), "./../../../../../outside/x.nii.gz"),
    "ending-with-folder": (("file_ending",), ".d/x.nii.gz"),
    "ending-nul": (("file_ending",), ".nii.gz\0"),
    "ending-newline": (("file_ending",), ".nii\n.gz"),
    "ending-unknown": (("file_ending",), ".exe"),
    "ending-endless": (("file_ending",), "." + "x" * 5000),
    "ending-pattern": (("file_ending",), ".*"),
    "ending-backslash": (("file_ending",), ".\\..\\x.nii.gz"),
    "ending-missing": (("file_ending",), GONE),
}
"""Refused by whoever reads them."""
ONLY_THE_WEIGHTS_TELL = ("labels-only-background", "channels-two-of-one", "channels-100000", "ending-unknown")
"""Odd, but nothing that a list of models must refuse."""

WRONG_ORDERS: dict[str, Any] = {
    "short": [1],
    "long": [1, 2, 3],
    "empty": [],
    "not-labels": [7, 9],
    "negative": [-1, 2],
    "2^70": [2**70, 2],
    "floats": [1.5, 2],
    "booleans": [True, 2],
    "texts": ["1", "2"],
    "nested": [[1], [2]],
    "text": "12",
    "object": {"1": 2},
    "null": None,
    "nan": [NAN, 2],
}

OF_A_RAW_DATASET: dict[str, tuple[tuple[str, ...], Any]] = {
    "count-negative": (("numTraining",), -1),
    "count-text": (("numTraining",), "3"),
    "count-float": (("numTraining",), 1.5),
    "count-true": (("numTraining",), True),
    "count-null": (("numTraining",), None),
    "count-list": (("numTraining",), [3]),
    "count-2^70": (("numTraining",), 2**70),
    "count-nan": (("numTraining",), NAN),
    "count-missing": (("numTraining",), GONE),
    "count-7": (("numTraining",), 7),
    "reader-code": (("overwrite_image_reader_writer",), "os.system"),
    "reader-unknown": (("overwrite_image_reader_writer",), "NoSuchIO"),
    "reader-number": (("overwrite_image_reader_writer",), 7),
    "reader-list": (("overwrite_image_reader_writer",), []),
    "labels-with-gap": (("labels", "core"), 3),
}

APPEARANCES: dict[str, Any] = {
    "null-colour": {"color": None},
    "two-parts": {"color": [0, 1]},
    "four-parts": {"color": [0, 1, 0, 1]},
    "text-colour": {"color": "red"},
    "nan-colour": {"color": [NAN, 0, 0]},
    "infinite-colour": {"color": [0, "literally:1e999", 0]},
    "too-bright": {"color": [255, 0, 0]},
    "negative-colour": {"color": [-1, 0, 0]},
    "boolean-colour": {"color": [True, False, False]},
    "text-parts": {"color": ["0.1", "0.2", "0.3"]},
    "no-colour": {"terminology": "x"},
    "terminology-number": {"color": [0, 1, 0], "terminology": 7},
    "terminology-list": {"color": [0, 1, 0], "terminology": ["x"]},
    "terminology-endless": {"color": [0, 1, 0], "terminology": "x" * 10**6},
    "list": [0, 1, 0],
    "text": "red",
}

LENIENT = ("boolean-colour", "text-parts", "too-bright", "terminology-endless")

HARMLESS: dict[str, tuple[tuple[str, ...], Any]] = {
    "unknown-keys": (("licence",), {"what": ["ever", 1, None, {"deep": [True]}]}),
    "description": (("description",), "ü" * 1000),
    "reader-None": (("overwrite_image_reader_writer",), "None"),
    "channel-name-odd": (("channel_names",), {"0": "MR ✓"}),
    "label-names-odd": (("labels",), {"background": 0, "größer": 1, "a b/c:d": 2}),
}


def attacks() -> Iterator[Attack]:
    for name, (keys, value) in ALWAYS_WRONG.items():
        for file, verb in ((RAW, "check"), (MODEL, "predict"), (MODEL, "look at model"), (SEGMENTED, "evaluate")):
            if "channels" not in name or file != SEGMENTED:
                only_shown = verb == "look at model" and name in ONLY_THE_WEIGHTS_TELL
                yield _attack(file, verb, name, keys, value, Expected.ANSWERED if only_shown else Expected.REFUSED)
        yield _attack(MODEL, "look for models", name, keys, value, Expected.ANSWERED)
    for name, order in WRONG_ORDERS.items():
        for file, verb in ((RAW, "check"), (MODEL, "predict"), (SEGMENTED, "evaluate")):
            spoil = (InJson(file, ("labels",), WHOLE_AND_CORE), InJson(file, ("regions_class_order",), order))
            yield Attack(FAMILY, f"order-{name}", verb, spoil, named=(file,))
    for name, (keys, value) in OF_A_RAW_DATASET.items():
        for verb in ("check", "train"):
            # What only the images contradict is said of them.
            files = (RAW, "{raw}/labelsTr", "{preprocessed}")
            expected = Expected.ANSWERED if (verb, name) == ("train", "count-7") else Expected.REFUSED
            if name in ("reader-unknown", "reader-code"):  # nnU-Net then chooses one by the ending
                expected = EQUAL
            yield Attack(FAMILY, name, verb, (InJson(RAW, keys, value),), expected, files)
    for name, entry in APPEARANCES.items():
        expected = EQUAL if name in LENIENT else Expected.REFUSED
        yield _attack(MODEL, "look at model", f"appearance-{name}", ("segments",), {"ball": entry}, expected)
    for name, (keys, value) in HARMLESS.items():
        for file, verb in ((MODEL, "predict"), (RAW, "plan"), (SEGMENTED, "evaluate")):
            yield _attack(file, verb, name, keys, value, Expected.HARMLESS)
    yield from _odd_texts()
    for key in ("channel_names", "labels", "numTraining", "file_ending", "overwrite_image_reader_writer", "segments"):
        for name, value in WRONG_VALUES.items():
            for file, verb in ((RAW, "plan"), (MODEL, "predict")):
                yield _attack(file, verb, f"{key}={name}", (key,), value, EQUAL)


def _odd_texts() -> Iterator[Attack]:
    windows = Replaced(MODEL, b"{", b"\r\n\t {")
    yield Attack(FAMILY, "windows-lines", "predict", (windows,), Expected.HARMLESS)
    yield Attack(FAMILY, "byte-order-mark", "predict", (Replaced(MODEL, b"{", b"\xef\xbb\xbf{"),), EQUAL, (MODEL,))
    control = InJson(MODEL, ("labels",), {"background": 0, "\x1b[31mred\x07": 1, "two\nlines": 2})
    yield Attack(FAMILY, "names-with-escapes", "predict", (control,), EQUAL, (MODEL,))
    yield Attack(FAMILY, "names-with-escapes", "look for models", (control,), Expected.ANSWERED)
    lone = Text(MODEL, b'{"channel_names": {"0": "MR"}, "labels": {"background": 0, "\\ud800": 1, "core": 2}, '
                       b'"file_ending": ".nii.gz", "numTraining": 3}')  # fmt: skip
    for verb in ("predict", "look at model"):
        yield Attack(FAMILY, "lone-surrogate", verb, (lone,), EQUAL, (MODEL,))
    yield Attack(FAMILY, "lone-surrogate", "look for models", (lone,), Expected.ANSWERED)


def _attack(file: str, verb: str, name: str, keys: Any, value: Any, expected: Expected = Expected.REFUSED) -> Attack:
    # A plausible value that only the images contradict is said of them.
    more = ("{fold}",) if keys[0] == "channel_names" or value == {"background": 0} else ()
    named = (file, "{images}", *more) if verb == "predict" else (file, "{raw}", "{predictions}", "{references}")
    return Attack(FAMILY, name, verb, (InJson(file, keys, value),), expected, named)

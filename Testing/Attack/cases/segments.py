"""`.seg.nrrd` headers, pairs of files, and tasks of other programs: what `import` is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..attack import Attack, Expected
from ..image_files import Voxels, mha
from ..special_files import SPECIAL_FILES
from ..spoils import Become, By, Copied, Cut, InJson, Removed, Replaced
from ..wrong_values import WRONG_VALUES

FAMILY = "import"
SEGMENTS, IMAGE = "{sources}/pairs/ball_0.seg.nrrd", "{sources}/pairs/ball_0.nrrd"
TASK, OLD_TASK = "{sources}/Task01_Balls", "{sources}/Task001_Balls"
EQUAL = Expected.REFUSED_OR_EQUAL

VALUE, LAYER, NAME = b"Segment0_LabelValue:=1", b"Segment0_Layer:=0", b"Segment0_Name:=ball"
WRONG_LINES: dict[str, tuple[bytes, bytes]] = {
    "value-text": (VALUE, b"Segment0_LabelValue:=x"),
    "value-empty": (VALUE, b"Segment0_LabelValue:="),
    "value-float": (VALUE, b"Segment0_LabelValue:=1.5"),
    "value-nan": (VALUE, b"Segment0_LabelValue:=nan"),
    "value-negative": (VALUE, b"Segment0_LabelValue:=-1"),
    "value-zero": (VALUE, b"Segment0_LabelValue:=0"),
    "value-2^70": (VALUE, b"Segment0_LabelValue:=1180591620717411303424"),
    "value-endless": (VALUE, b"Segment0_LabelValue:=" + b"1" * 10_000),
    "layer-text": (LAYER, b"Segment0_Layer:=x"),
    "layer-empty": (LAYER, b"Segment0_Layer:="),
    "layer-negative": (LAYER, b"Segment0_Layer:=-1"),
    "layer-far": (LAYER, b"Segment0_Layer:=1000000000"),
    "layer-2^70": (LAYER, b"Segment0_Layer:=1180591620717411303424"),
    "name-empty": (NAME, b"Segment0_Name:="),
    "name-spaces": (NAME, b"Segment0_Name:=   "),
    "name-background": (NAME, b"Segment0_Name:=background"),
    "name-ignore": (NAME, b"Segment0_Name:=ignore"),
    "number-endless": (NAME, b"Segment" + b"9" * 5000 + b"_Name:=ball"),
    "same-value-twice": (b"Segment1_LabelValue:=2", b"Segment1_LabelValue:=1"),
}
ODD_LINES: dict[str, tuple[bytes, bytes]] = {
    "name-slashes": (NAME, b"Segment0_Name:=../../x"),
    "name-endless": (NAME, b"Segment0_Name:=" + b"x" * 100_000),
    "name-escape": (NAME, b"Segment0_Name:=\x1b[31mred"),
    "name-latin-1": (NAME, b"Segment0_Name:=gr\xf6\xdfer"),
    "name-nul": (NAME, b"Segment0_Name:=a\0b"),
    "names-equal": (NAME, b"Segment0_Name:=core"),
    "colour-wrong": (NAME, NAME + b"\nSegment0_Color:=red green blue"),
    "colour-nan": (NAME, NAME + b"\nSegment0_Color:=nan inf -1"),
    "extent-wrong": (NAME, NAME + b"\nSegment0_Extent:=0 999999999 0 5 x y"),
    "tags-endless": (NAME, NAME + b"\nSegment0_Tags:=" + b"Segmentation.Status:x|" * 20_000),
    "number-leading-zeros": (NAME, b"Segment0000_Name:=ball"),
}


def attacks() -> Iterator[Attack]:
    for name, (old, new) in WRONG_LINES.items():
        expected = EQUAL if name.startswith("name-") else Expected.REFUSED
        yield _of("import pairs", f"segment-{name}", Replaced(SEGMENTS, old, new), expected, SEGMENTS)
    for name, (old, new) in ODD_LINES.items():
        yield _of("import pairs", f"segment-{name}", Replaced(SEGMENTS, old, new), Expected.ANSWERED, SEGMENTS)
    for file in (SEGMENTS, IMAGE):
        what = "labels" if file == SEGMENTS else "image"
        for name, make in SPECIAL_FILES.items():
            # What is no file is no segmentation, and its image then has none.
            yield _of("import pairs", f"{what}-{name}", Become(file, make), Expected.REFUSED, SEGMENTS, IMAGE)
        for tenth in (1, 5, 9):
            yield _of("import pairs", f"{what}-cut-{tenth}/10", Cut(file, tenth / 10), Expected.REFUSED, file)
        yield _of("import pairs", f"{what}-missing", Removed(file), Expected.REFUSED, SEGMENTS, IMAGE)
    for name, target in (
        ("con", "con"),
        ("endless", "x" * 240),
        ("dots", "..x"),
        ("newline", "a\nb"),
        ("space", " a "),
    ):
        files = tuple(Copied(file, f"{{sources}}/pairs/{target}{end}") for file, end in
                      ((IMAGE, ".nrrd"), (SEGMENTS, ".seg.nrrd")))  # fmt: skip
        yield _of("import pairs", f"pair-named-{name}", files, Expected.ANSWERED, "{sources}/pairs")
    yield _of("import pairs", "image-is-mha-of-system", By(IMAGE, mha(ElementDataFile="/etc/passwd")),
              Expected.REFUSED, IMAGE)  # fmt: skip
    yield from _tasks()


def _tasks() -> Iterator[Attack]:
    for folder, verb in ((TASK, "import decathlon"), (OLD_TASK, "import nnunet-v1")):
        description = f"{folder}/dataset.json"
        for key in ("modality", "labels", "numTraining", "training", "name", "file_ending"):
            for name, value in WRONG_VALUES.items():
                yield _of(verb, f"{key}-{name}", InJson(description, (key,), value), EQUAL, folder)
        for name, entry in (
            ("7", 7),
            ("null", None),
            ("list", ["x"]),
            ("climbs", {"image": "../../x", "label": "/etc"}),
        ):
            yield _of(verb, f"training-of-{name}", InJson(description, ("training",), [entry]), EQUAL, folder)
        for key in ("0", "1"):
            for name, value in (("number", 7), ("null", None), ("list", []), ("climbs", "../../../x")):
                spoil = InJson(description, ("labels", key), value)
                # A name, if it is a text: whatever text it is.
                expected = Expected.REFUSED if name != "climbs" else Expected.ANSWERED
                yield _of(verb, f"label-{key}-{name}", spoil, expected, folder)
        yield _of(verb, "label-key-text", InJson(description, ("labels",), {"0": "background", "x": "y"}),
                  Expected.REFUSED, description)  # fmt: skip
        yield _of(verb, "label-key-2^70", InJson(description, ("labels",), {"0": "background", str(2**70): "y"}),
                  Expected.REFUSED, description)  # fmt: skip
        ending = "_0000" if folder == OLD_TASK else ""
        image, label = f"{folder}/imagesTr/ball_0{ending}.nii.gz", f"{folder}/labelsTr/ball_0.nii.gz"
        for name, make in SPECIAL_FILES.items():
            # Files are copied as they are, and `check` looks into them; what is no file is no image.
            usual = name in ("sparse-300-MB", "80-MB-of-spaces")
            expected = Expected.ANSWERED if usual else Expected.REFUSED
            yield _of(verb, f"label-is-{name}", Become(label, make), expected, label)
            yield _of(verb, f"image-is-{name}", Become(image, make), Expected.ANSWERED, folder)
        if folder == TASK:
            twice = Voxels(image, lambda array: __import__("numpy").stack([array, array]))
            yield _of(verb, "image-of-two-channels", twice, Expected.REFUSED, image)


def _of(verb: str, name: str, spoil: Any, expected: Expected, *named: str) -> Attack:
    spoils = spoil if isinstance(spoil, tuple) else (spoil,)
    return Attack(FAMILY, name, verb, spoils, expected, named, hostile=False)

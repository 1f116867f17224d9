"""Where results cannot or must not go: other people's files, places that cannot be written, full disks."""

from __future__ import annotations

from collections.abc import Iterator

from ..attack import Attack, Expected
from ..place import DATASET
from ..special_files import a_circle, a_fifo, a_folder
from ..spoils import Become, Copied, CopiedFolder, Cut, Folder, Linked, Mode, Text

FAMILY = "output"
SEGMENTED = "{output}/ball_0.nii.gz"
PLAN, FINGERPRINT = "{preprocessed}/nnUNetPlans.json", "{preprocessed}/dataset_fingerprint.json"
CASE = "{preprocessed}/nnUNetPlans_3d_fullres/ball_0.case.safetensors"
MODEL = "{results}/nnUNetTrainer__nnUNetPlans__3d_fullres"
OBEYING = {"obeys_permissions": True}


def attacks() -> Iterator[Attack]:
    yield from _into_others_files()
    yield from _where_nothing_can_be_written()
    yield from _into_a_full_disk()
    yield from _what_was_left()


def _into_others_files() -> Iterator[Attack]:
    """`predict` never replaces what it did not write."""
    labels = Copied("{images}/ball_0_0000.nii.gz", "{lair}/labelsTr/ball_0.nii.gz")
    yield _of("predict", "into-labelsTr", (labels,), "{lair}/labelsTr", output="{lair}/labelsTr")
    raw = (Text("{lair}/raw/dataset.json", '{"precious": true}'), Folder("{lair}/raw/imagesTr"))
    yield _of("predict", "into-raw-dataset", raw, "{lair}/raw", output="{lair}/raw")
    yield _of("predict", "into-its-own-images", (), "{images}", output="{images}")
    yield _of("predict", "into-the-model", (), "{model}", output="{model}")
    yield _of("predict", "into-a-fold", (), "{fold}", output="{fold}")
    yield _of("predict", "over-plans", (Text("{output}/plans.json", "{}"),), "{output}")
    yield _of("predict", "over-a-segmentation", (Text(SEGMENTED, "precious"),), "{output}")
    yield _of("predict", "link-to-outside", (Linked("{output}", "{outside}"),), "{output}", "{outside}")
    yield _of("evaluate", "summary-over-a-reference", (), "{references}/ball_0.nii.gz",
              arguments=("--output={references}/ball_0.nii.gz",))  # fmt: skip
    yield _of("evaluate", "summary-over-dataset.json", (), "{predictions}/dataset.json",
              arguments=("--output={predictions}/dataset.json",))  # fmt: skip
    taken = Folder(f"{{workspace}}/raw/{DATASET}")
    for verb in ("import decathlon", "import nnunet-v1"):
        yield _of(verb, "id-is-taken", (taken,), f"{{workspace}}/raw/{DATASET}", "Dataset001", "--id")


def _where_nothing_can_be_written() -> Iterator[Attack]:
    for name, spoil in {
        "output-is-a-file": Text("{output}", "precious"),
        "output-is-a-fifo": Become("{output}", a_fifo),
        "output-is-a-circle": Become("{output}", a_circle),
        "output-below-a-file": Text("{lair}/file", "x"),
        "output-is-a-device": Linked("{output}", "/dev/full"),
        "output-dangles": Linked("{output}", "{lair}/no/such/place"),
    }.items():
        where = "{lair}/file/output" if "below" in name else "{output}"
        expected = Expected.ANSWERED if "dangles" in name else Expected.REFUSED
        yield _of("predict", name, (spoil,), where, output=where, expected=expected)
    for name, output in (("too-long", "{lair}/" + "x" * 300), ("far-too-long", "{lair}" + "/x" * 3000),
                         ("device", "/dev/full"), ("process", "/proc/1/x"), ("system", "/sys/x")):  # fmt: skip
        yield _of("predict", f"output-{name}", (), output[:40], output=output)
    for verb, target in (("plan", PLAN), ("fingerprint", FINGERPRINT), ("preprocess", CASE),
                         ("train", f"{MODEL}/plans.json"), ("evaluate", "{predictions}/summary.json"),
                         ("predict", SEGMENTED),
                         ("train", f"{MODEL}/fold_0/checkpoint_final.pth"), ("plan", "{preprocessed}/dataset.json"),
                         ("predict", "{output}/dataset.json"),
                         ("preprocess", "{preprocessed}/gt_segmentations/ball_0.nii.gz")):  # fmt: skip
        name = target.rpartition("/")[2]
        yield _of(verb, f"a-folder-as-{name}", (Become(target, a_folder),), target, target.rpartition("/")[0])
    for verb in ("plan", "fingerprint", "preprocess", "train"):
        file = "{workspace}/preprocessed" if verb != "train" else "{workspace}/results"
        if verb in ("plan", "fingerprint", "train"):
            yield _of(verb, "a-file-as-its-folder", (Text(file, "x"),), file)
        if verb in ("plan", "fingerprint"):
            yield _of(verb, "a-circle-as-its-folder", (Become(file, a_circle),), file)
            yield _of(verb, "a-fifo-as-its-folder", (Become(file, a_fifo),), file)
    yield from _without_permission()


def _without_permission() -> Iterator[Attack]:
    for mode, kind in ((0o555, "read-only"), (0o000, "forbidden")):
        for verb, folder in (("plan", "{workspace}"), ("fingerprint", "{workspace}"), ("predict", "{output}"),
                             ("evaluate", "{predictions}"), ("preprocess", "{preprocessed}"), ("check", "{raw}"),
                             ("predict", "{images}"), ("convert to nnunet", "{output}"), ("predict", "{model}"),
                             ("train", "{workspace}"),
                             ("look at model", "{model}"), ("look for models", "{lair}/models")):  # fmt: skip
            made = (Folder(folder, ""),) if folder == "{output}" else ()
            reads_only = verb in ("check", "look at model", "look for models") or folder in ("{images}", "{model}")
            # Who only reads may do so in a read-only folder, and a list passes over what is closed.
            fine = (reads_only and mode == 0o555) or verb == "look for models"
            yield _of(verb, f"{kind}-{folder[1:-1].replace('/', '|')}", (*made, Mode(folder, mode)), folder,
                      expected=Expected.ANSWERED if fine else Expected.REFUSED, limits=OBEYING)  # fmt: skip


def _into_a_full_disk() -> Iterator[Attack]:
    """A disk that fills up; and a limit to the size of files, which to a writer is the same by another number."""
    for verb, folder, disks in (("plan", "{workspace}/preprocessed", (4, 8)), ("predict", "{output}", (4, 8)),
                                ("train", "{workspace}/results", (4, 16, 40, 100)),
                                ("convert to nnunet", "{output}", (4, 32)),
                                ("import decathlon", "{workspace}/raw", (4, 32)),
                                ("import pairs", "{workspace}/raw", (4, 16)),
                                ("import nnunet-v1", "{workspace}/raw", (4, 32))):  # fmt: skip
        for disk in disks:
            yield _of(verb, f"disk-of-{disk}-kB", (), limits={"full_disk": folder, "disk_kb": disk})
    for verb, kilobytes in (("preprocess", (1, 30)), ("train", (1, 40)), ("predict", (0.1, 0.5, 2)), ("plan", (0.1, 2)),
                            ("fingerprint", (0.1,)), ("evaluate", (0.1,)), ("import decathlon", (0.1, 2)),
                            ("import nnunet-v1", (0.1, 2)), ("import pairs", (0.1, 1))):  # fmt: skip
        for size in kilobytes:
            yield _of(verb, f"files-of-{size}-kB", (), limits={"file_mb": size / 1024})


def _what_was_left() -> Iterator[Attack]:
    """`--continue` and a second run believe only what is complete, and remove only what is theirs."""
    finished = CopiedFolder("{predictions}", "{output}")
    for name, spoil in (("empty", Text(SEGMENTED, b"")), ("cut", Cut(SEGMENTED, 0.5)), ("text", Text(SEGMENTED, "x"))):
        yield _of("continue finished", f"continue-{name}", (finished, spoil), "{output}",
                  expected=Expected.REFUSED_OR_EQUAL)  # fmt: skip
    yield _of("continue finished", "continue-sound", (finished,), expected=Expected.HARMLESS)
    stale = Text("{preprocessed}/nnUNetPlans_3d_fullres/.writing_0123456789abcdef0123456789abcdef.safetensors", "stale")
    yield _of("preprocess again", "stale-temporary", (stale,), expected=Expected.HARMLESS)
    for name, spoil in (("empty", Text(CASE, b"")), ("cut", Cut(CASE, 0.5)), ("text", Text(CASE, "x"))):
        yield _of("preprocess again", f"case-{name}", (spoil,), CASE, expected=Expected.REFUSED_OR_EQUAL)
        yield _of("train", f"case-{name}", (spoil,), CASE, expected=Expected.REFUSED_OR_EQUAL)
    theirs = Text("{preprocessed}/nnUNetPlans_3d_fullres/precious.txt", "precious")
    yield _of("preprocess again", "others-files-stay", (theirs,), expected=Expected.HARMLESS)


def _of(
    verb: str,
    name: str,
    spoils: tuple = (),
    *named: str,
    output: str = "",
    arguments: tuple[str, ...] = (),
    expected: Expected = Expected.REFUSED,
    limits: dict | None = None,
) -> Attack:
    given = (*arguments, *((f"--output={output}",) if output else ()))
    return Attack(FAMILY, name, verb, spoils, expected, named, given, limits=limits or {}, hostile=False)

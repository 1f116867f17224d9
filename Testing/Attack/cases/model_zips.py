"""Models from strangers, in zip archives and folders: what they are called, how they inflate, what they hold."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from typing import Any

import torch

from .. import model_zips as zips
from ..archives import Coded, InCheckpoint
from ..attack import Attack, Expected
from ..model_zips import FINAL, INSIDE, PLANS, Bytes, Renamed, With, link
from ..place import DATASET, MODEL
from ..special_files import a_circle, a_fifo, a_folder
from ..spoils import GONE, Become, By, Cut, InJson, Linked, Removed, Text
from ..wrong_values import NAN

FAMILY = "shared model"
BESIDE = f"{INSIDE}/fold_0/validation/"
WEIGHTS, PLAN, DESCRIPTION = "{fold}/checkpoint_final.pth", "{model}/plans.json", "{model}/dataset.json"
FULLRES = ("configurations", "3d_fullres")
NETWORK = (*FULLRES, "architecture", "arch_kwargs")
EXECUTABLE = b"#!/bin/sh\ntouch executed\n"


def attacks() -> Iterator[Attack]:
    for name, spoil in {**NAMES, **KINDS, **BOMBS, **DAMAGE}.items():
        yield from _both(name, (spoil,), "{archive}")
    for name, (spoil, named) in UNKNOWN.items():
        yield from _both(name, (spoil,), "{archive}", named)
    for name, spoils in HOSTILE_MODELS.items():
        yield from _both(name, (*spoils, zips.pack_again), "{archive}")
    for name, spoil in HARMLESS.items():
        yield Attack(FAMILY, name, "import-model", (spoil,), Expected.HARMLESS)
    yield from _folders()
    yield from _exports()
    yield from _names_of_datasets()
    yield from _places()


NAMES = {
    "absolute": With("{outside}/executed"),
    "absolute-model": With("/executed/plans.json"),
    "drive": With("C:/executed"),
    "drive-relative": With("C:executed"),
    "backslashes": With("..\\..\\..\\executed"),
    "share": With("\\\\server\\share\\executed"),
    "climbs": With("../../../../outside/executed"),
    "climbs-first": With("../../../../outside/executed", first=True),
    "climbs-within": With(f"{INSIDE}/fold_0/../../../../../outside/executed"),
    "climbs-as-model": Renamed(DATASET, "../../Dataset001_executed"),
    "climbs-as-folder": With("../../../../outside/executed/", b""),
    "only-dots": With(f"{INSIDE}/fold_0/.."),
    "zero-character": With(f"{INSIDE}/fold_0/checkpoint_best.pth\0.txt"),
    "device": With(f"{BESIDE}con.nii.gz"),
    "device-as-folder": With(f"{DATASET}/ensembles/ensemble___aux/aux/summary.json"),
    "ends-with-dot": With(f"{INSIDE}/LICENSE."),
    "ends-with-blank": With(f"{INSIDE}/LICENSE "),
    "stream": With(f"{BESIDE}x.nii.gz:executed.nii.gz"),
    "escape": With(f"{BESIDE}\x1b[31m.nii.gz"),
    "line-break": With(f"{BESIDE}x\nsegautoplan: fine.nii.gz"),
    "turned-writing": With(f"{INSIDE}/\u202egpj.exe"),
    "endless": With(f"{BESIDE}{'x' * 60_000}.nii.gz"),
    "deep": With("x/" * 10_000 + "x"),
    "empty-part": With(f"{INSIDE}//plans.json"),
    "twice": With(PLANS, b"{}"),
    "twice-weights": With(FINAL),
    "case-clash": With(f"{INSIDE}/PLANS.JSON", b"{}"),
    "case-clash-of-folders": With(f"{DATASET}/{MODEL.upper()}/LICENSE"),
    "accent-clash": By(
        "{archive}",
        lambda path: [zips.append(path, f"{BESIDE}{name}.nii.gz") for name in ("\u00e9", "e\u0301")],
    ),
    "file-and-folder": With(f"{PLANS}/executed.nii.gz"),
}
"""Names that lead elsewhere, or that are no names."""
KINDS = {
    "link": link(f"{INSIDE}/LICENSE", "{outside}/precious.txt"),
    "link-as-plans": link(f"{INSIDE}/fold_1/checkpoint_final.pth", "{outside}/precious.txt"),
    "link-as-folder": link(f"{INSIDE}/fold_1", "{outside}"),
    "fifo": With(f"{INSIDE}/LICENSE", b"", stat.S_IFIFO | 0o644),
    "device-file": With(f"{INSIDE}/LICENSE", b"", stat.S_IFCHR | 0o644),
    "socket": With(f"{INSIDE}/LICENSE", b"", stat.S_IFSOCK | 0o644),
    "folder-with-content": With(f"{INSIDE}/fold_1/", b"executed"),
    "encrypted": zips.encrypted,
    "unusual-packing": zips.in_directory(PLANS, zips.METHOD, "<H", 99),
    "lzma": zips.in_directory(PLANS, zips.METHOD, "<H", 14),
    "nested": zips.nested,
    "nested-beside": With(f"{INSIDE}/more.zip", b"PK"),
    "version-1": zips.version_1,
    "empty": zips.empty,
    "tar": zips.a_tar,
}
"""Members that are no ordinary files, and archives that are none of a model."""
BOMBS = {
    "bomb": zips.bomb,
    "many-bombs": zips.many_bombs,
    "overlapping": zips.overlapping,
    "thousands-of-files": zips.thousands_of_files,
    "claims-4-GB": zips.in_directory(FINAL, zips.CLAIMED, "<I", 0xFFFFFFF0),
    "claims-less": zips.in_directory(FINAL, zips.CLAIMED, "<I", 100),
    "claims-nothing": zips.in_directory(FINAL, zips.CLAIMED, "<I", 0),
    "plans-claim-300-MB": zips.in_directory(PLANS, zips.CLAIMED, "<I", 300 << 20),
    "packed-beyond-the-end": zips.in_directory(FINAL, zips.PACKED, "<I", 0x7FFFFFFF),
}
DAMAGE = {
    "cut": Cut("{archive}", 0.5),
    "cut-short": Cut("{archive}", 0.99),
    "no-bytes": Text("{archive}", b""),
    "text": Text("{archive}", "version https://git-lfs.github.com/spec/v1\n"),
    "a-script-before": Bytes(lambda content: EXECUTABLE + content),
    "wrong-checksum": zips.in_directory(FINAL, zips.CHECKSUM, "<I", 7),
    "wrong-checksum-of-plans": zips.in_directory(PLANS, zips.CHECKSUM, "<I", 7),
    "wrong-place": zips.in_directory(PLANS, zips.PLACE, "<I", 0x7FFFFFF0),
    "other-name-before-the-file": zips.in_directory(PLANS, 30, "<I", 0x41414141, local=True),
    "directory-of-4-GB": Bytes(lambda content: content[:-10] + b"\xf0\xff\xff\xff" + content[-6:]),
    "fifo-as-archive": Become("{archive}", a_fifo),
    "circle-as-archive": Become("{archive}", a_circle),
}
UNKNOWN = {
    "a-script": (With(f"{INSIDE}/executed.sh", EXECUTABLE, stat.S_IFREG | 0o755), "executed.sh"),
    "a-trainer": (With(f"{INSIDE}/nnUNetTrainer.py", EXECUTABLE), "nnUNetTrainer.py"),
    "a-module-beside": (With("nnunetv2/__init__.py", EXECUTABLE), "__init__.py"),
    "a-program": (With(f"{DATASET}/setup.exe", b"MZ"), "setup.exe"),
    "a-startup-file": (With(f"{INSIDE}/.bashrc", EXECUTABLE), ".bashrc"),
    "a-page-as-licence": (With(f"{INSIDE}/LICENSE/index.html"), "index.html"),
    "another-checkpoint": (With(f"{INSIDE}/fold_0/model.ckpt"), "model.ckpt"),
    "a-model-in-the-model": (With(f"{INSIDE}/{MODEL}/fold_0/checkpoint_final.pth"), MODEL),
}
"""Files that no model has."""


def _weights(change: Any) -> InCheckpoint:
    return InCheckpoint(WEIGHTS, change)


def _nan(content: dict[str, Any]) -> None:
    first = next(iter(content["network_weights"]))
    content["network_weights"][first].view(-1)[0] = NAN


NO_WEIGHTS = tuple(Removed(f"{{fold}}/checkpoint_{name}.pth") for name in ("final", "best", "latest"))

HOSTILE_MODELS = {
    "code-in-weights": (Coded(WEIGHTS, "os.system", "in-weights"),),
    "code-as-checkpoint": (Coded(WEIGHTS, "exec", "plain-pickle"),),
    "code-in-old-format": (Coded(WEIGHTS, "eval", "old-torch"),),
    "code-in-best": (Coded("{fold}/checkpoint_best.pth", "open", "whole"),),
    "code-in-latest": (Coded("{fold}/checkpoint_latest.pth", "touch", "in-trainer-name"),),
    "nan-weights": (_weights(_nan),),
    "weights-of-another-plan": (InJson(PLAN, (*NETWORK, "features_per_stage"), [8, 16]),),
    "no-weights-in-checkpoint": (_weights(lambda content: content.pop("network_weights")),),
    "huge-by-stride": (
        _weights(lambda content: content["network_weights"].update(more=torch.zeros(1).expand(10**6, 10**6))),
    ),
    "trainer-of-another-network": (_weights(lambda content: content.update(trainer_name="nnUNet_Primus_M_Trainer")),),
    "cut-checkpoint": (Cut(WEIGHTS, 0.5),),
    "checkpoint-is-a-page": (Text(WEIGHTS, "<html>please log in</html>"),),
    "no-checkpoint": NO_WEIGHTS,
    "network-that-is-imported": (InJson(PLAN, (*FULLRES, "architecture", "network_class_name"), "os.system"),),
    "convolution-that-is-imported": (InJson(PLAN, (*NETWORK, "conv_op"), "subprocess.Popen"),),
    "patch-of-a-terabyte": (InJson(PLAN, (*FULLRES, "patch_size"), [16384] * 3),),
    "features-of-a-terabyte": (InJson(PLAN, (*NETWORK, "features_per_stage"), [100_000, 100_000]),),
    "plans-name-climbs": (InJson(PLAN, ("plans_name",), "../../outside/executed"),),
    "no-plans": (Removed(PLAN),),
    "plans-are-a-list": (Text(PLAN, "[]"),),
    "plans-nested": (Text(PLAN, "[" * 100_000),),
    "inherits-in-a-circle": (InJson(PLAN, (*FULLRES, "inherits_from"), "3d_fullres"),),
    "no-dataset.json": (Removed(DESCRIPTION),),
    "ending-climbs": (InJson(DESCRIPTION, ("file_ending",), "/../../executed"),),
    "labels-with-a-gap": (InJson(DESCRIPTION, ("labels",), {"background": 0, "ball": 7}),),
    "other-channels": (InJson(DESCRIPTION, ("channel_names",), {"0": "MR", "1": "CT"}),),
    "postprocessing-calls": (
        Text(
            "{model}/crossval_results_folds_0/postprocessing.json",
            '{"postprocessing_fns": ["os.system"], "postprocessing_kwargs": [{"command": "touch executed"}]}',
        ),
    ),
    "postprocessing-list": (Text("{model}/crossval_results_folds_0/postprocessing.json", "[]"),),
    "summary-of-text": (Text("{fold}/validation/summary.json", '{"foreground_mean": {"Dice": "good"}}'),),
    "broken-fingerprint": (Text("{model}/dataset_fingerprint.json", "{"),),
}
"""Archives that are in order, of models that are not."""

HARMLESS = {
    "what-a-mac-adds": With(f"__MACOSX/{DATASET}/._plans.json"),
    "what-a-mac-leaves": With(f"{INSIDE}/.DS_Store"),
    "what-windows-leaves": With("Thumbs.db"),
    "a-pickle-that-calls": With(f"{INSIDE}/crossval_results_folds_0/postprocessing.pkl", b"cos\nsystem\n(S'exit'\ntR."),
    "probabilities": With(f"{BESIDE}case.npz"),
    "folders-of-their-own": With(f"{INSIDE}/fold_0/validation/", b""),
    "in-another-folder": Renamed(DATASET, f"some/where/{DATASET}"),
    "a-comment": Bytes(lambda content: content[:-2] + b"\x05\x00hello"),
}


def _both(name: str, spoil: tuple[Any, ...], *named: str) -> Iterator[Attack]:
    expected = Expected.REFUSED
    yield Attack(FAMILY, name, "import-model", spoil, expected, named)
    yield Attack(FAMILY, name, "inspect-model", spoil, Expected.ANSWERED)


def _folders() -> Iterator[Attack]:
    """Folders whose files are not what they seem."""
    best = "{fold}/checkpoint_best.pth"
    for name, spoil, named in (
        ("link-as-plans", Linked(PLAN, "{outside}/plans.json"), PLAN),
        ("link-as-weights", Linked(WEIGHTS, "{outside}/precious.txt"), "checkpoint_final.pth"),
        ("link-as-licence", Linked("{model}/LICENSE", "{outside}/precious.txt"), "LICENSE"),
        ("link-in-a-circle", Become("{model}/LICENSE", a_circle), "LICENSE"),
        ("fifo-as-weights", Become(best, a_fifo), "checkpoint_best.pth"),
        ("folder-as-plans", Become(PLAN, a_folder), "{model}"),
        ("code", Coded(WEIGHTS, "os.system", "in-weights"), WEIGHTS),
    ):
        yield Attack(FAMILY, f"folder-{name}", "import-model folder", (spoil,), named=(named, "{model}"))
        yield Attack(FAMILY, f"folder-{name}", "inspect-model folder", (spoil,), Expected.ANSWERED)
    yield Attack(FAMILY, "folder-no-weights", "import-model folder", NO_WEIGHTS, named=("{model}",))
    # What lies in somebody's folder beside a model stays there.
    beside = (Text("{model}/executed.sh", "#!/bin/sh\n"), Text("{model}/nnUNetTrainer.py", "import os\n"))
    yield Attack(FAMILY, "folder-with-programs", "import-model folder", beside, Expected.HARMLESS)


def _exports() -> Iterator[Attack]:
    """Models that are to be passed on."""
    for name, spoil, named in (
        ("code", Coded(WEIGHTS, "os.system", "in-weights"), WEIGHTS),
        ("nan-weights", _weights(_nan), WEIGHTS),
        ("features-of-a-terabyte", InJson(PLAN, (*NETWORK, "features_per_stage"), [100_000, 100_000]), PLAN),
        ("no-weights", Removed(WEIGHTS), "{model}"),
        ("dataset-name-climbs", InJson(PLAN, ("dataset_name",), GONE), PLAN),
        ("postprocessing-calls", Text(
            "{model}/crossval_results_folds_0/postprocessing.json",
            '{"postprocessing_fns": ["os.system"], "postprocessing_kwargs": [{}]}'), "postprocessing.json"),
        ("broken-summary", Text("{fold}/validation/summary.json", "{"), "summary.json"),
    ):  # fmt: skip
        yield Attack(FAMILY, f"export-{name}", "export-model", (spoil,), named=(named,))
    private = "{outside}/precious.txt"
    for name, file in (("licence", "{model}/LICENSE"), ("architecture", "{fold}/network_architecture.pdf")):
        spoil = (Linked(file, private),)
        yield Attack(FAMILY, f"export-link-as-{name}", "export-model", spoil, Expected.HARMLESS)
    for name, spoil, output in (
        ("output-is-there", Text("{lair}/out.zip", "precious"), "{lair}/out.zip"),
        ("output-is-a-folder", By("{lair}/out.zip", a_folder), "{lair}/out.zip"),
        ("output-below-a-file", Text("{lair}/file", "x"), "{lair}/file/out.zip"),
        ("output-is-no-zip", Text("{lair}/file", "x"), "{lair}/plans.json"),
        ("output-is-a-link", Linked("{lair}/out.zip", "{outside}/precious.txt"), "{lair}/out.zip"),
        ("output-of-a-system", Text("{lair}/file", "x"), "/proc/1/out.zip"),
    ):
        yield Attack(
            FAMILY, name, "export-model", (spoil,), named=(output, output.rpartition("/")[0]), hostile=False,
            instead=((3, output),),
        )  # fmt: skip


def _names_of_datasets() -> Iterator[Attack]:
    wrong = ("../x", "..", "/etc", "Dataset1_x", "Dataset001_../../x", "Dataset001_", "Dataset001_x/y", "", "x",
             "Dataset001_con\x1b", "Dataset001_x.", "Dataset001_" + "x" * 300)  # fmt: skip
    for number, name in enumerate(wrong):
        yield Attack(FAMILY, f"name-{number}", "import-model", (), named=("--name", name[:20] or "--name"),
                     arguments=("--name", name), hostile=False)  # fmt: skip


def _places() -> Iterator[Attack]:
    """Workspaces in which there is something, or no room."""
    taken = f"{{workspace}}/results/{DATASET}/{MODEL}"
    for name, spoil in (
        ("model-is-there", Text(f"{taken}/precious.txt", "precious")),
        ("a-file-as-the-model", Text(taken, "precious")),
        ("a-link-as-the-model", Linked(taken, "{outside}")),
        ("a-link-as-the-dataset", Linked(f"{{workspace}}/results/{DATASET}", "{outside}")),
        ("a-file-as-the-dataset", Text(f"{{workspace}}/results/{DATASET}", "x")),
        ("a-file-as-results", Text("{workspace}/results", "x")),
    ):
        yield Attack(FAMILY, name, "import-model", (spoil,), named=("{workspace}/results",), hostile=False)
    for name in ("a-link-as-the-model", "a-link-as-the-dataset"):
        target = taken if name.endswith("model") else f"{{workspace}}/results/{DATASET}"
        yield Attack(FAMILY, f"overwriting-{name}", "import-model", (Linked(target, "{outside}"),),
                     named=(target,), arguments=("--overwrite",), hostile=False)  # fmt: skip
    for disk in (16, 60):
        yield Attack(FAMILY, f"disk-of-{disk}-kB", "import-model", (), named=("{workspace}", "disk"), hostile=False,
                     limits={"full_disk": "{workspace}", "disk_kb": disk})  # fmt: skip

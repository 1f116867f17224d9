"""The command line: its exit codes, and one sentence for every kind of bad input."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SegAutoPlanLib.__main__ import main
from SegAutoPlanLib.command_line.parser import VERBS, build_parser
from SegAutoPlanLib.workspace import Workspace

from .balls import NAME, ball_workspace, write_balls
from .raw_datasets import write_description, write_image

REPOSITORY = Path(__file__).resolve().parents[2]


def run_verb(capsys, *arguments: str) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def sentence_of(error: str) -> str:
    """The refusal: one line, no traceback."""
    assert "Traceback" not in error
    lines = [line for line in error.splitlines() if line.startswith("segautoplan: ")]
    assert len(lines) == 1, error
    return lines[0]


@pytest.fixture
def raw(tmp_path) -> Path:
    return write_balls(tmp_path / "raw", cases=5)


@pytest.fixture
def workspace(tmp_path) -> Path:
    return tmp_path


def produced(workspace: Path) -> list[str]:
    """What lies in preprocessed/ and results/: nothing may be left of work that was refused."""
    found = [*(workspace / "preprocessed").rglob("*"), *(workspace / "results").rglob("*")]
    return sorted(str(path.relative_to(workspace)) for path in found if path.is_file())


def test_a_sound_dataset_passes_the_check(capsys, raw, workspace):
    code, out, _ = run_verb(capsys, "check", NAME, "--workspace", workspace)
    assert code == 0
    assert "5 cases" in out


def test_the_check_reports_every_problem_at_once(capsys, raw, workspace):
    (raw / "imagesTr" / "ball_0_0000.nii.gz").unlink()
    image = np.full((24, 24, 24), np.nan, np.float32)
    write_image(image, raw / "imagesTr" / "ball_1_0000.nii.gz", spacing=(1.0, 1.0, 1.0))
    write_image(np.full((24, 24, 24), 7, np.uint8), raw / "labelsTr" / "ball_2.nii.gz", spacing=(1.0, 1.0, 1.0))
    code, out, _ = run_verb(capsys, "check", NAME, "--workspace", workspace)
    assert code == 2
    for case in ("ball_0", "ball_1", "ball_2"):
        assert case in out


def break_channel(raw: Path) -> str:
    description = json.loads((raw / "dataset.json").read_text())
    description["channel_names"] = {"0": "MR", "1": "PET"}
    (raw / "dataset.json").write_text(json.dumps(description))
    for number in range(1, 5):
        source = raw / "imagesTr" / f"ball_{number}_0000.nii.gz"
        (raw / "imagesTr" / f"ball_{number}_0001.nii.gz").write_bytes(source.read_bytes())
    return "ball_0_0001.nii.gz"


def break_grid(raw: Path) -> str:
    write_image(np.zeros((20, 24, 24), np.uint8), raw / "labelsTr" / "ball_3.nii.gz", spacing=(1.0, 1.0, 1.0))
    return "ball_3.nii.gz"


def break_label(raw: Path) -> str:
    write_image(np.full((24, 24, 24), 9, np.uint8), raw / "labelsTr" / "ball_2.nii.gz", spacing=(1.0, 1.0, 1.0))
    return "ball_2.nii.gz"


def break_values(raw: Path) -> str:
    image = np.full((24, 24, 24), np.nan, np.float32)
    write_image(image, raw / "imagesTr" / "ball_1_0000.nii.gz", spacing=(1.0, 1.0, 1.0))
    return "ball_1_0000.nii.gz"


def break_file(raw: Path) -> str:
    path = raw / "imagesTr" / "ball_4_0000.nii.gz"
    path.write_bytes(path.read_bytes()[:1000])
    return "ball_4_0000.nii.gz"


def empty_folder(raw: Path) -> str:
    for file in (raw / "imagesTr").iterdir():
        file.unlink()
    return "imagesTr"


def remove_description(raw: Path) -> str:
    (raw / "dataset.json").unlink()
    return "dataset.json"


@pytest.mark.parametrize(
    "spoil",
    [break_channel, break_grid, break_label, break_values, break_file, empty_folder, remove_description],
    ids=lambda spoil: spoil.__name__,
)
@pytest.mark.parametrize("verb", [["fingerprint"], ["plan"], ["train", "3d_fullres", "0"]], ids=lambda verb: verb[0])
def test_bad_data_is_one_sentence_that_names_the_file_and_leaves_nothing(capsys, raw, workspace, spoil, verb):
    named = spoil(raw)
    code, _, error = run_verb(capsys, verb[0], str(raw), *verb[1:], "--workspace", workspace)
    assert code == 2
    assert named in sentence_of(error)
    assert produced(workspace) == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["plan", "77"], "77"),
        (["plan", "Liver"], "Liver"),
        (["plan", NAME, "--planner", "giant"], "giant"),
        (["train", NAME, "3d_huge", "0"], "3d_huge"),
        (["train", NAME, "3d_fullres", "0", "--recipe", "wild"], "wild"),
        (["train", NAME, "3d_fullres", "0", "--epochs", "0"], "--epochs 0"),
        (["train", NAME, "3d_fullres", "0", "--plans", "otherPlans"], "otherPlans"),
        (["train", NAME, "3d_fullres", "0", "--device", "cuda", "--epochs", "1"], "cuda"),
        (["runs", "stop", "nothing"], "nothing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_option_is_one_sentence(capsys, raw, workspace, arguments, named):
    import torch

    if named == "cuda" and torch.cuda.is_available():
        pytest.skip("NOT TESTED: this machine has a CUDA device, so asking for one is right")
    code, _, error = run_verb(capsys, *arguments, "--workspace", workspace)
    assert code == 2
    assert named in sentence_of(error)


def test_a_mistyped_option_is_refused(capsys, raw):
    with pytest.raises(SystemExit) as refused:
        main(["train", NAME, "3d_fullres", "0", "--epoch5"])
    assert refused.value.code == 2


def test_json_is_one_object_on_standard_output(capsys, raw, workspace):
    code, out, _ = run_verb(capsys, "plan", NAME, "--json", "--workspace", workspace)
    assert code == 0
    assert json.loads(out)["dataset_name"] == NAME


def test_the_whole_chain_runs_verb_by_verb(capsys, tmp_path):
    workspace = ball_workspace(tmp_path / "über space")
    where = ("--workspace", str(tmp_path / "über space"))
    assert run_verb(capsys, "preprocess", "1", *where)[0] == 0
    train = ["train", "1", "3d_fullres", "0", "--recipe", "short", "--epochs", "1", "--iterations", "2"]
    code, out, _ = run_verb(capsys, *train, "--device", "cpu", "--json", *where)
    assert code == 0
    model = json.loads(out)["model"]
    images, output = workspace.raw / NAME / "imagesTr", tmp_path / "segmented"
    predict = ["predict", "--model", model, "--input", images, "--output", output, "--no-mirroring"]
    assert run_verb(capsys, *predict, "--device", "cpu")[0] == 0
    code, out, _ = run_verb(capsys, "evaluate", workspace.raw / NAME / "labelsTr", output)
    assert code == 0
    assert "ball" in out
    assert (output / "summary.json").is_file()
    code, out, _ = run_verb(capsys, *train, "--validate-only", "final", "--device", "cpu", "--json", *where)
    assert code == 0
    assert json.loads(out)["dice"]["ball"] is not None


@pytest.mark.parametrize(("missing", "recipe"), [("torch", "short"), ("batchgenerators", "elastic")])
def test_a_missing_package_is_one_sentence_with_the_remedy(raw, workspace, missing, recipe):
    # A finder that hides the package, as on a machine that does not have it.
    hide = (
        "import sys\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {missing!r}:\n"
        f"            raise ModuleNotFoundError('No module named ' + repr(name), name={missing!r})\n"
        "sys.meta_path.insert(0, Hidden())\n"
        "from SegAutoPlanLib.__main__ import main\n"
        f"sys.exit(main(['train', {str(raw)!r}, '3d_fullres', '0', '--recipe', {recipe!r}, '--workspace', "
        f"{str(workspace)!r}]))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", hide],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert answer.returncode == 2, answer.stderr
    sentence = sentence_of(answer.stderr)
    assert missing in sentence
    assert "install" in sentence
    assert not [file for file in produced(workspace) if "results" in file]


def test_a_planner_goes_by_nnunets_name_too(raw, workspace, capsys):
    code, out, _ = run_verb(
        capsys, "plan", NAME, "--planner", "nnUNetPlannerResEncM", "--json", "--workspace", workspace
    )
    assert code == 0
    assert json.loads(out)["plans_name"] == "nnUNetResEncUNetMPlans"


def test_checking_and_planning_need_no_torch(raw, workspace):
    code = (
        "import sys; from SegAutoPlanLib.__main__ import main;"
        f"code = main(['plan', {str(raw)!r}, '--workspace', {str(workspace)!r}]);"
        "sys.exit(code or ('torch' in sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert answer.returncode == 0, answer.stderr


def test_nnunets_variables_are_honoured(monkeypatch, tmp_path):
    monkeypatch.delenv("SEGAUTOPLAN_WORKSPACE", raising=False)
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "results elsewhere"))
    monkeypatch.setenv("SEGAUTOPLAN_WORKSPACE", str(tmp_path))
    located = Workspace.locate()
    assert located.results == tmp_path / "results elsewhere"
    assert located.raw == tmp_path / "raw"
    assert Workspace.locate(tmp_path).results == tmp_path / "results"


def test_pairs_of_images_and_segmentations_become_a_dataset(capsys, raw, tmp_path):
    source = tmp_path / "pairs"
    source.mkdir()
    for number in range(5):
        for kind, name in (("imagesTr", f"ball_{number}_0000.nii.gz"), ("labelsTr", f"ball_{number}.nii.gz")):
            target = f"case{number}.nii.gz" if kind == "imagesTr" else f"case{number}_seg.nii.gz"
            (source / target).write_bytes((raw / kind / name).read_bytes())
    where = ("--workspace", str(tmp_path / "new"))
    code, out, error = run_verb(capsys, "import", "pairs", source, "--id", "9", "--name", "Pairs", *where)
    assert code == 0, error
    assert "5 cases" in out
    assert run_verb(capsys, "check", "9", *where)[0] == 0
    assert run_verb(capsys, "import", "pairs", source, *where)[0] == 2


def test_slices_along_an_odd_axis_train_and_come_back_as_they_were(capsys, tmp_path):
    folder = tmp_path / "raw" / "Dataset077_Flat"
    square = np.zeros((40, 1, 48), np.uint8)
    square[10:25, :, 12:30] = 1
    for number in range(5):
        noise = np.random.default_rng(number).normal(0, 10, square.shape)
        image = (100 + 100 * square + noise).astype(np.int16)
        write_image(image, folder / "imagesTr" / f"c{number}_0000.nii.gz", spacing=(1.0, 5.0, 1.0))
        write_image(square, folder / "labelsTr" / f"c{number}.nii.gz", spacing=(1.0, 5.0, 1.0))
    write_description(folder, labels={"background": 0, "square": 1})
    where = ("--workspace", str(tmp_path))
    code, out, _ = run_verb(capsys, "check", "77", *where)
    assert code == 0
    assert "flat along y" in out
    train = ["train", "77", "2d", "0", "--recipe", "short", "--epochs", "1", "--iterations", "2", "--device", "cpu"]
    code, out, error = run_verb(capsys, *train, "--json", *where)
    assert code == 0, error
    (result,) = Path(json.loads(out)["checkpoint"]).parent.joinpath("validation").glob("*.nii.gz")
    assert sitk.ReadImage(str(result)).GetSize() == (48, 1, 40)


@pytest.fixture
def segmented(capsys, raw, workspace) -> Path:
    """A folder of segmentations as `predict` leaves them, here copies of the references."""
    folder = workspace / "segmented"
    folder.mkdir()
    for file in [*(raw / "labelsTr").iterdir(), raw / "dataset.json"]:
        (folder / file.name).write_bytes(file.read_bytes())
    assert run_verb(capsys, "plan", raw, "--workspace", workspace)[0] == 0
    (folder / "plans.json").write_bytes((workspace / "preprocessed" / NAME / "nnUNetPlans.json").read_bytes())
    return folder


def test_segmentations_are_read_as_the_plan_beside_them_says(capsys, raw, segmented, monkeypatch):
    import SegAutoPlanLib.pipeline.evaluate as verb

    plans = json.loads((segmented / "plans.json").read_text())
    (segmented / "plans.json").write_text(json.dumps({**plans, "image_reader_writer": "NibabelIO"}))
    asked = []
    evaluate_folder = verb.evaluate_folder
    monkeypatch.setattr(
        verb, "evaluate_folder", lambda *arguments: asked.append(arguments[4]) or evaluate_folder(*arguments)
    )
    assert run_verb(capsys, "evaluate", raw / "labelsTr", segmented)[0] == 0
    (segmented / "plans.json").unlink()
    assert run_verb(capsys, "evaluate", raw / "labelsTr", segmented)[0] == 0
    description = json.loads((segmented / "dataset.json").read_text())
    description["overwrite_image_reader_writer"] = "NibabelIOWithReorient"
    (segmented / "dataset.json").write_text(json.dumps(description))
    assert run_verb(capsys, "evaluate", raw / "labelsTr", segmented)[0] == 0
    assert asked == ["NibabelIO", "SimpleITKIO", "NibabelIOWithReorient"]


def without_file_ending(folder: Path) -> str:
    description = json.loads((folder / "dataset.json").read_text())
    del description["file_ending"]
    (folder / "dataset.json").write_text(json.dumps(description))
    return '"file_ending"'


def without_dataset_json(folder: Path) -> str:
    (folder / "dataset.json").unlink()
    return "--dataset-json"


def with_a_plan_that_is_none(folder: Path) -> str:
    (folder / "plans.json").write_text("[]")
    return "plans.json"


def without_segmentations(folder: Path) -> str:
    for file in folder.glob("*.nii.gz"):
        file.unlink()
    return "holds no .nii.gz file"


@pytest.mark.parametrize(
    "spoil",
    [without_file_ending, without_dataset_json, with_a_plan_that_is_none, without_segmentations],
    ids=lambda spoil: spoil.__name__,
)
def test_what_cannot_be_evaluated_is_one_sentence(capsys, raw, segmented, spoil):
    named = spoil(segmented)
    code, _, error = run_verb(capsys, "evaluate", raw / "labelsTr", segmented)
    assert code == 2
    assert named in sentence_of(error)
    assert not (segmented / "summary.json").exists()


def test_folders_that_are_not_there_are_named(capsys, raw, workspace):
    for folders in ((raw / "labelsTr", workspace / "nothing"), (workspace / "nothing", raw / "labelsTr")):
        code, _, error = run_verb(capsys, "evaluate", *folders)
        assert code == 2
        assert "nothing: the folder does not exist" in sentence_of(error)


def options_of(verb: str) -> type:
    """The options record in the verb's file, or in the one of its options."""
    # `import` is a word of Python's.
    name = {"import": "import_dataset", "train": "train_options"}.get(verb, verb.replace("-", "_"))
    module = importlib.import_module(f"SegAutoPlanLib.pipeline.{name}")
    [record] = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and value.__name__.endswith("Options") and value.__module__ == module.__name__
    ]
    return record


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS if verb.name != "runs"])
def test_an_option_is_one_field_and_one_argument(verb):
    """What an argument fills has a field of its name in the verb's record, so that no value is dropped on the way."""
    [subparsers] = [action for action in build_parser()._actions if hasattr(action, "choices") and action.choices]
    filled = {action.dest for action in subparsers.choices[verb]._actions}
    of_every_verb = {"help", "workspace", "json", "run_folder"}
    assert filled - of_every_verb == {field.name for field in dataclasses.fields(options_of(verb))}


def test_a_checkpoint_to_start_from_is_looked_at_before_anything_is_preprocessed(tmp_path, capsys):
    workspace = Workspace.at(tmp_path)
    write_balls(workspace.raw)
    (tmp_path / "weights.pth").write_bytes(b"no checkpoint")
    command = ["train", NAME, "3d_fullres", "0", "--pretrained", str(tmp_path / "weights.pth")]
    assert main([*command, "--workspace", str(tmp_path)]) == 2
    assert f"{tmp_path / 'weights.pth'}: is damaged or no checkpoint" in capsys.readouterr().err
    assert not workspace.preprocessed.exists()

"""A verb that is interrupted at one of its steps on the disk, and then asked again.

`python -m Testing.Engine.interrupted VERB FOLDER` prints, one JSON object per line, what became of each interruption.
It is a process of its own because it forks, which wants a single thread; a step is whatever opens a file for writing,
renames, links or removes one below the folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from SegAutoPlanLib.pipeline.preprocess import PreprocessOptions, preprocess
from Testing.Fixtures.probability_folders import write_folders

from .balls import NAME, ball_case, ball_workspace, untrained_model
from .raw_datasets import write_image

Prepared = tuple[list[str], int]
"""A verb's arguments, and at how many of its steps it is killed, one after the other."""
STEPS = {"os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir"}
FILE_SIZES = (64, 700, 30_000)
"""Bytes: where a record, a segmentation, and a preprocessed case or checkpoint do not fit any more."""


def main(verb: str, folder: Path) -> None:
    import torch

    torch.set_num_threads(1)
    sound = folder / "sound"
    arguments, moments = PREPARED[verb](sound)
    _warm_up(arguments, _place(sound, folder / "warm"))
    undisturbed = _place(sound, folder / "undisturbed")
    count_file = folder / "count"
    code, error = _run(arguments, undisturbed, lambda step: count_file.write_text(str(step)))
    assert code == 0, error
    expected, steps = contents(undisturbed), int(count_file.read_text())
    for step in sorted({1 + number * (steps - 1) // (moments - 1) for number in range(moments)}):
        place = _place(sound, folder / f"killed {step}")
        ending = _run(arguments, place, _killer(step))
        _tell("killed", f"at step {step} of {steps}", place, arguments, expected, *ending)
    for size in FILE_SIZES:
        place = _place(sound, folder / f"full {size}")
        ending = _run(arguments, place, largest_file=size)
        _tell("full", f"files of at most {size} bytes", place, arguments, expected, *ending)


def _tell(
    kind: str, how: str, place: Path, arguments: list[str], expected: dict[str, str], code: int, error: str
) -> None:
    left = contents(place)
    again, error_of_again = _run(arguments, place)
    outcome = {
        "kind": kind,
        "how": how,
        "code": code,
        "error": error,
        # A checkpoint that could be read is a whole one, if not always the last.
        "wrong": [name for name in left if left[name] != expected.get(name, left[name]) and not name.endswith(".pth")],
        "again": again,
        "error of again": error_of_again,
        "equal": contents(place) == expected,
        "left": sorted(str(path.relative_to(place)) for path in place.rglob(".*") if path.is_file()),
    }
    print(json.dumps(outcome), flush=True)


def _warm_up(arguments: list[str], place: Path) -> None:
    """What torch imports and prepares at first use is not done again by every child."""
    from SegAutoPlanLib.__main__ import main as command_line

    with contextlib.redirect_stdout(io.StringIO()):
        command_line([argument.format(place=place) for argument in arguments])


def _place(sound: Path, place: Path) -> Path:
    shutil.copytree(sound, place)
    return place


def _run(
    arguments: list[str],
    place: Path,
    at_step: Callable[[int], object] | None = None,
    largest_file: int = resource.RLIM_INFINITY,
) -> tuple[int, str]:
    """The exit code of the verb in a child (minus the signal that ended it), and what it said."""
    from SegAutoPlanLib.__main__ import main as command_line

    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        code = 1
        try:
            if at_step is not None:
                _watch(place, at_step)
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
            code = command_line([argument.format(place=place) for argument in arguments])
        finally:
            if sys.exc_info()[0] is not None:
                traceback.print_exc()
            sys.stdout.flush()
            os._exit(code)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read().decode()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def _watch(place: Path, at_step: Callable[[int], object]) -> None:
    steps = [0]
    below = str(place)

    def hook(event: str, given: tuple) -> None:
        if event == "open":
            is_step = isinstance(given[0], str | bytes | os.PathLike) and (given[2] or 0) & (os.O_WRONLY | os.O_RDWR)
        else:
            is_step = event in STEPS
        if is_step and os.fsdecode(given[0]).startswith(below):
            steps[0] += 1
            at_step(steps[0])

    sys.addaudithook(hook)


def _killer(at: int) -> Callable[[int], object]:
    return lambda step: os.kill(os.getpid(), signal.SIGKILL) if step == at else None


def contents(place: Path) -> dict[str, str]:
    """A digest of what each result says, by its path; hidden files and what says when or where are left out."""
    return {
        str(path.relative_to(place)): digest
        for path in sorted(place.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(place).parts)
        and (digest := _digest(path)) is not None
    }


def _digest(path: Path) -> str | None:
    if path.suffix == ".txt" or path.name in ("summary.json", "debug.json", "progress.png"):
        return None
    if path.suffix == ".pth":
        return _digest_of_weights(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest_of_weights(path: Path) -> str:
    from SegAutoPlanLib.networks import read_checkpoint

    weights = read_checkpoint(path)["network_weights"]
    return hashlib.sha256(b"".join(weights[name].numpy().tobytes() for name in sorted(weights))).hexdigest()


def _preprocess(sound: Path) -> Prepared:
    ball_workspace(sound, cases=4)
    return ["preprocess", NAME, "--workspace", "{place}", "--configurations", "3d_fullres", "--workers", "1"], 6


def _train(sound: Path) -> Prepared:
    workspace = ball_workspace(sound, cases=5)
    preprocess(workspace, PreprocessOptions(NAME, configurations=["3d_fullres"]))
    short = ["--recipe", "short", "--epochs", "2", "--iterations", "1", "--device", "cpu"]
    return ["train", NAME, "3d_fullres", "0", "--workspace", "{place}", *short], 3


def _resume(sound: Path) -> Prepared:
    arguments, _ = _train(sound)
    return [*arguments, "--resume"], 5


def _predict(sound: Path) -> Prepared:
    workspace = ball_workspace(sound, cases=2)
    model = untrained_model(workspace).relative_to(sound)
    for seed in range(3):
        write_image(ball_case(seed)[0], sound / "in" / f"case{seed}_0000.nii.gz")
    where = ["--model", f"{{place}}/{model}", "--input", "{place}/in", "--output", "{place}/out", "--device", "cpu"]
    return ["predict", *where, "--continue", "--no-mirroring"], 7


def _predict_with_probabilities(sound: Path) -> Prepared:
    arguments, moments = _predict(sound)
    return [argument for argument in arguments if argument != "--continue"] + ["--save-probabilities"], moments


def _ensemble(sound: Path) -> Prepared:
    write_folders(sound, "labels")
    folders = ["--input", "{place}/a", "{place}/b", "--output", "{place}/out"]
    return ["ensemble", *folders, "--save-probabilities", "--workers", "1"], 3


PREPARED: dict[str, Callable[[Path], Prepared]] = {
    "preprocess": _preprocess,
    "train": _train,
    "train with resume": _resume,
    "predict": _predict,
    "predict with probabilities": _predict_with_probabilities,
    "ensemble": _ensemble,
}


def lines(output: str) -> Iterator[dict]:
    """What `main` printed."""
    return map(json.loads, output.splitlines())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

"""The verbs of the command line: their arguments, and the public function that each of them calls."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import __version__, pipeline
from .errors import UserInputError
from .files import read_json
from .progress import Reporter, duration_in_words
from .runs import RunFolder, list_runs
from .workspace import Workspace


@dataclass(frozen=True)
class Result:
    """What a verb prints: words for a person, `summary` for --json."""

    text: str
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int = 0


Verb = Callable[[argparse.Namespace, Reporter], Result]


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m SegAutoPlanLib",
        description="Self-configuring segmentation: labelled images in, a trained network and segmentations out.",
    )
    parser.add_argument("--version", action="version", version=f"SegAutoPlan {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for add in (_add_check, _add_fingerprint, _add_plan, _add_preprocess, _add_train, _add_predict, _add_evaluate):
        add(verbs)
    _add_runs(verbs)
    _add_demo(verbs)
    return parser


def _verb(verbs: Any, name: str, run: Verb, summary: str, takes_dataset: bool = True) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=summary, description=summary)
    if takes_dataset:
        parser.add_argument("dataset", metavar="DATASET", help="id (4), name (Dataset004_X) or raw dataset folder")
    parser.add_argument("--workspace", metavar="DIR", help="default: $SEGAUTOPLAN_WORKSPACE, else ./workspace")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--run-folder", metavar="DIR", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)
    return parser


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers", type=_positive, metavar="N", help="processes (default: what cores and memory allow)"
    )


def _add_check(verbs: Any) -> None:
    _verb(verbs, "check", _check, "Report every problem of a raw dataset.")


def _add_fingerprint(verbs: Any) -> None:
    _add_workers(_verb(verbs, "fingerprint", _fingerprint, "Measure sizes, spacings and foreground intensities."))


def _add_plan(verbs: Any) -> None:
    parser = _verb(verbs, "plan", _plan, "Decide how to preprocess and train, and say why.")
    parser.add_argument("--planner", default="plain", help="plain, resenc-m, resenc-l or resenc-xl (default: plain)")
    parser.add_argument("--gpu-memory-gb", type=float, metavar="X", help="plan for this much GPU memory")
    parser.add_argument(
        "--spacing", type=float, nargs=3, metavar=("Z", "Y", "X"), help="target spacing in mm instead of the median"
    )
    parser.add_argument("--plans", metavar="NAME", help="name of the plans file (default: the planner's)")


def _add_preprocess(verbs: Any) -> None:
    parser = _verb(verbs, "preprocess", _preprocess, "Crop, normalise and resample every case.")
    _add_plans(parser)
    parser.add_argument("--configurations", nargs="+", metavar="NAME", help="default: 2d, 3d_fullres, 3d_lowres")
    _add_workers(parser)


def _add_train(verbs: Any) -> None:
    parser = _verb(verbs, "train", _train, "Train one fold and validate it; does what has to come before.")
    parser.add_argument("configuration", metavar="CONFIGURATION", help="2d, 3d_fullres, 3d_lowres …")
    parser.add_argument("fold", metavar="FOLD", type=_fold, help="0 to 4, or all")
    _add_plans(parser)
    parser.add_argument("--recipe", default="default", metavar="NAME", help="default, short, 250epochs, nomirroring")
    parser.add_argument("--epochs", type=int, metavar="N")
    parser.add_argument("--iterations", type=int, metavar="N", help="training steps an epoch")
    parser.add_argument("--loss", metavar="NAME", help="dice_ce or dice_bce (default: what fits the labels)")
    _add_device(parser)
    parser.add_argument("--gpus", type=_positive, default=1, metavar="N", help="processes, one a GPU (Linux)")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--pretrained", type=Path, metavar="PATH", help="checkpoint to start the weights from")
    parser.add_argument("--save-probabilities", action="store_true", help="of the validation cases, as npz")
    parser.add_argument("--validate-only", nargs="?", const="final", choices=("best", "final"), help="do not train")
    parser.add_argument("--no-checkpoints", action="store_true", help="write nothing but the final checkpoint")
    parser.add_argument("--seed", type=int, default=12345, metavar="N")


def _add_predict(verbs: Any) -> None:
    parser = _verb(verbs, "predict", _predict, "Segment images with a trained model.", takes_dataset=False)
    parser.add_argument("--model", type=Path, required=True, metavar="FOLDER", help="…/Trainer__Plans__configuration")
    parser.add_argument(
        "--input", type=Path, nargs="+", required=True, metavar="PATH", help="a folder, or one case's files"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--folds", nargs="+", metavar="FOLD", help="default: all that are trained")
    parser.add_argument("--checkpoint", default="final", choices=("final", "best", "latest"))
    parser.add_argument("--step-size", type=float, default=0.5, metavar="X", help="of the tile (default: 0.5)")
    parser.add_argument(
        "--mirroring",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="average over mirrored copies: slightly better, eight times the work in 3-D (default: on a GPU)",
    )
    parser.add_argument("--save-probabilities", action="store_true", help="npz files, for ensembling")
    _add_device(parser)
    parser.add_argument("--previous-stage", type=Path, metavar="FOLDER", help="a cascade's first-stage segmentations")
    parser.add_argument("--continue", dest="skip_existing", action="store_true", help="skip cases that are there")
    parser.add_argument("--part", type=_part, default=(1, 1), metavar="K/N", help="do the K-th of N parts")


def _add_evaluate(verbs: Any) -> None:
    parser = _verb(verbs, "evaluate", _evaluate, "Compare segmentations with references.", takes_dataset=False)
    parser.add_argument("references", type=Path, metavar="REFERENCES", help="folder of label files")
    parser.add_argument("predictions", type=Path, metavar="PREDICTIONS", help="folder of segmentations")
    parser.add_argument("--dataset-json", type=Path, metavar="FILE", help="default: dataset.json in PREDICTIONS")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: summary.json in PREDICTIONS")
    parser.add_argument("--ignore-missing", action="store_true", help="references without a prediction are fine")


def _add_runs(verbs: Any) -> None:
    parser = _verb(verbs, "runs", _runs, "List, follow or stop runs.", takes_dataset=False)
    parser.add_argument("action", nargs="?", default="list", choices=("list", "follow", "stop"))
    parser.add_argument("name", nargs="?", metavar="RUN", help="a run's name (default: the newest)")


def _add_demo(verbs: Any) -> None:
    summary = "The main job on real images, start to end: the ICBM 152 template, or any raw dataset."
    parser = _verb(verbs, "demo", _demo, summary, takes_dataset=False)
    parser.add_argument("--dataset", type=Path, metavar="DIR", help="a raw dataset; one case in five is held out")


def _add_plans(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plans", default="nnUNetPlans", metavar="NAME", help="default: nnUNetPlans")


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))


def _check(options: argparse.Namespace, report: Reporter) -> Result:
    found = pipeline.check(_workspace(options), options.dataset, report)
    return Result(str(found), found.to_json(), 0 if found.ok else 2)


def _fingerprint(options: argparse.Namespace, report: Reporter) -> Result:
    found = pipeline.fingerprint(_workspace(options), options.dataset, options.workers, report)
    channels = ", ".join(f"{c.mean:.4g} ± {c.std:.4g}" for c in found.foreground_intensities)
    text = f"{len(found.spacings)} cases; foreground intensity of each channel: {channels}."
    return Result(text, found.to_json())


def _plan(options: argparse.Namespace, report: Reporter) -> Result:
    made = pipeline.plan(
        _workspace(options),
        options.dataset,
        options.planner,
        options.gpu_memory_gb,
        options.spacing,
        options.plans,
        report,
    )
    return Result(str(made), made.to_json())


def _preprocess(options: argparse.Namespace, report: Reporter) -> Result:
    folders = pipeline.preprocess(
        _workspace(options), options.dataset, options.plans, options.configurations, options.workers, report
    )
    text = "\n".join(f"{name}: {folder}" for name, folder in folders.items())
    return Result(text, {name: str(folder) for name, folder in folders.items()})


def _train(options: argparse.Namespace, report: Reporter) -> Result:
    from .fold import TrainOptions, train_fold

    choices = TrainOptions(
        plans_name=options.plans,
        recipe=options.recipe,
        epochs=options.epochs,
        iterations=options.iterations,
        loss=options.loss,
        device=options.device,
        resume=options.resume,
        pretrained=options.pretrained,
        save_probabilities=options.save_probabilities,
        validate_only=options.validate_only,
        checkpoints=not options.no_checkpoints,
        seed=options.seed,
    )
    if options.gpus > 1:
        from .training.launch import launch_ranks

        return Result(launch_ranks(options.gpus))
    trained = train_fold(_workspace(options), options.dataset, options.configuration, options.fold, choices, report)
    if trained is None:  # not the leading process of a distributed run
        return Result("")
    dice = ", ".join(f"{name} {value:.3f}" for name, value in trained.dice_by_label.items())
    return Result(
        f"{trained.checkpoint}\nDice on the fold's validation cases: {dice}.",
        {
            "checkpoint": str(trained.checkpoint),
            "model": str(trained.folder.parent),
            "validation_dice": trained.validation_dice,
            "dice": trained.dice_by_label,
        },
    )


def _predict(options: argparse.Namespace, report: Reporter) -> Result:
    from .inference import PredictOptions, Segmenter, load_model, predict

    segmenter = Segmenter(
        load_model(options.model, options.folds, options.checkpoint),
        options.device,
        options.mirroring,
        options.step_size,
    )
    inputs = options.input[0] if len(options.input) == 1 else options.input
    choices = PredictOptions(options.save_probabilities, options.previous_stage, options.skip_existing, options.part)
    written = predict(segmenter, inputs, options.output, choices, report)
    return Result(f"{len(written)} segmentation(s) in {options.output}", {"files": [str(file) for file in written]})


def _evaluate(options: argparse.Namespace, report: Reporter) -> Result:
    from .dataset.image_io import choose_image_io
    from .dataset.labels import LabelScheme
    from .evaluation import evaluate_folder

    source = options.dataset_json or options.predictions / "dataset.json"
    description = read_json(source)
    ending = description["file_ending"]
    example = next(options.references.glob(f"*{ending}"), None)
    summary = options.output or options.predictions / "summary.json"
    evaluation = evaluate_folder(
        options.references,
        options.predictions,
        LabelScheme.from_description(description, str(source)),
        ending,
        choose_image_io(ending, example).name,
        summary,
        options.ignore_missing,
        report,
    )
    return Result(f"{evaluation}\nWritten to {summary}", evaluation.to_json())


def _runs(options: argparse.Namespace, report: Reporter) -> Result:
    folder = _workspace(options).runs
    runs = list_runs(folder)
    if options.action == "list":
        return Result(
            "\n".join(_run_line(run) for run in runs) or f"No runs in {folder}.",
            {"runs": [{"name": run.name, "status": run.state().status} for run in runs]},
        )
    chosen = _chosen_run(runs, options.name, folder)
    if options.action == "stop":
        chosen.request_stop()
        return Result(f"Asked {chosen.name} to stop; it ends at its next step and keeps what it has.")
    return _follow(chosen, report)


def _chosen_run(runs: list[RunFolder], name: str | None, folder: Path) -> RunFolder:
    matching = [run for run in runs if name is None or name in run.name]
    if not matching:
        raise UserInputError(f"{folder}: there is no run{f' named {name}' if name else ''}; list them with: runs list")
    return matching[0]


def _follow(run: RunFolder, report: Reporter) -> Result:
    import time

    position = 0
    while True:
        events, position = run.new_events(position)
        for event in events:
            report.event(event["event"], **{k: v for k, v in event.items() if k not in ("event", "time")})
        state = run.state()
        if state.over or report.stop_requested():
            return Result(_run_line(run), {"status": state.status})
        time.sleep(0.5)


def _run_line(run: RunFolder) -> str:
    state = run.state()
    where = f"  {state.stage} {state.done}/{state.total} {state.unit}s" if state.stage and not state.over else ""
    left = f", {duration_in_words(state.eta_s)} left" if where and state.eta_s is not None else ""
    return f"{run.name}  {state.status}{where}{left}{f'  {state.message}' if state.message else ''}"


def _demo(options: argparse.Namespace, report: Reporter) -> Result:
    from .demo import run_demo

    outcome = run_demo(_workspace(options), options.dataset, report)
    return Result(outcome.text, outcome.summary)


def _workspace(options: argparse.Namespace) -> Workspace:
    return Workspace.locate(options.workspace)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _fold(text: str) -> int | str:
    if text == "all":
        return text
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a fold; give a number or all")
    return int(text)


def _part(text: str) -> tuple[int, int]:
    first, _, second = text.partition("/")
    if not (first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second)):
        raise argparse.ArgumentTypeError(f"{text!r} is not K/N with 1 <= K <= N, e.g. 1/4")
    return int(first), int(second)

"""What each verb does: call the public function, and put its result into words and into JSON."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import pipeline
from ..errors import UserInputError
from ..files import read_json
from ..importing import import_decathlon, import_nnunet_v1, import_pairs
from ..planning import plan_to_json
from ..progress import Reporter, duration_in_words
from ..runs import RunFolder, list_runs
from ..workspace import Workspace


@dataclass(frozen=True)
class Result:
    """What a verb prints: words for a person, `summary` for --json."""

    text: str
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int = 0


Verb = Callable[[argparse.Namespace, Reporter], Result]


IMPORTERS = {"decathlon": import_decathlon, "nnunet-v1": import_nnunet_v1, "pairs": import_pairs}


def import_dataset(options: argparse.Namespace, reporter: Reporter) -> Result:
    raw = _workspace(options).raw
    if options.kind == "pairs":
        if options.id is None or options.name is None:
            raise UserInputError("import pairs: give the new dataset a number and a name, e.g. --id 7 --name Liver")
        made = import_pairs(
            options.source,
            raw,
            options.id,
            options.name,
            options.channels,
            options.segments,
            overlap="regions" if options.regions else "refuse",
            reporter=reporter,
        )
    else:
        made = IMPORTERS[options.kind](options.source, raw, options.id, reporter)
    text = "\n".join([f"{made.folder}: {made.case_count} cases", *made.notes])
    return Result(text, {"folder": str(made.folder), "cases": made.case_count, "notes": list(made.notes)})


def check(options: argparse.Namespace, reporter: Reporter) -> Result:
    found = pipeline.check(_workspace(options), options.dataset, reporter)
    return Result(str(found), found.to_json(), 0 if found.ok else 2)


def fingerprint(options: argparse.Namespace, reporter: Reporter) -> Result:
    found = pipeline.fingerprint(_workspace(options), options.dataset, options.workers, reporter)
    channels = ", ".join(f"{c.mean:.4g} ± {c.std:.4g}" for c in found.foreground_intensities)
    text = f"{len(found.spacings)} cases; foreground intensity of each channel: {channels}."
    return Result(text, found.to_json())


def plan(options: argparse.Namespace, reporter: Reporter) -> Result:
    made = pipeline.plan(
        _workspace(options),
        options.dataset,
        options.planner,
        options.gpu_memory_gb,
        options.spacing,
        options.plans,
        reporter,
    )
    words = {"explanation": list(made.explanation), "warnings": list(made.warnings)}
    return Result(str(made), {**plan_to_json(made), **words})


def preprocess(options: argparse.Namespace, reporter: Reporter) -> Result:
    folders = pipeline.preprocess(
        _workspace(options), options.dataset, options.plans, options.configurations, options.workers, reporter
    )
    text = "\n".join(f"{name}: {folder}" for name, folder in folders.items())
    return Result(text, {name: str(folder) for name, folder in folders.items()})


def train(options: argparse.Namespace, reporter: Reporter) -> Result:
    from ..fold import TrainOptions, train_fold

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
        from ..training.launch import launch_ranks

        return Result(launch_ranks(options.gpus))
    trained = train_fold(_workspace(options), options.dataset, options.configuration, options.fold, choices, reporter)
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


def predict(options: argparse.Namespace, reporter: Reporter) -> Result:
    from ..inference import PredictOptions, Segmenter, load_model, predict

    segmenter = Segmenter(
        load_model(options.model, options.folds, options.checkpoint),
        options.device,
        options.mirroring,
        options.step_size,
    )
    inputs = options.input[0] if len(options.input) == 1 else options.input
    choices = PredictOptions(options.save_probabilities, options.previous_stage, options.skip_existing, options.part)
    written = predict(segmenter, inputs, options.output, choices, reporter)
    return Result(f"{len(written)} segmentation(s) in {options.output}", {"files": [str(file) for file in written]})


def evaluate(options: argparse.Namespace, reporter: Reporter) -> Result:
    from ..evaluation import evaluate_folder
    from ..images.image_io import choose_image_io
    from ..labels import LabelScheme

    source = options.dataset_json or options.predictions / "dataset.json"
    dataset_json = read_json(source)
    ending = dataset_json["file_ending"]
    example = next(options.references.glob(f"*{ending}"), None)
    summary = options.output or options.predictions / "summary.json"
    evaluation = evaluate_folder(
        options.references,
        options.predictions,
        LabelScheme.from_dataset_json(dataset_json, str(source)),
        ending,
        choose_image_io(ending, example).name,
        summary,
        options.ignore_missing,
        reporter,
    )
    return Result(f"{evaluation}\nWritten to {summary}", evaluation.to_json())


def runs(options: argparse.Namespace, reporter: Reporter) -> Result:
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
    return _follow(chosen, reporter)


def _chosen_run(runs: list[RunFolder], name: str | None, folder: Path) -> RunFolder:
    matching = [run for run in runs if name is None or name in run.name]
    if not matching:
        raise UserInputError(f"{folder}: there is no run{f' named {name}' if name else ''}; list them with: runs list")
    return matching[0]


def _follow(run: RunFolder, reporter: Reporter) -> Result:
    position = 0
    while True:
        events, position = run.new_events(position)
        for event in events:
            reporter.event(event["event"], **{k: v for k, v in event.items() if k not in ("event", "time")})
        state = run.state()
        if state.over or reporter.stop_requested():
            return Result(_run_line(run), {"status": state.status})
        time.sleep(0.5)


def _run_line(run: RunFolder) -> str:
    state = run.state()
    where = f"  {state.stage} {state.done}/{state.total} {state.unit}s" if state.stage and not state.over else ""
    left = f", {duration_in_words(state.eta_s)} left" if where and state.eta_s is not None else ""
    return f"{run.name}  {state.status}{where}{left}{f'  {state.message}' if state.message else ''}"


def demo(options: argparse.Namespace, reporter: Reporter) -> Result:
    from ..demo.demo import EPOCHS, run_demo

    outcome = run_demo(_workspace(options), options.dataset, options.epochs or EPOCHS, reporter)
    return Result(outcome.text, outcome.summary)


def _workspace(options: argparse.Namespace) -> Workspace:
    return Workspace.locate(options.workspace)

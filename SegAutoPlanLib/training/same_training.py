"""Whether a checkpoint belongs to the training that is asked for; where it does not, in what it differs.

A resumed training ends where an uninterrupted one would have. So whatever decides its weights must be as before; only
how long it goes on may change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ..errors import FileError
from ..losses import find_loss
from ..number_format import NumberFormat, number_format_of
from ..planning import Configuration, Plan, plan_from_json
from ..schema import array_of, either, mapping_of, nothing, problem_of, record, shown, whole
from .recipe import Recipe
from .resume_record import ResumeRecord, digest_of_cases
from .schedules import learning_rate_at
from .task import TrainingTask

MAY_CHANGE = frozenset({"name", "epochs", "checkpoint_every", "trainer_name", "results_name"})
"""Fields of the recipe that do not decide what one step does to the weights. A recipe may also be renamed."""
OF_LENGTH = frozenset({"iterations_per_epoch", "validation_iterations"})
"""Those that a time budget chooses anew, whose user can give none."""
OPTIONS = {"loss": "--loss", "freeze": "--freeze", "iterations_per_epoch": "--iterations"}
"""What a user calls a field of the recipe; all others are the recipe's own."""
ELSEWHERE = frozenset({"name", "data_identifier", "preprocessor_name", "previous_stage", "next_stage"})
"""Fields of a configuration that say where things are, not what they are."""
LABELS = record(
    {"labels": mapping_of(either(whole(), array_of(whole(), longest=1000)), longest=10_000)},
    {"regions_class_order": either(nothing, array_of(whole(), longest=10_000))},
)
SHOWN_DIFFERENCES = 4
REMEDY = (
    "give the same options as before, or leave out --resume to train anew (--pretrained with this file starts from "
    "its weights)"
)


def require_same_training(content: Mapping[str, Any], task: TrainingTask, source: Path) -> None:
    """Refuse to resume from a checkpoint of a training with other options, cases or plan.

    What a checkpoint does not say, as nnU-Net's do not say the recipe, is not compared.

    Args:
        content: of the checkpoint, which has passed `resume_gate`.
        source: its file.

    Raises:
        UserInputError: it differs; the sentence says in what.
    """
    record, init_args = ResumeRecord.from_entry(content), content.get("init_args", {})
    found = [
        *_of_place(init_args, task),
        *_of_options(record, task),
        *_of_labels(init_args, task),
        *_of_plan(init_args, task, source),
    ]
    if record.cases is not None and record.cases != digest_of_cases(task):
        found.append("other cases (splits_final.json or the dataset has changed since)")
    if found:
        more = f" and {len(found) - SHOWN_DIFFERENCES} more" if len(found) > SHOWN_DIFFERENCES else ""
        raise FileError(source, f"was trained with {', '.join(found[:SHOWN_DIFFERENCES])}{more}", REMEDY)


def resumed_message(content: Mapping[str, Any], task: TrainingTask) -> str:
    """Where a training goes on, and what another length changes.

    Args:
        content: of the checkpoint, which has passed its gate.
    """
    recipe = task.recipe
    epoch, before = content["current_epoch"], ResumeRecord.from_entry(content).recipe or {}
    planned = before.get("epochs")
    message = f"Continuing after epoch {epoch}."
    is_timed = task.budget is not None or ResumeRecord.from_entry(content).timed is not None
    if is_timed or not isinstance(planned, int) or planned == recipe.epochs or epoch == recipe.epochs:
        return message
    rate = learning_rate_at(recipe, epoch)
    return (
        f"{message} It was to end after epoch {planned} and now ends after {recipe.epochs}; the learning rate goes on "
        f"at {rate:.3g}, where a training of {recipe.epochs} epochs is by then."
    )


def changed_format_message(content: Mapping[str, Any], now: NumberFormat) -> str | None:
    """That a training goes on in another number format than it had; None if it does not.

    Args:
        content: of the checkpoint, which has passed its gate.
        now: what the steps are computed in from here on.
    """
    record = ResumeRecord.from_entry(content).number_format
    before = None if record is None else number_format_of(dict(record))
    if before is None or before == now:
        return None
    return (
        f"So far this training computed in {before}, and from here on in {now}: as --precision full asks, or because "
        "this computer cannot do otherwise. It will not end with the very weights of one that was never interrupted."
    )


def _of_place(init_args: Mapping[str, Any], task: TrainingTask) -> Iterator[str]:
    configuration, fold = init_args.get("configuration"), init_args.get("fold")
    if configuration is not None and configuration != task.configuration_name:
        yield f"the configuration {shown(configuration)}, not {task.configuration_name}"
    if fold is not None and fold != task.fold:
        yield f"fold {fold}, not {task.fold}"


def _of_options(record: ResumeRecord, task: TrainingTask) -> Iterator[str]:
    if record.seed is not None and record.seed != task.seed:
        yield f"--seed {record.seed}, not {task.seed}"
    if record.recipe is None:
        return
    # A field that an earlier version did not have was what its default is now; that of a later one is not known here.
    defaults = asdict(Recipe())
    now = _lists(asdict(task.recipe))
    before = {**_lists(defaults), **_lists(dict(record.recipe))}
    # Left out or by name, the loss that fits the labels is the same.
    usual = find_loss(None, task.label_scheme).name
    now["loss"], before["loss"] = (usual if each["loss"] is None else each["loss"] for each in (now, before))
    may_change = MAY_CHANGE | (OF_LENGTH if task.budget is not None else frozenset())
    changed = [name for name in before if name not in may_change and before[name] != now.get(name)]
    if record.timed is not None and task.budget is None and before["epochs"] != now["epochs"]:
        yield f"--minutes, not for {now['epochs']} epochs"
    if changed and before["name"] != now["name"]:
        yield f"--recipe {before['name']}, not {now['name']}"
    for name in changed:
        yield f"{OPTIONS.get(name, name)} {_value(before[name])}, not {_value(now.get(name))}"


def _value(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else str(shown(value))


def _of_labels(init_args: Mapping[str, Any], task: TrainingTask) -> Iterator[str]:
    document = init_args.get("dataset_json")
    if document is None:
        return
    before, now = (_values_of_labels(labels) for labels in (document, task.dataset_json.document))
    if before != now:
        yield "other labels in dataset.json"


def _values_of_labels(document: Any) -> Any:
    """What the labels stand for, in their order; their names do not matter to a network. None if that cannot be."""
    if problem_of(LABELS, document) is not None:
        return None
    return _lists([list(document["labels"].values()), document.get("regions_class_order")])


def _of_plan(init_args: Mapping[str, Any], task: TrainingTask, source: Path) -> Iterator[str]:
    if init_args.get("plans") is None:
        return
    before, now = plan_from_json(init_args["plans"], str(source)), task.plan
    was = before.configurations.get(task.configuration_name)
    changed = [name for name in ("transpose_forward", "foreground_intensities") if _differ(before, now, name)]
    if was is None:
        changed.append("configurations")
    else:
        changed += [
            field.name
            for field in fields(Configuration)
            if field.name not in ELSEWHERE and _differ(was, now.configuration(task.configuration_name), field.name)
        ]
    for name in changed:
        yield f"another {name} in its plan"


def _differ(one: Plan | Configuration, other: Plan | Configuration, name: str) -> bool:
    before, now = getattr(one, name), getattr(other, name)
    # NaN, which an intensity may be, equals nothing but its text.
    return before != now and repr(before) != repr(now)


def _lists(value: Any) -> Any:
    """Lists for tuples, which JSON and pickles mix."""
    if isinstance(value, Mapping):
        return {name: _lists(item) for name, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, list | tuple) else value

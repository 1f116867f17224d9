"""The main job on real images, as a user of the module would have it: check, plan, train, segment, look.

Everything goes through `SegAutoPlanLogic` and a real MRML scene; the pictures are rendered from that scene.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from SegAutoPlanLib.dataset import load_dataset
from SegAutoPlanLib.dataset.hold_out import HeldOut, hold_out_cases
from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.evaluation.evaluate import agreement
from SegAutoPlanLib.pipeline.demo import EPOCHS, GPU_MEMORY_GB, RECIPE, choose_configuration, dice_in_words
from SegAutoPlanLib.progress import ConsoleReporter, duration_in_words
from SegAutoPlanLib.runs import RunFolder
from SegAutoPlanLib.workspace import Workspace
from Testing.Host import HostApplication, start_application

from .icbm import build_icbm_dataset

SCREENSHOT_OF_PANEL = "panel.png"
MAX_CASES_SHOWN = 5
"""Of what was held out, this many cases go through the scene: each is a run of its own."""


def main() -> int:
    options = _arguments()
    started = time.monotonic()
    folder = options.folder.resolve()
    try:
        _run(folder, options.dataset, options.epochs, options.mirroring)
    except UserInputError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    print(f"\nThe whole demo took {duration_in_words(time.monotonic() - started)}. Look at {folder / 'demo.png'}.")
    return 0


def _run(folder: Path, dataset: Path | None, epochs: int, mirroring: bool | None) -> None:
    os.environ["SEGAUTOPLAN_WORKSPACE"] = str(folder)  # where the panel looks for runs
    host = start_application()
    widget = host.load_module(Path(__file__).parents[2] / "SegAutoPlan" / "SegAutoPlan.py")
    from SegAutoPlanUI.scene.volume_files import checkFileEnding

    from SegAutoPlan import SegAutoPlanLogic

    logic = SegAutoPlanLogic(folder)
    raw = Workspace.at(folder).raw
    data = hold_out_cases(dataset, raw) if dataset else build_icbm_dataset(raw, folder / "held_out")
    _heading(f"Data: {data.story}")
    checkFileEnding(load_dataset(data.dataset).file_ending, data.dataset)
    report = logic.checkDataset(data.dataset)
    print(report)
    if not report.ok:
        raise UserInputError(f"{data.dataset}: has problems, listed above; correct them and run the demo again.")

    _heading("Plan")
    plan = logic.plan(data.dataset, ["--gpu-memory-gb", str(GPU_MEMORY_GB)])
    print(plan)
    configuration = choose_configuration(plan.configurations)

    _heading(f"Training {configuration} (recipe: {RECIPE}) in a process of its own")
    options = ["--recipe", RECIPE, "--epochs", str(epochs)]
    state = _follow(host, logic.startTraining(data.dataset, configuration, 0, options))
    model = Path(state.result["model"])

    dice = {}
    if len(data.held_out) > MAX_CASES_SHOWN:
        print(f"The first {MAX_CASES_SHOWN} of the {len(data.held_out)} cases that were held out are segmented.")
    for name in ("logCollapsibleButton", "runsCollapsibleButton"):
        host.slicer.util.findChild(widget.parent, name).collapsed = False
    for case in data.held_out[:MAX_CASES_SHOWN]:
        _heading(f"Segmenting {case.name}")
        dice[case.name] = _segment(host, logic, widget, case, model, mirroring, folder)
    _heading("Result")
    print(dice_in_words(dice))


def _segment(
    host: HostApplication, logic, widget, case: HeldOut, model: Path, mirroring: bool | None, folder: Path
) -> dict[str, float]:
    """Segment one case into a fresh scene, save what there is to see, and measure it where it was held out."""
    import slicer

    from Testing.Host import render_segmentation, save_scene

    host.close_scene()
    volumes = [slicer.util.loadVolume(str(file)) for file in case.image_files]
    # The panel shows the same case, as if its user had chosen it.
    parameters = logic.getParameterNode()
    parameters.modelFolder, parameters.channelVolumes = str(model), volumes
    answers = []
    run = logic.segment(volumes, model, onFinished=lambda *answer: answers.append(answer), mirroring=mirroring)
    parameters.runFolder = str(run.path)
    _follow(host, run, at_half=lambda: host.screenshot(widget, folder / SCREENSHOT_OF_PANEL))
    host.process_events(until=lambda: bool(answers), timeout_s=120)
    segmentation, problem = answers[0]
    if segmentation is None:
        raise UserInputError(problem)
    dice = _dice_in_scene(segmentation, volumes[0], case, logic, model)
    if not slicer.util.saveNode(segmentation, str(folder / "segmentation.seg.nrrd")):
        raise UserInputError(f"{folder / 'segmentation.seg.nrrd'}: could not be written; check the free disk space.")
    segmentation.CreateClosedSurfaceRepresentation()
    save_scene(folder / "scene.mrb")
    render_segmentation(volumes[0], segmentation, folder / "demo.png")
    return dice


def _dice_in_scene(segmentation, volume, case: HeldOut, logic, model: Path) -> dict[str, float]:
    """Dice of what is in the scene's segmentation node, not of a file on the way there."""
    import numpy as np
    import slicer

    from SegAutoPlanLib.files import read_json
    from SegAutoPlanLib.images import read_segmentation
    from SegAutoPlanLib.labels import LabelScheme

    description = read_json(model / "dataset.json")
    labels = LabelScheme.from_dataset_json(description)
    reference = read_segmentation(case.reference_file, read_json(model / "plans.json")["image_reader_writer"]).array[0]
    result = np.zeros_like(reference)
    segments = segmentation.GetSegmentation()
    for label in labels.foreground:
        segment = segments.GetSegmentIdBySegmentName(labels.name_of(label))
        if segment:
            mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment, volume)
            result[mask > 0] = label if isinstance(label, int) else label[0]
    part = case.left_out
    agreed = agreement(reference[part], result[part], labels)
    return {labels.name_of(label): agreed[label]["Dice"] for label in labels.foreground}


def _follow(host: HostApplication, run: RunFolder, at_half: Callable[[], object] | None = None):
    """Print what a run says until it is over; call `at_half` once, when half is done."""
    console, watcher = ConsoleReporter(sys.stdout), run.watch()
    while True:
        host.process_events(timeout_s=0.3)
        state = watcher.poll()
        for event in watcher.new_events:
            fields = {key: value for key, value in event.items() if key not in ("event", "time")}
            console.event(event["event"], **fields)
        if at_half is not None and state.total and state.done >= state.total / 2:
            at_half()
            at_half = None
        if state.over:
            if state.status != "finished":
                raise UserInputError(f"{state.message or state.status} {state.hint}\n{run.log_tail()}")
            return state
        time.sleep(0.2)


def _heading(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("demo"), help="where everything goes (default: demo)")
    parser.add_argument("--dataset", type=Path, help="a raw dataset; one case in five is held out of training")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"of the short recipe (default: {EPOCHS})")
    parser.add_argument("--mirroring", action="store_true", default=None, help="average over mirrored copies")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

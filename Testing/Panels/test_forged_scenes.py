"""A scene or a run folder from a stranger makes the module read, load, stop or remove nothing outside the workspace."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from SegAutoPlanLib.runs import RunFolder, known_run

ENDED = '{"event": "failed", "message": "forged"}\n'


def forge_run(runs: Path, files: str, progress: str = ENDED) -> RunFolder:
    """A run folder with a job, as somebody may send it along with a scene."""
    folder = runs / "2026-01-01_00-00-00_segment"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    (folder / "progress.jsonl").write_text(progress)
    job = {"model": "m", "files": files, "volumeName": "v", "fileEnding": ".nii.gz"}
    (folder / "segment.json").write_text(json.dumps(job))
    return RunFolder(folder)


@pytest.fixture
def precious(tmp_path) -> Path:
    """A folder of somebody's, beside forged run folders."""
    folder = tmp_path / "elsewhere" / "segmentations" / "precious"
    (folder / "input").mkdir(parents=True)
    (folder / "input" / "thesis.txt").write_text("years of work")
    return folder


@pytest.mark.parametrize("progress", [ENDED, '{"event": "finished"}\n', '{"event": "stopped"}\n'])
def test_a_scene_that_names_a_forged_run_elsewhere_removes_nothing(panel, add_volume, precious, progress):
    run = forge_run(precious.parents[1], str(precious), progress)
    volume = add_volume()
    volume.SetAttribute(f"SegAutoPlan.inputOf.{run.name}", "1")
    panel.parameters().runFolder = str(run.path)
    panel.widget.enter()
    assert (precious / "input" / "thesis.txt").read_text() == "years of work"
    assert panel.segment.shownRun() is None
    assert panel.ui.statusLabel.text == ""


def test_a_forged_run_in_the_workspace_removes_nothing_outside_its_jobs(panel, workspace, precious):
    run = forge_run(workspace / "runs", str(precious))
    panel.parameters().runFolder = str(run.path)
    panel.widget.enter()
    assert panel.segment.shownRun().path == run.path
    assert (precious / "input" / "thesis.txt").is_file()


@pytest.mark.parametrize("files", ["..", ".", "", "../../precious", "a/b", "/", 7, None, "x\0y", "con"])
def test_what_is_no_name_of_a_job_is_no_job(module, workspace, files):
    run = forge_run(workspace / "runs", "")
    document = json.loads((run.path / "segment.json").read_text())
    (run.path / "segment.json").write_text(json.dumps({**document, "files": files}))
    assert module.segmentation_job.SegmentationJob.of(run) is None


@pytest.mark.parametrize("ending", ["/../../x", "", ".nii/..", "nii", 3, None])
def test_what_is_no_ending_is_no_job(module, workspace, ending):
    run = forge_run(workspace / "runs", "brain_1")
    document = json.loads((run.path / "segment.json").read_text())
    (run.path / "segment.json").write_text(json.dumps({**document, "fileEnding": ending}))
    assert module.segmentation_job.SegmentationJob.of(run) is None


def test_of_a_job_only_what_was_made_for_it_is_removed(module, workspace):
    run = forge_run(workspace / "runs", "brain_1")
    job = module.segmentation_job.SegmentationJob.of(run)
    for folder in (job.input, job.output):
        folder.mkdir(parents=True)
        (folder / "case.nii.gz").touch()
    (job.folder / "notes of somebody.txt").touch()
    module.segmentation_job.removeFiles(run)
    assert [path.name for path in job.folder.iterdir()] == ["notes of somebody.txt"]
    (job.folder / "notes of somebody.txt").unlink()
    module.segmentation_job.removeFiles(run)
    assert not job.folder.exists()


@pytest.mark.skipif(os.name != "posix", reason="NOT TESTED: links need a right on Windows")
def test_a_link_in_the_place_of_a_job_is_not_followed(module, workspace, precious):
    run = forge_run(workspace / "runs", "brain_1")
    job = module.segmentation_job.SegmentationJob.of(run)
    job.folder.parent.mkdir()
    job.folder.symlink_to(precious)
    module.segmentation_job.removeFiles(run)
    assert (precious / "input" / "thesis.txt").is_file()
    job.folder.unlink()
    job.folder.mkdir()
    job.input.symlink_to(precious / "input")
    module.segmentation_job.removeFiles(run)
    assert (precious / "input" / "thesis.txt").is_file()


def test_a_job_of_the_previous_version_is_still_known(module, workspace):
    run = forge_run(workspace / "runs", str(workspace / "runs" / "segmentations" / "brain_1"))
    assert module.segmentation_job.SegmentationJob.of(run).folder.name == "brain_1"


def test_only_direct_children_of_the_runs_folder_are_runs(tmp_path):
    runs = tmp_path / "runs"
    run = forge_run(runs, "x")
    assert known_run(runs, run.path).path == run.path
    assert known_run(runs, str(run.path)).name == run.name
    (runs / "deeper" / "run").mkdir(parents=True)
    other = forge_run(tmp_path / "others", "x")
    strangers = [other.path, runs, runs / "deeper" / "run", runs / ".." / "others" / other.name, run.name, "", "/"]
    strangers += ["\\\\somewhere\\share\\run", runs / "missing", runs / "a\0b", f"{runs}/../runs/{run.name}/.."]
    assert [known_run(runs, path) for path in strangers] == [None] * len(strangers)


@pytest.mark.skipif(os.name != "posix", reason="NOT TESTED: links need a right on Windows")
def test_a_link_among_the_runs_is_no_run(tmp_path):
    other = forge_run(tmp_path / "others", "x")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "linked").symlink_to(other.path)
    assert known_run(tmp_path / "runs", tmp_path / "runs" / "linked") is None

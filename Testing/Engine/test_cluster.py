"""Cases worked on by a Dask cluster: the same files as from threads, even where a worker is killed on the way."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SegAutoPlanLib import cluster as cluster_module
from SegAutoPlanLib.__main__ import main
from SegAutoPlanLib.cluster import ClusterExecutor, connected_cluster
from SegAutoPlanLib.dataset import check_dataset, load_dataset
from SegAutoPlanLib.errors import FileError, StopRequested, UserInputError
from SegAutoPlanLib.evaluation import evaluate_folder
from SegAutoPlanLib.executors import Workers, run_cases
from SegAutoPlanLib.fingerprint import extract_fingerprint, extraction
from SegAutoPlanLib.importing import import_pairs
from SegAutoPlanLib.models import ModelFolder
from SegAutoPlanLib.pipeline.predict import PredictOptions
from SegAutoPlanLib.pipeline.predict_on_cluster import LoadedNetworks, networks_of
from SegAutoPlanLib.planning import plan_experiments
from SegAutoPlanLib.preprocessing import preprocess_dataset
from SegAutoPlanLib.progress import Reporter
from Testing.Engine.balls import ball_case, ball_workspace, untrained_model
from Testing.Engine.dask_cluster import DaskCluster, dask_cluster
from Testing.Engine.raw_datasets import labels, write_description, write_image, write_raw_dataset

distributed = pytest.importorskip(
    "distributed", reason="NOT TESTED: a Dask cluster needs the package distributed (pip install distributed)"
)

CASES = 12
SHAPE = (24, 80, 80)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with dask_cluster(tmp_path_factory.mktemp("cluster"), workers=2) as running:
        yield running


@pytest.fixture(autouse=True)
def few_samples(monkeypatch):
    monkeypatch.setattr(extraction, "SAMPLES_IN_TOTAL", 1_000_000)


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    """Cases that take a noticeable time each."""
    folder = tmp_path_factory.mktemp("raw") / "Dataset001_Balls"
    write_description(folder, numTraining=CASES)
    random = np.random.default_rng(0)
    for number in range(CASES):
        image = random.normal(100, 20, SHAPE).astype(np.float32)
        spacing = (1.0, 1.0, 2.0 + 0.1 * number)
        write_image(image, folder / "imagesTr" / f"case_{number:03d}_0000.nii.gz", spacing=spacing)
        target = folder / "labelsTr" / f"case_{number:03d}.nii.gz"
        write_image(np.roll(labels(SHAPE), number, 2), target, spacing=spacing)
    return folder


class KillsAWorker(Reporter):
    """Kills a worker that has tasks, as soon as the first result has come."""

    def __init__(self, cluster: DaskCluster) -> None:
        self.cluster = cluster
        self.lost: tuple[str, ...] = ()
        with distributed.Client(cluster.address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
            self.pids = client.run(os.getpid)

    def event(self, event, **fields):
        if event == "progress" and fields["done"] == 1 and not self.lost:
            # Stopped first, so that neither finishes what it has while the scheduler is asked who has what.
            for pid in self.pids.values():
                os.kill(pid, signal.SIGSTOP)
            killed, self.lost = self._kill_one()
            for pid in set(self.pids.values()) - {killed}:
                os.kill(pid, signal.SIGCONT)

    def _kill_one(self) -> tuple[int, tuple[str, ...]]:
        with distributed.Client(self.cluster.address, set_as_default=False) as client:
            limit = time.monotonic() + 30
            while not (busy := {worker: tasks for worker, tasks in client.processing().items() if tasks}):
                assert time.monotonic() < limit, "the scheduler gives out no more tasks"
                time.sleep(0.05)
        worker, tasks = next(iter(busy.items()))
        [process] = [process for process in self.cluster.processes if process.pid == self.pids[worker]]
        process.kill()
        process.wait(timeout=30)
        return process.pid, tuple(tasks)


def contents(folders: dict[str, Path]) -> dict[str, bytes]:
    return {
        f"{name}/{path.name}": path.read_bytes()
        for name, folder in folders.items()
        for path in sorted(folder.glob("*.case.safetensors"))
    }


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED on Windows: it has no SIGSTOP")
def test_a_killed_worker_changes_no_byte_of_the_preprocessed_files_nor_of_the_evaluation(raw, tmp_path):
    dataset = load_dataset(raw)
    plan = plan_experiments(extract_fingerprint(dataset, workers=2), dataset)
    local = preprocess_dataset(dataset, plan, tmp_path / "local", workers=2)
    folders = {"references": raw / "labelsTr", "predictions": tmp_path / "predictions"}
    for number, reference in enumerate(sorted(folders["references"].iterdir())):
        image = sitk.ReadImage(str(reference))
        sitk_labels = np.roll(sitk.GetArrayFromImage(image), number % 3, 2)
        write_image(sitk_labels, folders["predictions"] / reference.name, spacing=image.GetSpacing())
    scheme = (dataset.label_scheme, dataset.file_ending, dataset.image_io)
    evaluate_folder(*folders.values(), *scheme, summary=tmp_path / "local.json")

    (tmp_path / "dask").mkdir()
    with dask_cluster(tmp_path / "dask", workers=2) as cluster:
        workers, killer = Workers(scheduler=cluster.address), KillsAWorker(cluster)
        remote = preprocess_dataset(dataset, plan, tmp_path / "remote", workers=workers, reporter=killer)
        assert killer.lost
        with connected_cluster(cluster.address) as left:
            assert left.threads() == 1
        evaluate_folder(*folders.values(), *scheme, summary=tmp_path / "remote.json", workers=workers)

    assert len(contents(local)) == CASES * len(local)
    assert contents(remote) == contents(local)
    assert (tmp_path / "remote.json").read_bytes() == (tmp_path / "local.json").read_bytes()


def test_check_and_fingerprint_of_a_cluster_are_those_of_threads(raw, cluster, monkeypatch):
    """A path that is relative here means another file in a worker's folder, so that none is sent."""
    monkeypatch.chdir(raw.parent)
    dataset, workers = load_dataset(raw.name), Workers(scheduler=cluster.address)
    assert check_dataset(dataset, workers) == check_dataset(dataset, 2)
    assert extract_fingerprint(dataset, workers) == extract_fingerprint(dataset, 2)


def test_pairs_are_imported_by_a_cluster(raw, cluster, tmp_path):
    pairs = [
        (raw / "imagesTr" / f"case_{number:03d}_0000.nii.gz", raw / "labelsTr" / f"case_{number:03d}.nii.gz")
        for number in range(3)
    ]
    for number, workers in enumerate((Workers(scheduler=cluster.address), None), start=1):
        done = import_pairs(pairs, tmp_path, number, "X", value_names={1: "liver", 2: "tumour"}, workers=workers)
        assert done.case_count == 3
    files = [sorted(path for path in (tmp_path / f"Dataset00{n}_X").rglob("*") if path.is_file()) for n in (1, 2)]
    assert [path.name for path in files[0]] == [path.name for path in files[1]]
    assert all(one.read_bytes() == other.read_bytes() for one, other in zip(*files, strict=True))


def test_verbs_take_a_scheduler(raw, cluster, tmp_path, capsys):
    for side, where in (("here", ["--workers", "2"]), ("there", ["--scheduler", cluster.address])):
        there = ["--workspace", str(tmp_path / side), *where]
        for verb in ("check", "fingerprint", "plan", "preprocess"):
            assert main([verb, str(raw), *there]) == 0
        references = str(raw / "labelsTr")
        dataset_json = ["--dataset-json", str(raw / "dataset.json"), "--output", str(tmp_path / side / "summary.json")]
        assert main(["evaluate", references, references, *dataset_json, *there]) == 0
    files = [path.relative_to(tmp_path / "here") for path in (tmp_path / "here").rglob("*") if path.is_file()]
    assert len([file for file in files if file.name.endswith(".case.safetensors")]) == 2 * CASES
    for file in files:
        assert (tmp_path / "there" / file).read_bytes() == (tmp_path / "here" / file).read_bytes(), file


def test_a_cluster_predicts_and_averages_what_this_computer_would(cluster, tmp_path, capsys, monkeypatch):
    workspace = ball_workspace(tmp_path / "workspace")
    models = [str(untrained_model(workspace, configuration)) for configuration in ("3d_fullres", "2d")]
    for number in range(3):
        write_image(ball_case(number)[0], tmp_path / "in" / f"case{number}_0000.nii.gz")
    # A path that is relative here means another file in a worker's folder, so that none is sent.
    monkeypatch.chdir(tmp_path)
    for side, where in (("here", []), ("there", ["--scheduler", cluster.address])):
        for name, chosen in (("both", models), ("one", models[:1])):
            command = ["predict", "--model", *chosen, "--input", "in", "--output", f"{side}/{name}", *where]
            assert main([*command, "--save-probabilities", "--device", "cpu", "--no-mirroring"]) == 0
        folders = [f"{side}/one", f"{side}/both"]
        assert main(["ensemble", "--input", *folders, "--output", f"{side}/mean", *where]) == 0
    files = [path.relative_to("here") for path in Path("here").rglob("*") if path.is_file()]
    voxels = [file for file in files if file.name.endswith(".nii.gz")]
    assert len(voxels) == 3 * 3
    for file in voxels:
        assert (Path("there") / file).read_bytes() == (Path("here") / file).read_bytes(), file
    kept = {file for file in files if file.name != "lock"}
    assert {path.relative_to("there") for path in Path("there").rglob("*") if path.is_file()} == kept

    (tmp_path / "in" / "case2_0000.nii.gz").write_bytes(b"no image")
    capsys.readouterr()
    assert main(["predict", "--model", models[0], "--input", "in", "--output", "broken", "--scheduler",
                 cluster.address, "--device", "cpu"]) == 2  # fmt: skip
    assert "case2_0000.nii.gz: " in capsys.readouterr().err
    assert not list(Path("broken").rglob(".writing*"))


def test_a_worker_loads_the_networks_once_until_they_are_trained_again(tmp_path):
    workspace = ball_workspace(tmp_path)
    folder = ModelFolder.read(untrained_model(workspace))
    options = PredictOptions(folder.path, [tmp_path], tmp_path / "out", device="cpu")
    loaded = LoadedNetworks()
    first = loaded.get(networks_of([folder], options.networks))
    assert loaded.get(networks_of([folder], options.networks)) is first
    assert loaded.get(networks_of([folder], {**options.networks, "step_size": 0.7})) is not first
    again = loaded.get(networks_of([folder], options.networks))
    os.utime(folder.path / "fold_0" / "checkpoint_final.pth", (1, 1))
    assert loaded.get(networks_of([folder], options.networks)) is not again


def test_a_scheduler_that_is_not_there_is_one_sentence(raw, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cluster_module, "SECONDS_TO_CONNECT", 1)
    code = main(["check", str(raw), "--scheduler", "tcp://127.0.0.1:9", "--workspace", str(tmp_path)])
    assert code == 2
    assert "--scheduler tcp://127.0.0.1:9: no Dask scheduler answers there" in capsys.readouterr().err


def take_long(number: int) -> int:
    time.sleep(30)
    return number


def fail(number: int) -> None:
    raise FileError(f"case_{number}", "is bad", "mend it")


def run_out_of_memory(number: int) -> None:
    raise MemoryError


def end_the_process(number: int) -> None:
    os._exit(1)


class LostResult:
    """A client whose task is done, and whose result cannot be fetched."""

    def submit(self, task, *arguments, pure):
        return self

    def add_done_callback(self, callback):
        callback(self)

    def result(self):
        raise ConnectionResetError("the worker is gone")

    def cancel(self):
        raise AssertionError("it is done")


def test_a_result_that_cannot_be_fetched_is_an_error_and_no_waiting_for_ever():
    with ClusterExecutor(LostResult()) as executor, pytest.raises(ConnectionResetError, match="the worker is gone"):
        executor.submit(fail, 1).result(timeout=10)


class StopsAfter(Reporter):
    def __init__(self, seconds: float) -> None:
        self.stop = threading.Event()
        threading.Timer(seconds, self.stop.set).start()

    def stop_requested(self):
        return self.stop.is_set()


def tasks_of(cluster: DaskCluster) -> int:
    """How many tasks the scheduler knows."""
    with distributed.Client(cluster.address, set_as_default=False) as client:
        return client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))


def test_a_stop_cancels_what_the_cluster_has_in_flight(tmp_path):
    with dask_cluster(tmp_path, workers=1) as cluster:
        stopping = StopsAfter(3)
        began = time.monotonic()
        with pytest.raises(StopRequested):
            list(
                run_cases(take_long, range(9), workers=Workers(scheduler=cluster.address), stage="x", reporter=stopping)
            )
        assert time.monotonic() - began < 20
        assert tasks_of(cluster) == 0


def test_the_first_error_of_a_cluster_comes_in_all_its_parts(cluster):
    with pytest.raises(FileError) as raised:
        list(run_cases(fail, range(20), workers=Workers(scheduler=cluster.address), stage="x"))
    assert (raised.value.problem, raised.value.remedy) == ("is bad", "mend it")
    assert tasks_of(cluster) == 0


def test_memory_that_runs_out_in_a_cluster_is_a_sentence(cluster):
    with pytest.raises(UserInputError, match="memory ran out during x; start the cluster's workers with fewer threads"):
        list(run_cases(run_out_of_memory, range(3), workers=Workers(scheduler=cluster.address), stage="x"))


def test_a_case_that_ends_its_workers_is_a_sentence(tmp_path):
    with dask_cluster(tmp_path, workers=1, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0") as cluster:
        work = run_cases(end_the_process, [1], workers=Workers(scheduler=cluster.address), stage="x")
        with pytest.raises(UserInputError, match="one case ended several workers"):
            list(work)


def test_a_scheduler_that_ends_is_a_sentence(tmp_path):
    with dask_cluster(tmp_path, workers=1) as cluster:
        scheduler = cluster.processes[0]

        class Kills(Reporter):
            def stop_requested(self):
                scheduler.kill()
                return False

        work = run_cases(take_long, range(3), workers=Workers(scheduler=cluster.address), stage="x", reporter=Kills())
        with pytest.raises(UserInputError, match="connection to the scheduler was lost"):
            list(work)


def connect(address: str) -> None:
    with connected_cluster(address):
        raise AssertionError("it connected")


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "gopher://127.0.0.1:70", "tcp://127.0.0.1"])
def test_an_address_without_a_scheduler_is_a_sentence(address, monkeypatch):
    monkeypatch.setattr(cluster_module, "SECONDS_TO_CONNECT", 1)
    began = time.monotonic()
    with pytest.raises(UserInputError, match=r"no Dask scheduler answers there.* `dask scheduler`"):
        connect(address)
    assert time.monotonic() - began < 10


def test_a_server_that_is_no_scheduler_is_a_sentence(monkeypatch):
    monkeypatch.setattr(cluster_module, "SECONDS_TO_CONNECT", 1)
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(UserInputError, match="no Dask scheduler"):
        connect(f"tcp://127.0.0.1:{mute.getsockname()[1]}")
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as pages:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        with pytest.raises(UserInputError, match="no Dask scheduler"):
            connect(f"tcp://127.0.0.1:{pages.server_port}")
        pages.shutdown()


def test_a_cluster_without_workers_or_with_others_than_ours_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_module, "SECONDS_TO_CONNECT", 2)
    with dask_cluster(tmp_path, workers=0) as cluster:
        with pytest.raises(UserInputError, match=r"has no workers; start some with `dask worker tcp://"):
            connect(cluster.address)
        # Anywhere but in the repository the package is not found, unless it is installed.
        (tmp_path / "sitecustomize.py").write_text(
            "import sys\nsys.modules['SegAutoPlanLib'] = None\n", encoding="utf-8"
        )
        monkeypatch.setattr(cluster_module, "SECONDS_TO_CONNECT", 30)
        cluster.start_worker({"PYTHONPATH": str(tmp_path)})
        with pytest.raises(UserInputError, match=r"cannot import SegAutoPlanLib .* install segautoplan there"):
            connect(cluster.address)


def test_another_version_on_a_worker_is_a_sentence(cluster, monkeypatch):
    monkeypatch.setattr(cluster_module, "__version__", "0.0.1")
    with pytest.raises(UserInputError, match=r"has SegAutoPlanLib .*, but here it is 0\.0\.1; install the same"):
        connect(cluster.address)
    monkeypatch.undo()
    monkeypatch.setattr(distributed.versions, "_version_cached", lambda name: "1.2.3")
    with pytest.raises(UserInputError, match=r"has dask .*, but here it is 1\.2\.3"):
        connect(cluster.address)
    monkeypatch.undo()
    versions = distributed.versions._version_cached
    monkeypatch.setattr(
        distributed.versions, "_version_cached", lambda name: "9" if name == "torch" else versions(name)
    )
    with (
        pytest.raises(UserInputError, match=r"the worker .* has torch .*, but here it is 9; install the same"),
        connected_cluster(cluster.address, ["torch"]),
    ):
        pass


def test_without_the_package_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserInputError, match=r'not installed; install it with: pip install "segautoplan\[cluster\]"'):
        connect("tcp://127.0.0.1:8786")


def test_what_is_sent_with_a_case_does_not_grow_with_the_dataset(tmp_path):
    """A task is sent once per case: with all cases in it, ten thousand would be sent ten thousand times."""
    few, many = (load_dataset(write_raw_dataset(tmp_path / str(n) / "Dataset001_X", n)) for n in (1, 9))
    sizes = [len(pickle.dumps(dataset.without_cases())) for dataset in (few, many)]
    assert sizes[0] == sizes[1] < 2000
    assert json.loads(json.dumps(few.without_cases().dataset_json.document)) == {}

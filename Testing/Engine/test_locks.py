"""A lock keeps others out, says who holds it, and ends with the process that took it, however that ends."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from SegAutoPlanLib import locks
from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.importing.staging import new_dataset
from SegAutoPlanLib.locks import exclusive, holder_of, waiting_for
from SegAutoPlanLib.progress import Reporter

REPOSITORY = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="NOT TESTED: fork, links and kills are POSIX's")

HOLD = """
import sys, time
from pathlib import Path
from SegAutoPlanLib.locks import exclusive
with exclusive(Path(sys.argv[1]), "work"):
    print("held", flush=True)
    {meanwhile}
    print(child, flush=True)
    time.sleep(60)
"""


def holder(lock: Path, meanwhile: str = "child = 0") -> subprocess.Popen:
    """A process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(meanwhile=meanwhile), str(lock)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def lock(tmp_path) -> Path:
    return tmp_path / "work" / ".lock"


def is_free(lock: Path) -> bool:
    try:
        with exclusive(lock, "work"):
            return True
    except UserInputError:
        return False


def test_the_second_is_refused_and_told_who_is_first_and_since_when(lock):
    first = holder(lock)
    try:
        with pytest.raises(UserInputError) as refused, exclusive(lock, "training fold 0"):
            pass
        sentence = str(refused.value)
        assert sentence.startswith("training fold 0 goes on already: ")
        for part in (f"process {first.pid}", platform.node(), f"since {time.strftime('%Y-')}", "wait until"):
            assert part in sentence
    finally:
        end(first)


def test_the_lock_of_a_killed_process_is_free_at_once(lock):
    first = holder(lock)
    end(first)
    assert lock.is_file()
    with exclusive(lock, "work"):
        assert json.loads(lock.read_text())["pid"] == os.getpid()
    assert not lock.exists()


def test_nothing_is_left_of_a_lock_but_what_came_into_its_folder(lock):
    with exclusive(lock, "work"):
        pass
    assert not lock.parent.exists()
    with exclusive(lock, "work"):
        (lock.parent / "result").touch()
    assert [path.name for path in lock.parent.iterdir()] == ["result"]
    with exclusive(lock, "work"):
        (lock.parent / "result").unlink()
    assert lock.parent.is_dir(), "it was there before the lock"


def test_a_lock_is_free_after_an_error_within(lock):
    with pytest.raises(ZeroDivisionError), exclusive(lock, "work"):
        raise ZeroDivisionError
    assert is_free(lock)


def test_a_thread_keeps_other_threads_out(lock):
    with exclusive(lock, "work"):
        refused = []
        thread = threading.Thread(target=lambda: refused.append(not is_free(lock)))
        thread.start()
        thread.join()
    assert refused == [True]


def test_of_many_at_once_never_two_hold_it(lock):
    inside, most, done = [0], [0], [0]

    def work() -> None:
        for _ in range(40):
            try:
                with exclusive(lock, "work"):
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    time.sleep(0.0005)
                    inside[0] -= 1
                    done[0] += 1
            except UserInputError:
                continue

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert done[0] > 0


class Patient(Reporter):
    """Hears what is said while waiting; asks to stop after a time, if at all."""

    def __init__(self, stop_after_s: float = 1e9) -> None:
        self.heard: list[tuple[str, str]] = []
        self._until = time.monotonic() + stop_after_s

    def event(self, event, /, **fields):
        self.heard.append((event, fields["message"]))

    def stop_requested(self):
        return time.monotonic() > self._until


def test_who_waits_is_told_for_whom_and_goes_on_when_the_other_ends(lock, monkeypatch):
    monkeypatch.setattr(locks, "LOOK_S", 0.02)
    first = holder(lock)
    reporter = Patient()
    threading.Timer(0.3, first.kill).start()
    with waiting_for(lock, "preprocessing", reporter):
        first.wait()
    end(first)
    ((event, message),) = reporter.heard
    assert event == "waiting"
    assert "preprocessing goes on already" in message
    assert f"process {first.pid}" in message


def test_waiting_can_be_stopped(lock, monkeypatch):
    monkeypatch.setattr(locks, "LOOK_S", 0.02)
    with exclusive(lock, "work"), pytest.raises(StopRequested), waiting_for(lock, "work", Patient(0.1)):
        pass
    assert is_free(lock)


def test_nobody_is_told_of_waiting_where_there_is_none(lock):
    reporter = Patient()
    with waiting_for(lock, "work", reporter):
        assert not is_free(lock)
    assert reporter.heard == []


PROCESS = "from multiprocessing import get_context; p = get_context({!r}).Process(target=time.sleep, args=(30,)); "


@posix
@pytest.mark.parametrize(
    "meanwhile",
    [
        "import subprocess; child = subprocess.Popen(['sleep', '30'], close_fds=False).pid",
        "import os; child = os.fork() or (os.close(1), time.sleep(30), os._exit(0))",
        PROCESS.format("fork") + "p.start(); child = p.pid",
        PROCESS.format("spawn") + "p.start(); child = p.pid",
    ],
    ids=["program", "fork", "multiprocessing's fork", "multiprocessing's spawn"],
)
def test_a_child_that_outlives_its_parent_holds_no_lock(lock, meanwhile):
    first = holder(lock, meanwhile)
    child = int(first.stdout.readline())
    try:
        time.sleep(0.2)
        assert not is_free(lock)
        first.kill()
        first.wait()
        os.kill(child, 0)
        assert is_free(lock)
    finally:
        end(first)
        os.kill(child, signal.SIGKILL)


def _lock_again(path: Path, answer) -> None:
    answer.put(is_free(path))


@posix
def test_a_fork_does_not_free_its_parents_lock(lock):
    processes = multiprocessing.get_context("fork")
    with exclusive(lock, "work"):
        answer = processes.SimpleQueue()
        child = processes.Process(target=_lock_again, args=(lock, answer))
        child.start()
        assert answer.get() is False
        child.join()
        assert not is_free(lock)
    assert is_free(lock)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"pid": 1}', b"x" * 100_000, b"\xff\xfe", b'{"pid": {}, "host": [], "since": 0}']
)
def test_whatever_stands_in_the_file_a_holder_is_named(lock, content):
    with exclusive(lock, "work"):
        lock.write_bytes(content)
        assert len(holder_of(lock)) < 1000
        with pytest.raises(UserInputError, match="goes on already"), exclusive(lock, "work"):
            pass


@pytest.mark.parametrize("content", [b"", b"x" * 100_000])
def test_what_a_dead_process_left_in_the_file_is_no_obstacle(lock, content):
    lock.parent.mkdir()
    lock.write_bytes(content)
    assert is_free(lock)


@posix
@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "read-only folder", "below a file", "too long"])
def test_a_lock_that_cannot_be_taken_is_one_sentence(lock, kind, tmp_path):
    lock.parent.mkdir()
    if kind == "folder":
        lock.mkdir()
    elif kind == "link":
        (tmp_path / "precious").write_text("precious")
        lock.symlink_to(tmp_path / "precious")
    elif kind == "pipe":
        os.mkfifo(lock)
    elif kind == "below a file":
        lock.touch()
        lock /= "lock"
    elif kind == "too long":
        lock = lock.with_name("x" * 300)
    elif os.geteuid() == 0:
        # Root may write everywhere but here.
        lock = Path("/proc/1/lock")
    else:
        lock.parent.chmod(0o500)
    with pytest.raises(UserInputError), exclusive(lock, "work"):
        pass
    if kind == "link":
        assert (tmp_path / "precious").read_text() == "precious"


@posix
def test_on_a_disk_that_cannot_lock_work_goes_on_without(lock, monkeypatch):
    def cannot(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", cannot)
    with exclusive(lock, "work") as first, exclusive(lock, "work") as second:
        assert (first, second) == (False, False), "nobody may take himself for alone, and remove what another writes"


@posix
def test_on_a_disk_that_cannot_lock_nothing_of_others_is_removed(tmp_path, monkeypatch):
    def cannot(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", cannot)
    theirs = tmp_path / ".importing_004_theirs"
    theirs.mkdir()
    with new_dataset(tmp_path, 4, "Liver") as (folder, _):
        (folder / "dataset.json").touch()
    assert theirs.is_dir()


def test_who_holds_a_lock_knows_that_he_is_alone(lock):
    with exclusive(lock, "work") as is_alone:
        assert is_alone


@posix
def test_on_a_disk_whose_file_numbers_change_taking_a_lock_ends(lock, monkeypatch):
    monkeypatch.setattr(os.path, "samestat", lambda *_: False)
    with exclusive(lock, "work"):
        pass


def test_a_full_disk_has_no_room_for_a_name_and_the_lock_holds_all_the_same(lock, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with exclusive(lock, "work"):
        assert not is_free(lock)
        assert holder_of(lock) == f"another process holds {lock}"
    assert is_free(lock)


@posix
def test_a_stopped_holder_still_holds(lock):
    first = holder(lock)
    try:
        first.send_signal(signal.SIGSTOP)
        assert not is_free(lock)
    finally:
        end(first)
    assert is_free(lock)

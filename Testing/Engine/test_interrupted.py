"""Killed at any step, or on a full disk: nothing half-written passes for a result, and the same command then succeeds
with the same files as an undisturbed run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .interrupted import FILE_SIZES, PREPARED, lines

REPOSITORY = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="NOT TESTED: fork, SIGKILL and limits are POSIX's")


@pytest.fixture(scope="module", params=PREPARED)
def outcomes(request, tmp_path_factory) -> list[dict]:
    folder = tmp_path_factory.mktemp("interrupted")
    done = subprocess.run(
        [sys.executable, "-m", "Testing.Engine.interrupted", request.param, str(folder)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = list(lines(done.stdout))
    assert {outcome["kind"] for outcome in found} == {"killed", "full"}
    return found


def test_nothing_half_written_passes_for_a_result(outcomes):
    assert [(outcome["how"], outcome["wrong"]) for outcome in outcomes if outcome["wrong"]] == []


def test_the_same_command_then_gives_what_an_undisturbed_run_gives(outcomes):
    assert [outcome["how"] for outcome in outcomes if outcome["again"] != 0 or not outcome["equal"]] == []


def test_nothing_of_the_interrupted_run_is_left_behind(outcomes):
    # The record of predictions, and the lock of one who was killed when all was done but to remove it.
    may_stay = ("written.jsonl", ".preprocessing.lock")
    left = {name for outcome in outcomes for name in outcome["left"] if not name.endswith(may_stay)}
    assert left == set()


def test_a_full_disk_is_one_sentence_and_the_users_to_solve(outcomes):
    full = [outcome for outcome in outcomes if outcome["kind"] == "full"]
    assert len(full) == len(FILE_SIZES)
    assert full[0]["code"] == 2, "nothing at all fits"
    for outcome in full:
        assert outcome["code"] in (0, 2), outcome
        assert "Traceback" not in outcome["error"], outcome

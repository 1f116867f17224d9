"""A seeded sample of the attacks in every run of the tests; `make attack` runs them all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from Testing.Attack.cases import all_attacks, sampled
from Testing.Attack.verbs import VERBS

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE = 75
SEED = 1


def test_the_tables_hold_at_least_200_hostile_models_and_datasets_and_400_bad_inputs():
    counts = Counter(attack.hostile for attack in all_attacks(seed=1, generated=0))
    assert counts[True] >= 200
    assert counts[False] >= 400


def test_no_two_cases_have_the_same_name():
    names = Counter(attack.identity for attack in all_attacks(seed=1, generated=20))
    assert [name for name, count in names.items() if count > 1] == []


def test_every_verb_is_attacked():
    assert {attack.verb for attack in all_attacks(seed=1, generated=0)} == set(VERBS)


def test_a_seed_fixes_what_is_generated_and_what_is_drawn():
    first, second, other = ([a.identity for a in sampled(all_attacks(seed, 30), 50, seed)] for seed in (1, 1, 2))
    assert first == second != other


@pytest.mark.skipif(
    not hasattr(os, "fork"), reason="NOT TESTED: the sample needs fork to be quick; make attack does not"
)
def test_no_attack_of_the_sample_comes_through(tmp_path):
    report = tmp_path / "report.json"
    options = ["--sample", str(SAMPLE), "--seed", str(SEED), "--generated", "60", "--report", str(report)]
    done = subprocess.run(
        [sys.executable, "-m", "Testing.Attack", *options],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert report.is_file(), done.stderr[-3000:]
    found = json.loads(report.read_text(encoding="utf-8"))
    assert len(found) == SAMPLE
    assert [one for one in found if not one["good"]] == []
    assert done.returncode == 0

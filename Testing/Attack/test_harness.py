"""The harness sees what it is there for: verbs that were made bad on purpose are each caught."""

from __future__ import annotations

import faulthandler
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from Testing.Attack import actions, verbs
from Testing.Attack.attack import Attack, Expected
from Testing.Attack.harness import BYSTANDER, Ground, carry_out_attack
from Testing.Attack.place import Place
from Testing.Attack.spoils import InJson, Text
from Testing.Attack.verbs import Verb
from Testing.Attack.verdict import Verdict

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="NOT TESTED: what is bad on purpose exists only in a fork"
)

SENTENCE = "segautoplan: /some/file.json: is wrong; correct it."


def says(sentence: str, code: int = 2) -> Callable[[list[str]], int]:
    def say(arguments: list[str]) -> int:
        print(sentence, file=sys.stderr)
        return code

    return say


def runs_code(arguments: list[str]) -> int:
    Path(arguments[0], "executed").touch()
    return says(SENTENCE)(arguments)


def writes_outside(arguments: list[str]) -> int:
    Path(arguments[0], "new.txt").touch()
    return says(SENTENCE)(arguments)


def changes_outside(arguments: list[str]) -> int:
    Path(arguments[0], "precious.txt").write_text("other")
    return says(SENTENCE)(arguments)


def deletes_outside(arguments: list[str]) -> int:
    Path(arguments[0], "precious.txt").unlink()
    return says(SENTENCE)(arguments)


def deletes_everything(arguments: list[str]) -> int:
    shutil.rmtree(arguments[0])
    return 0


def hangs(arguments: list[str]) -> int:
    time.sleep(60)
    return 0


def raises(arguments: list[str]) -> int:
    raise KeyError("configuration")


def dies(arguments: list[str]) -> int:
    faulthandler.disable()  # pytest's would tell of it at length
    os.kill(os.getpid(), signal.SIGSEGV)
    return 0


def grows(arguments: list[str]) -> int:
    kept = [bytearray(b"x" * (1 << 20)) for _ in range(1500)]
    return says(SENTENCE)([str(len(kept))])


def grows_without_a_bound(arguments: list[str]) -> int:
    kept = []
    while True:
        kept.append(b"x" * (1 << 26))


def leaves_a_temporary_file(arguments: list[str]) -> int:
    Path(arguments[1], ".writing_0123.json").touch()
    return says(SENTENCE)(arguments)


def ends_another(arguments: list[str]) -> int:
    os.kill(int(Path(arguments[2], "run.json").read_text().split()[-1].strip("}")), signal.SIGKILL)
    time.sleep(0.3)
    return 0


def writes_its_result(arguments: list[str]) -> int:
    Path(arguments[1], "result").write_text("sound")
    return 0


def writes_another_result(arguments: list[str]) -> int:
    Path(arguments[1], "result").write_text("other")
    return 0


def fills_the_disk(arguments: list[str]) -> int:
    Path(arguments[1], "result").write_bytes(bytes(10_000))
    return 0


@pytest.fixture
def ground(tmp_path) -> Ground:
    sound = Place(tmp_path / "sound")
    sound.outside.mkdir(parents=True)
    (sound.outside / "precious.txt").write_text("precious")
    sound.run.mkdir(parents=True)
    (sound.run / "run.json").write_text("{}")
    return Ground(sound, {"fake": "sound"}, tmp_path)


def result_of(place: Place) -> str:
    return (place.output / "result").read_text()


@pytest.fixture
def verdict_on(monkeypatch, ground):
    def judge(action: Callable[[list[str]], int], **changes) -> Verdict:
        verb = Verb(("{outside}", "{output}", "{run}"), ("{run}",), ("{output}",), result_of, "fake")
        monkeypatch.setitem(actions.ACTIONS, "fake", action)
        monkeypatch.setitem(verbs.VERBS, "fake", verb)
        output = Text("{output}/.keep", "")
        spoils = (output, *changes.pop("spoil", ()))
        attack = Attack("harness", action.__name__, "fake", spoils, named=("/some/file.json",), **changes)
        return carry_out_attack(attack, ground)[0]

    return judge


@pytest.mark.parametrize(
    ("action", "verdict"),
    [
        (runs_code, Verdict.EXECUTED),
        (writes_outside, Verdict.WROTE_OUTSIDE),
        (changes_outside, Verdict.WROTE_OUTSIDE),
        (deletes_outside, Verdict.DELETED),
        (deletes_everything, Verdict.DELETED),
        (raises, Verdict.TRACEBACK),
        (dies, Verdict.TRACEBACK),
        (grows, Verdict.MEMORY),
        (grows_without_a_bound, Verdict.MEMORY),
        (leaves_a_temporary_file, Verdict.LEFTOVERS),
        (writes_its_result, Verdict.ACCEPTED),
        (says(SENTENCE), Verdict.REFUSED),
        (says(""), Verdict.GARBLED),
        (says(f"{SENTENCE}\n{SENTENCE}"), Verdict.GARBLED),
        (says(f"{SENTENCE}\nand more"), Verdict.GARBLED),
        (says(SENTENCE.replace("wrong", "\x1b[31mwrong")), Verdict.GARBLED),
        (says(SENTENCE.replace("wrong", "wrong" * 1000)), Verdict.GARBLED),
        (says("segautoplan: is wrong; correct it."), Verdict.NOT_NAMED),
        (says(SENTENCE.replace("; correct it", "")), Verdict.NO_REMEDY),
        (says(SENTENCE, code=1), Verdict.TRACEBACK),
        (says(SENTENCE, code=0), Verdict.ACCEPTED),
    ],
)
def test_each_failure_is_seen(verdict_on, action, verdict):
    assert verdict_on(action) is verdict


def test_what_does_not_end_is_ended(verdict_on):
    assert verdict_on(hangs, limits={"seconds": 0.5}) is Verdict.HANG


def test_another_process_that_is_ended_is_seen(verdict_on):
    spoil = (InJson("{run}/run.json", ("pid",), BYSTANDER),)
    assert verdict_on(ends_another, spoil=spoil, expected=Expected.ANSWERED) is Verdict.KILLED_ANOTHER


@pytest.mark.parametrize(
    ("action", "expected", "verdict"),
    [
        (writes_its_result, Expected.HARMLESS, Verdict.EQUAL),
        (writes_its_result, Expected.REFUSED_OR_EQUAL, Verdict.EQUAL),
        (writes_its_result, Expected.REFUSED_OR_OBEYED, Verdict.ACCEPTED),
        (writes_another_result, Expected.HARMLESS, Verdict.ACCEPTED),
        (writes_another_result, Expected.REFUSED_OR_EQUAL, Verdict.ACCEPTED),
        (writes_another_result, Expected.REFUSED_OR_OBEYED, Verdict.EQUAL),
        (writes_another_result, Expected.ANSWERED, Verdict.EQUAL),
        (says(SENTENCE), Expected.HARMLESS, Verdict.REJECTED),
        (says(SENTENCE), Expected.REFUSED_OR_EQUAL, Verdict.REFUSED),
    ],
)
def test_a_success_is_compared_with_the_sound_one(verdict_on, action, expected, verdict):
    assert verdict_on(action, expected=expected) is verdict


def test_a_full_disk_is_an_error(verdict_on):
    assert verdict_on(fills_the_disk, limits={"file_mb": 0.001}) is Verdict.TRACEBACK


def test_killed_and_run_again_the_second_run_counts(verdict_on):
    limits = {"seconds_before_kill": 0.1}
    assert verdict_on(writes_its_result, drama="killed", expected=Expected.HARMLESS, limits=limits) is Verdict.EQUAL
    assert verdict_on(raises, drama="killed", expected=Expected.HARMLESS, limits=limits) is Verdict.TRACEBACK

"""One attack from beginning to end: lay out, spoil, watch, run, look, judge, clear away."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from .attack import Attack, Expected
from .dramas import DRAMAS
from .place import Place
from .verbs import VERBS, Verb
from .verdict import LEFTOVER, Evidence, Verdict, judge
from .victim import Ending, Limits, Order
from .watch import Snapshot, changes_between, snapshot

BYSTANDER = "{bystander}"
"""Stands for the number of a process that nobody may end."""


@dataclass(frozen=True)
class Ground:
    """What all attacks share."""

    sound: Place
    results: Mapping[str, object]
    """What each verb gives in the sound place."""
    folder: Path
    """Where the places are made."""


def carry_out_attack(attack: Attack, ground: Ground) -> tuple[Verdict, str, float]:
    """Run it and judge what it did; gives the verdict, the words that go with it, and the seconds that it took."""
    verb = VERBS[attack.verb]
    root = Path(tempfile.mkdtemp(prefix="place-", dir=ground.folder))
    try:
        place = Place.laid_out(root / "place", ground.sound, verb.needs)
        for spoil in attack.spoil:
            spoil(place)
        with _bystander(place) as bystander:
            seen = _watched(attack, verb, place, ground, bystander)
        verdict, words = judge(attack, place, seen)
        return verdict, words.replace(str(place.root), "…"), seen.ending.seconds
    finally:
        _clear(root)


def _watched(attack: Attack, verb: Verb, place: Place, ground: Ground, bystander: subprocess.Popen | None) -> Evidence:
    limits = replace(Limits(), **attack.limits)
    limits = replace(limits, full_disk=place.named(limits.full_disk))
    before = snapshot(place.root)
    ending = DRAMAS[attack.drama](order_of(attack, verb, place), limits, attack.identity)
    after = snapshot(place.root)
    allowed = [str(place.path(path).relative_to(place.root)) for path in verb.may_write]
    parents = [str(parent) for path in allowed for parent in Path(path).parents]
    if verb.all_or_nothing and ending.code == 2:
        allowed = []
    changes = changes_between(before, after, allowed)
    return Evidence(
        ending=ending,
        # A folder on the way to what it may write may be made.
        changes=replace(changes, made=tuple(path for path in changes.made if path not in parents)),
        leftovers=() if attack.drama == "killed" else _leftovers(before, after),
        bystander_lives=bystander is None or bystander.poll() is None,
        equals_sound=_equals_sound(attack, verb, place, ending, ground),
    )


def _leftovers(before: Snapshot, after: Snapshot) -> tuple[str, ...]:
    return tuple(sorted(path for path in after.keys() - before.keys() if LEFTOVER.search(path)))


def order_of(attack: Attack, verb: Verb, place: Place) -> Order:
    """What the child is told."""
    surroundings = {
        "HOME": str(place.home),
        "TMPDIR": str(place.temporary),
        # The fonts that matplotlib finds: its own cache, which has nothing to do with what it draws.
        "MPLCONFIGDIR": str(Path(tempfile.gettempdir()) / "segautoplan-attack-fonts"),
        **{name: place.named(value) for name, value in attack.environment},
    }
    own = list(verb.arguments)
    for position, text in attack.instead:
        own[position] = text
    arguments = tuple(place.named(text) for text in (*own, *attack.arguments))
    return Order(verb.action, arguments, str(place.home), tuple(surroundings.items()))


def _equals_sound(attack: Attack, verb: Verb, place: Place, ending: Ending, ground: Ground) -> bool:
    if ending.code != 0 or attack.expected in (Expected.REFUSED, Expected.ANSWERED):
        return False
    try:
        return json.dumps(verb.result(place)) == json.dumps(ground.results[attack.verb])
    except (OSError, ValueError, KeyError, RuntimeError):
        return False


@contextlib.contextmanager
def _bystander(place: Place) -> Iterator[subprocess.Popen | None]:
    """A process whose number stands in the run files that name one, so that a wrong kill is seen."""
    files = [path for path in (place.run / "run.json", place.run / "launcher.json") if path.is_file()]
    wanting = [path for path in files if BYSTANDER in _text_of(path)]
    if not wanting:
        yield None
        return
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        for path in wanting:
            path.write_text(_text_of(path).replace(f'"{BYSTANDER}"', str(process.pid)), encoding="utf-8")
        yield process
    finally:
        process.kill()
        process.wait()


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.stat().st_size < 100_000 else ""


def _clear(root: Path) -> None:
    for folder, _, _ in os.walk(root):
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o700)
    shutil.rmtree(root, ignore_errors=True)

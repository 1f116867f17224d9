"""All attacks, some side by side: each lane is a forked process that takes the next case when it is done with one."""

from __future__ import annotations

import contextlib
import multiprocessing
import shutil
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from SegAutoPlanLib.training.augmentation.elastic import load_elastic_deform

from .attack import Attack
from .harness import Ground, carry_out_attack, order_of
from .place import Place
from .verbs import VERBS
from .verdict import Judged, Verdict
from .victim import HAS_FORK, Limits, Order, Victim


@contextlib.contextmanager
def prepared_ground(verbs: Sequence[str]) -> Iterator[Ground]:
    """The sound place, and what each of the verbs gives there.

    Raises:
        RuntimeError: a verb fails where nothing is wrong.
    """
    load_elastic_deform()  # what is imported now need not be imported in each child
    folder = Path(tempfile.mkdtemp(prefix="attack-"))
    try:
        sound = Place(folder / "sound")
        _must_succeed(Order("build", (str(sound.root),), str(folder)))
        results = {}
        for name in dict.fromkeys(verbs):
            verb = VERBS[name]
            place = Place.laid_out(folder / f"sound {name}", sound, verb.needs)
            control = Attack("control", name, name)
            if name != "kill run":
                _must_succeed(order_of(control, verb, place))
                results[name] = verb.result(place)
        yield Ground(sound, results, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _must_succeed(order: Order) -> None:
    ending = Victim(order, Limits(seconds=120)).wait()
    if ending is None or ending.code != 0:
        said = ending.errors[-3000:] if ending else ""
        raise RuntimeError(f"{order.action} {' '.join(order.arguments)} fails where nothing is wrong:\n{said}")


def judged(attacks: Sequence[Attack], ground: Ground, lanes: int) -> Iterator[Judged]:
    """The verdicts, as they come."""
    if not HAS_FORK or lanes == 1:
        for attack in attacks:
            yield Judged(attack, *_tried(attack, ground))
        return
    # Forked while this process has one thread: what it has imported is theirs, and nothing hangs on a lock.
    context = multiprocessing.get_context("fork")
    open_ends: list[Connection] = []
    processes = []
    following = context.Value("L", 0)
    for _ in range(lanes):
        receiving, sending = context.Pipe(duplex=False)
        process = context.Process(target=_walk, args=(attacks, following, ground, sending))
        process.start()
        sending.close()
        open_ends.append(receiving)
        processes.append(process)
    while open_ends:
        for end in wait(open_ends):
            try:
                number, *said = end.recv()
            except EOFError:
                open_ends.remove(end)
                continue
            yield Judged(attacks[number], *said)
    for process in processes:
        process.join()
        if process.exitcode != 0:
            raise RuntimeError(f"a lane of the suite ended with {process.exitcode}")


def _walk(attacks: Sequence[Attack], following: Any, ground: Ground, sending: Connection) -> None:
    while True:
        with following.get_lock():
            number = following.value
            following.value += 1
        if number >= len(attacks):
            return
        sending.send((number, *_tried(attacks[number], ground)))


def _tried(attack: Attack, ground: Ground) -> tuple[Verdict, str, float]:
    try:
        return carry_out_attack(attack, ground)
    except Exception:  # noqa: BLE001 - the suite's own mistake must be seen, and must not hide the other cases
        return Verdict.BROKEN, traceback.format_exc().strip().replace("\n", " | ")[-1000:], 0.0

"""All attacks, some side by side: each lane is a forked process that takes every n-th case."""

from __future__ import annotations

import contextlib
import multiprocessing
import shutil
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path

from .attack import Attack
from .harness import Ground, carry_out_attack, order_of
from .place import Place
from .verbs import VERBS
from .verdict import Judged
from .victim import HAS_FORK, Limits, Order, Victim


@contextlib.contextmanager
def prepared_ground(verbs: Sequence[str]) -> Iterator[Ground]:
    """The sound place, and what each of the verbs gives there.

    Raises:
        RuntimeError: a verb fails where nothing is wrong.
    """
    folder = Path(tempfile.mkdtemp(prefix="attack-"))
    try:
        sound = Place(folder / "sound")
        _must_succeed(Order("build", (str(sound.root),), str(folder)), folder / "building")
        results = {}
        for name in dict.fromkeys(verbs):
            verb = VERBS[name]
            place = Place.laid_out(folder / f"sound {name}", sound, verb.needs)
            control = Attack("control", name, name)
            if name != "kill run":
                _must_succeed(order_of(control, verb, place), folder / f"{name} streams")
                results[name] = verb.result(place)
        yield Ground(sound, results, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _must_succeed(order: Order, streams: Path) -> None:
    streams.mkdir()
    ending = Victim(order, Limits(seconds=120), streams).wait()
    if ending is None or ending.code != 0:
        said = ending.errors[-3000:] if ending else ""
        raise RuntimeError(f"{order.action} {' '.join(order.arguments)} fails where nothing is wrong:\n{said}")


def judged(attacks: Sequence[Attack], ground: Ground, lanes: int) -> Iterator[Judged]:
    """The verdicts, as they come."""
    if not HAS_FORK or lanes == 1:
        for attack in attacks:
            yield carry_out_attack(attack, ground)
        return
    # Forked while this process has one thread: what it has imported is theirs, and nothing hangs on a lock.
    context = multiprocessing.get_context("fork")
    open_ends: list[Connection] = []
    processes = []
    for lane in range(lanes):
        receiving, sending = context.Pipe(duplex=False)
        process = context.Process(target=_walk, args=(attacks[lane::lanes], ground, sending))
        process.start()
        sending.close()
        open_ends.append(receiving)
        processes.append(process)
    while open_ends:
        for end in wait(open_ends):
            try:
                said = end.recv()
            except EOFError:
                open_ends.remove(end)
                continue
            if isinstance(said, str):
                raise RuntimeError(said)
            yield said
    for process in processes:
        process.join()


def _walk(attacks: Sequence[Attack], ground: Ground, sending: Connection) -> None:
    for attack in attacks:
        try:
            sending.send(carry_out_attack(attack, ground))
        except Exception:  # noqa: BLE001 - the suite's own mistake; told to who asked, who raises it
            sending.send(f"{attack.identity}: the suite itself failed\n{traceback.format_exc()}")
            return

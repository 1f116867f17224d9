"""Which number format was the fastest for a network on a machine: measured once, then read from a small file."""

from __future__ import annotations

import hashlib
import math
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ..errors import UserInputError
from ..files import read_json, write_json
from ..number_format import NUMBER_FORMAT, NumberFormat, number_format_of
from ..schema import mapping_of, number, problem_of, record, text

MOST_BYTES = 1 << 20
MOST_ENTRIES = 500
CLEARLY = 0.9
"""The share of the usual format's time below which another is taken: less is noise."""
ROUNDS, MOST_ROUNDS = 2, 6
"""How often a format is timed, by turns with the usual one: the more often, the shorter a run is."""
QUICK_S = 1.0
"""More rounds than ROUNDS are made for so long."""
FAR_FASTER = 0.75
"""The share of the usual format's time at which the search ends."""
HOPELESS = 1.5
"""A format that takes so many times the fastest's time is not run again."""

FORMATS_FILE = mapping_of(
    record(
        {"number_format": NUMBER_FORMAT, "seconds": mapping_of(number(above=0), longest=20)},
        {"agreement": number(0, 1)},
        others=(),
    ),
    text(),
    longest=MOST_ENTRIES,
)
"""By machine and work, the fastest format, what each took, for people, and how well its labels agree with float32's."""


def machine_and(work: str, device: torch.device) -> str:
    """What a measurement holds for: the processor, torch, its threads, and the work, described in full by `work`."""
    if device.type == "cuda":
        processor = torch.cuda.get_device_name(device)
    else:
        abilities = [name for name, has in _abilities() if has]
        processor = " ".join([_processor_name(), *abilities, f"{torch.get_num_threads()} threads"])
    digest = hashlib.sha256(work.encode()).hexdigest()[:16]
    return f"{device.type}: {processor}; torch {torch.__version__}; {digest}"


def remembered(file: Path, key: str) -> NumberFormat | None:
    """The format that was found for the key; None if none was, or the file cannot be believed."""
    entry = _entries(file).get(key)
    return None if entry is None else number_format_of(entry["number_format"])


def remembered_agreement(file: Path, key: str) -> float | None:
    """The share of voxels on whose labels the remembered format agreed with float32, where that was asked."""
    return _entries(file).get(key, {}).get("agreement")


def remember(
    file: Path,
    key: str,
    number_format: NumberFormat,
    seconds: dict[NumberFormat, float],
    agreement: float | None = None,
) -> None:
    """Write the result beside those for other keys; of too many, those written first go.

    Args:
        agreement: the share of voxels on whose labels the format agrees with float32.

    Raises:
        UserInputError: the file cannot be written.
    """
    entries = {name: entry for name, entry in _entries(file).items() if name != key}
    kept = dict(list(entries.items())[-(MOST_ENTRIES - 1) :])
    times = {str(tried): round(its, 4) for tried, its in seconds.items()}
    entry = {"number_format": vars(number_format), "seconds": times}
    if agreement is not None:
        entry["agreement"] = agreement
    write_json(file, {**kept, key: entry})


def measure(
    formats: Sequence[NumberFormat],
    prepare: Callable[[NumberFormat], Callable[[], Any]],
    allowed_s: float = math.inf,
    is_admissible: Callable[[NumberFormat], bool] = lambda _: True,
    is_worth: Callable[[float], bool] | None = None,
) -> tuple[NumberFormat, dict[NumberFormat, float]]:
    """The fastest format, and the seconds of each that was tried.

    A process grows faster in its first runs, whatever they compute, and other work comes and goes; so each format is
    timed by turns with the usual one, and the best of its runs counts.

    Args:
        formats: the usual one first, then by falling promise; another is taken only if it is clearly faster, and none
            is tried after one that is far faster.
        prepare: what is to be run in a format; each is run a few times, the first one untimed.
        allowed_s: no other format is tried once this is spent.
        is_admissible: asked of each other format after its first run; one that is not is no more run, nor returned.
        is_worth: asked once the usual format has run, with its seconds; if not, no other is tried.
    """
    started = time.perf_counter()
    usual, *others = formats
    run_usual = prepare(usual)
    seconds = {usual: _timed(run_usual)}
    if is_worth is not None:
        # The first run of a process makes kernels, too.
        seconds[usual] = min(seconds[usual], _timed(run_usual))
        others = others if is_worth(seconds[usual]) else []
    for other in others:
        if time.perf_counter() - started > allowed_s:
            break
        run = prepare(other)
        took = _timed(run)
        if not is_admissible(other):
            continue
        seconds[other] = took
        if seconds[other] < HOPELESS * 2 * min(seconds.values()):
            _time_by_turns({usual: run_usual, other: run}, seconds)
        if seconds[other] < FAR_FASTER * seconds[usual]:
            break
        del run
    fastest = min(seconds, key=seconds.__getitem__)
    return (fastest if seconds[fastest] < CLEARLY * seconds[usual] else usual), seconds


def _time_by_turns(runs: dict[NumberFormat, Callable[[], Any]], seconds: dict[NumberFormat, float]) -> None:
    """Put the best time of each into `seconds`, which has the first ones."""
    started = time.perf_counter()
    for turn in range(MOST_ROUNDS):
        if turn >= ROUNDS and time.perf_counter() - started > QUICK_S:
            break
        for each, run in runs.items():
            seconds[each] = max(min(seconds[each], _timed(run)), 1e-6)


def _timed(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _entries(file: Path) -> dict[str, Any]:
    # What can be measured again is no reason to stop.
    try:
        document = read_json(file, MOST_BYTES)
    except UserInputError:
        return {}
    return document if problem_of(FORMATS_FILE, document) is None else {}


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _abilities() -> list[tuple[str, bool]]:
    """What decides the speed of a format; virtual machines hide the processor's name."""
    return [
        (torch.backends.cpu.get_cpu_capability(), True),
        ("bfloat16", torch.ops.mkldnn._is_mkldnn_bf16_supported()),
        ("AVX512_BF16", torch.cpu._is_avx512_bf16_supported()),
        ("AMX", torch.cpu._is_amx_tile_supported()),
    ]

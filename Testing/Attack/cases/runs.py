"""Run folders that somebody else has written: they are read, never believed, and nobody is killed on their word."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..attack import Attack, Expected
from ..harness import BYSTANDER
from ..special_files import SPECIAL_FILES
from ..spoils import Become, By, Folder, InJson, Linked, Text
from ..wrong_values import INFINITY, NAN, WRONG_VALUES, nested

FAMILY = "run"
RUN, LAUNCHER = "{run}/run.json", "{run}/launcher.json"
PROGRESS, LOG, STOP = "{run}/progress.jsonl", "{run}/log.txt", "{run}/STOP"
READERS = ("look at runs", "runs list")
HERE = platform.node()

LINES: dict[str, bytes] = {
    "deep": b"[" * 10**6 + b"\n",
    "deep-object": b'{"a":' * 10**5 + b"\n",
    "endless-line": b'{"event": "' + b"x" * (50 << 20) + b'"}\n',
    "no-newline": b'{"event": "started"',
    "binary": bytes(range(256)) * 1000,
    "nul": b"\0" * 100_000,
    "utf-16": '{"event": "started"}\n'.encode("utf-16"),
    "latin-1": b'{"event": "warning", "message": "\xf6"}\n',
    "list": b'[]\n7\nnull\n"x"\n',
    "empty-object": b"{}\n",
    "no-event": b'{"time": "x"}\n',
    "event-number": b'{"event": 7}\n',
    "event-list": b'{"event": ["epoch"]}\n',
    "event-unknown": b'{"event": "surprise", "message": 7}\n',
    "event-is-keyword": b'{"event": "progress", "self": 1, "event_": 2, "message": "x", "kind": "y", "name": "z"}\n',
    "giant-number": b'{"event": "progress", "done": ' + b"9" * 10_000 + b', "total": 1, "stage": "x", "unit": "y"}\n',
    "escape": b'{"event": "failed", "message": "\\u001b[2J\\u001b[31mred", "hint": ""}\n',
    "surrogate": b'{"event": "failed", "message": "\\ud800", "hint": ""}\n',
    "endless-message": b'{"event": "failed", "message": "' + b"x" * 10**6 + b'", "hint": ""}\n',
    "many-epochs": b"".join(b'{"event": "epoch", "epoch": %d}\n' % number for number in range(50_000)),
    "many-warnings": b'{"event": "warning", "message": "x"}\n' * 50_000,
    "falling-epochs": b"".join(b'{"event": "epoch", "epoch": %d}\n' % (9999 - n) for n in range(10_000)),
}
EVENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "progress": ("progress", ("stage", "done", "total", "unit", "eta_s")),
    "epoch": ("epoch", ("epoch", "epochs", "train_loss", "val_loss", "dice", "ema_dice", "learning_rate", "seconds")),
    "failed": ("failed", ("message", "hint")),
    "finished": ("finished", ("result",)),
    "warning": ("warning", ("message",)),
    "time": ("started", ("time",)),
}
SOUND_EVENT: dict[str, Any] = {"stage": "x", "done": 1, "total": 2, "unit": "case", "eta_s": 1.0, "epoch": 1,
                               "epochs": 2, "message": "x", "hint": "", "dice": [0.5], "result": {}}  # fmt: skip


def attacks() -> Iterator[Attack]:
    for file in (RUN, LAUNCHER, PROGRESS, LOG, STOP):
        short = file.rpartition("/")[2]
        for name, make in SPECIAL_FILES.items():
            for verb in READERS:
                yield _of(verb, f"{short}-is-{name}", Become(file, make))
    for name, content in LINES.items():
        for verb in (*READERS, "runs follow"):
            ended = b'\n{"event": "finished", "result": {}}\n' if verb == "runs follow" else b""
            yield _of(verb, f"progress-{name}", Text(PROGRESS, content + ended))
        yield _of("look at runs", f"run.json-{name}", Text(RUN, content))
        yield _of("look at runs", f"launcher.json-{name}", Text(LAUNCHER, content))
        yield _of("look at runs", f"log-{name}", Text(LOG, content))
    for kind, (event, keys) in EVENTS.items():
        for key in keys:
            for name, value in {**WRONG_VALUES, "infinite": INFINITY, "nan-list": [NAN], "deep": nested(900)}.items():
                line = json.dumps({"event": event, **SOUND_EVENT, key: value}) + "\n"
                yield _of("look at runs", f"{kind}-{key}-{name}", Text(PROGRESS, line))
    for key in ("name", "arguments", "asked_at", "asked_in", "pid", "host", "process_started", "run_folder", "exit"):
        for name, value in WRONG_VALUES.items():
            yield _of("look at runs", f"run.json-{key}-{name}", InJson(RUN, (key,), value))
    yield from _forged_processes()
    yield from _folders()


def _forged_processes() -> Iterator[Attack]:
    """The number of a process that has nothing to do with the run; nobody ends it."""
    for name, changes in {
        "plain": {},
        "of-this-host": {"host": HERE},
        "without-start": {"host": HERE, "process_started": ""},
        "start-null": {"host": HERE, "process_started": None},
        "of-this-folder": {"host": HERE, "run_folder": "{run}", "process_started": ""},
        "of-no-folder": {"host": HERE, "run_folder": "", "process_started": ""},
        "of-root": {"host": HERE, "run_folder": "/", "process_started": ""},
        "program": {"host": HERE, "program": "python", "process_started": ""},
    }.items():
        for file in (RUN, LAUNCHER):
            spoils = (
                InJson(file, ("pid",), BYSTANDER),
                *(InJson(file, (key,), value) for key, value in changes.items()),
            )
            short = file.rpartition("/")[2]
            yield _of("kill run", f"{short}-pid-{name}", spoils)
            yield _of("runs stop", f"{short}-pid-{name}", spoils)
    for name, pid in (
        ("own", "own"),
        ("init", 1),
        ("zero", 0),
        ("negative", -1),
        ("group", -2),
        ("2^70", 2**70),
        ("true", True),
    ):
        spoils = (InJson(RUN, ("pid",), os.getpid() if pid == "own" else pid), InJson(RUN, ("host",), HERE))
        yield _of("kill run", f"pid-{name}", spoils)


def _folders() -> Iterator[Attack]:
    runs = "{workspace}/runs"
    for name, spoil in {
        "is-a-file": By(RUN, lambda path: (path.parents[1] / "file").write_text("x")),
        "named-escape": Text(f"{runs}/\x1b[31mred/run.json", "{}"),
        "named-newline": Text(f"{runs}/a\nb/run.json", "{}"),
        "named-not-utf-8": By(RUN, _not_utf8),
        "named-endless": Text(f"{runs}/{'x' * 250}/run.json", "{}"),
        "links-to-outside": Linked(f"{runs}/link", "{outside}"),
        "links-to-itself": Linked(f"{runs}/circle", f"{runs}/circle"),
        "links-to-parent": Linked(f"{runs}/parent", "{workspace}"),
        "empty": Folder(f"{runs}/empty", ""),
        "many": By(RUN, _many),
    }.items():
        for verb in READERS:
            yield _of(verb, f"folder-{name}", spoil)
    # The newest is the one that is meant; its STOP would be made where the link leads.
    link = (Linked(f"{runs}/9999_link", "{outside}"),)
    yield Attack(FAMILY, "stop-of-a-link", "runs stop", link, Expected.ANSWERED, hostile=False)
    stop = (Linked(STOP, "{outside}/stopped"),)
    yield Attack(FAMILY, "stop-is-a-link", "runs stop", stop, Expected.ANSWERED, hostile=False)
    for name in ("../x", "{outside}", "..", "\x1b[31m", "x" * 5000, "a\nb"):
        shown = (name[:40], name[:40].encode("unicode_escape").decode())
        for action in ("stop", "follow"):
            what = f"{action}-named-{ascii(name[:20]).replace('/', '|')}"
            yield Attack(FAMILY, what, f"runs {action}", (), Expected.REFUSED, shown, (name,), hostile=False)


def _not_utf8(path: Path) -> None:
    folder = os.path.join(os.fsencode(path.parents[1]), b"\xff\xfe")
    os.mkdir(folder)
    with open(os.path.join(folder, b"run.json"), "wb") as file:
        file.write(b"{}")


def _many(path: Path) -> None:
    for number in range(300):
        folder = path.parents[1] / f"run-{number}"
        folder.mkdir()
        (folder / "run.json").write_text("{}", encoding="utf-8")


def _of(verb: str, name: str, spoil: Any) -> Attack:
    spoils = spoil if isinstance(spoil, tuple) else (spoil,)
    return Attack(FAMILY, name, verb, spoils, Expected.ANSWERED, hostile=False)

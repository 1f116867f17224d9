"""What may lie where a file should: pipes, devices, folders, links in circles, and files without end."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.mkdir()
    (path / "inside.txt").write_text("inside", encoding="utf-8")


def a_socket(path: Path) -> None:
    import socket

    here = os.getcwd()
    # The name of a socket may have a hundred bytes only.
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_terminal(path: Path) -> None:
    path.symlink_to("/dev/tty")


def a_circle(path: Path) -> None:
    path.symlink_to(path)


def dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def sparse(path: Path, size: int = 300 << 20) -> None:
    with open(path, "wb") as file:
        file.truncate(size)


def endless_spaces(path: Path) -> None:
    path.write_bytes(b"{" + b" " * (80 << 20) + b"}")


EVERYWHERE = ("folder", "sparse-300-MB", "80-MB-of-spaces")
"""Windows has these only, and links to those who may make them."""
SPECIAL_FILES: dict[str, Callable[[Path], None]] = {
    "fifo": a_fifo,
    "folder": a_folder,
    "socket": a_socket,
    "dev-zero": zeros,
    "dev-tty": a_terminal,
    "link-circle": a_circle,
    "link-dangling": dangling,
    "sparse-300-MB": sparse,
    "80-MB-of-spaces": endless_spaces,
}
"""What may lie where a file should; all are refused by whoever reads it."""
if os.name != "posix":
    SPECIAL_FILES = {name: make for name, make in SPECIAL_FILES.items() if name in EVERYWHERE}

"""Checks for the system libraries of system-packages.txt and installs what is missing where it may.

``python -m Testing.Host.system_libraries`` exits with 0 if nothing is missing any more, else with 2 and the command
that someone with more rights has to run.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

_LIST = Path(__file__).with_name("system-packages.txt")


def missing_packages(listing: Path = _LIST) -> list[str]:
    """The packages whose library does not load, or whose file is not there. Empty on other systems than Linux."""
    if sys.platform != "linux":
        return []
    lines = listing.read_text(encoding="utf-8").splitlines()
    pairs = [line.split() for line in lines if line and not line.startswith("#")]
    return [package for package, provides in pairs if not _is_there(provides)]


def _is_there(library_or_file: str) -> bool:
    if library_or_file.startswith("/"):
        return Path(library_or_file).exists()
    try:
        ctypes.CDLL(library_or_file)
    except OSError:
        return False
    return True


def main() -> int:
    missing = missing_packages()
    if not missing:
        return 0
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
    may_install = os.geteuid() == 0 and shutil.which("apt-get")
    if may_install and subprocess.call(["apt-get", "update", "-q"]) == 0 and subprocess.call(command) == 0:
        missing = missing_packages()
    if missing:
        print(
            f"System libraries are missing: install {', '.join(missing)} (as root: {' '.join(command)})",
            file=sys.stderr,
        )
    return 2 if missing else 0


if __name__ == "__main__":
    sys.exit(main())

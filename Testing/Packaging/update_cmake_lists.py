"""Rewrites the SCRIPTS and RESOURCES lists of our CMakeLists.txt from the files that are there.

Slicer ships only what is listed. Run it after adding, moving or removing a file:
`python Testing/Packaging/update_cmake_lists.py`; with `--check` it changes nothing and ends with 1 if a list is stale.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class ScriptedFolder:
    """A folder that one CMakeLists.txt ships."""

    folder: str
    resources: tuple[str, ...]
    """Glob patterns, relative to the folder, of what is shipped besides Python files."""


FOLDERS = (
    ScriptedFolder("SegAutoPlan", ("Resources/**/*", "SegAutoPlanUI/**/*.ui")),
    ScriptedFolder("SegAutoPlanLib", ("requirements/*.txt",)),
)


def listed(cmake: str, keyword: str) -> list[str]:
    """The entries of `set(MODULE_PYTHON_SCRIPTS …)` or `set(MODULE_PYTHON_RESOURCES …)`."""
    return _list_pattern(keyword).search(cmake)[2].split()


def present(scripted: ScriptedFolder, keyword: str, repository: Path = REPOSITORY) -> list[str]:
    """What the list should hold: sorted paths relative to the folder, with forward slashes."""
    folder = repository / scripted.folder
    patterns = ("**/*.py",) if keyword == "SCRIPTS" else scripted.resources
    files = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return sorted(path.relative_to(folder).as_posix() for path in files if "__pycache__" not in path.parts)


def updated(scripted: ScriptedFolder, cmake: str, repository: Path = REPOSITORY) -> str:
    for keyword in ("SCRIPTS", "RESOURCES"):
        lines = "".join(f"  {name}\n" for name in present(scripted, keyword, repository))
        cmake = _list_pattern(keyword).sub(lambda match, lines=lines: f"{match[1]}{lines}{match[3]}", cmake)
    return cmake


def stale_lists(repository: Path = REPOSITORY) -> dict[Path, str]:
    """The CMakeLists.txt whose lists do not equal the files, with the content they should have."""
    result = {}
    for scripted in FOLDERS:
        path = repository / scripted.folder / "CMakeLists.txt"
        cmake = path.read_text(encoding="utf-8")
        wanted = updated(scripted, cmake, repository)
        if wanted != cmake:
            result[path] = wanted
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a list is stale")
    options = parser.parse_args()
    stale = stale_lists()
    for path, content in stale.items():
        print(f"{path.relative_to(REPOSITORY)}: {'is stale' if options.check else 'updated'}")
        if not options.check:
            path.write_text(content, encoding="utf-8", newline="\n")
    return 1 if stale and options.check else 0


def _list_pattern(keyword: str) -> re.Pattern[str]:
    return re.compile(rf"(set\(MODULE_PYTHON_{keyword}\n)(.*?)(  \))", re.DOTALL)


if __name__ == "__main__":
    sys.exit(main())

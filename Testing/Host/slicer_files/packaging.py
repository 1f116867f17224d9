"""``slicer.packaging``: which Python packages are there, and asking before one is installed.

Nothing is installed here: where Slicer would call pip, this raises.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable
from pathlib import Path

import slicer
from packaging.requirements import Requirement

Requirements = str | Requirement | Iterable[str | Requirement]


def load_requirements(path: str | Path) -> list[Requirement]:
    """The requirements of a requirements.txt; lines that are comments or options are left out.

    A comment behind a requirement raises InvalidRequirement, as in Slicer.
    """
    lines = (line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def pip_check(req: Requirements) -> bool:
    """True if every requirement that applies here is installed in a version that satisfies it."""
    return all(_satisfied(one) for one in _as_list(req))


def pip_ensure(
    requirements: Requirements,
    constraints: str | Path | None = None,
    prompt_install: bool = True,
    prompt_restart: bool = True,
    requester: str | None = None,
    skip_in_testing: bool = True,
    show_progress: bool = True,
    **_: object,
) -> None:
    """Install what is missing, after asking. Raises RuntimeError if the user says no."""
    missing = [str(one) for one in _as_list(requirements) if not _satisfied(one)]
    if not missing or (skip_in_testing and slicer.app.testingEnabled()):
        return
    question = f"{requester or 'This module'} needs {len(missing)} Python package(s). Install now?"
    if prompt_install and not slicer.util.confirmOkCancelDisplay(question, detailedText="\n".join(missing)):
        raise RuntimeError(f"The installation of {', '.join(missing)} was declined.")
    pip_install(missing)


def pip_install(
    requirements: Requirements,
    blocking: bool = True,
    logCallback: Callable[[str], None] | None = None,
    completedCallback: Callable[[int], None] | None = None,
    **_: object,
) -> None:
    raise NotImplementedError(f"the test host installs nothing (asked for {requirements})")


def isPipInstallInProgress() -> bool:
    return False


def _as_list(requirements: Requirements) -> list[Requirement]:
    if isinstance(requirements, str | Requirement):
        requirements = [requirements]
    return [one if isinstance(one, Requirement) else Requirement(one) for one in requirements]


def _satisfied(requirement: Requirement) -> bool:
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return True
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(version, prereleases=True)

"""``slicer.testing``: runs a unit test by name."""

from __future__ import annotations

import sys
import unittest


def exitSuccess() -> None:
    """Slicer would quit with exit code 0."""


def exitFailure(message: str = "") -> None:
    raise RuntimeError(message)


def runUnitTest(path: str | list[str], testname: str) -> None:
    """Run ``testname`` from the folders ``path``. Raises RuntimeError if it fails."""
    sys.path.extend([path] if isinstance(path, str) else path)
    suite = unittest.defaultTestLoader.loadTestsFromName(testname)
    if not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful():
        exitFailure(f"{testname} failed")

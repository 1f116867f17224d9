"""Fixtures for every test that needs the Slicer side: one host per session, an empty scene per test."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Qt reads this once, so it must be there before anything imports Qt.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


@pytest.fixture(scope="session")
def _host():
    try:
        import PySide6  # noqa: F401
        import slicer  # noqa: F401
    except ImportError as error:
        pytest.skip(f"NOT TESTED: the Slicer side needs slicer-core and PySide6-Essentials, and {error}")
    from Testing.Host import start_application

    return start_application()


@pytest.fixture
def host(_host) -> Iterator:
    """The running host with an empty scene; an exception in a slot or an observer fails the test."""
    _host.close_scene()
    _host.errors.clear()
    yield _host
    _host.close_scene()
    errors = list(_host.errors)
    _host.errors.clear()
    assert not errors, "exceptions in slots or observers:\n" + "\n".join(errors)


@pytest.fixture
def slicer_app(host):
    """Another name for ``host``."""
    return host

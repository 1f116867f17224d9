"""ITK's warnings kept off the terminal while we read and write."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import SimpleITK as sitk

_lock = threading.Lock()
_silenced = 0
_shown_before = True


@contextlib.contextmanager
def no_itk_warnings() -> Iterator[None]:
    """ITK's display of warnings is one switch for the process (in Slicer: for Slicer too), so it is turned
    off only while some thread is inside, and then put back as it was."""
    global _silenced, _shown_before
    with _lock:
        if _silenced == 0:
            _shown_before = sitk.ProcessObject.GetGlobalWarningDisplay()
            sitk.ProcessObject.SetGlobalWarningDisplay(False)
        _silenced += 1
    try:
        yield
    finally:
        with _lock:
            _silenced -= 1
            if _silenced == 0:
                sitk.ProcessObject.SetGlobalWarningDisplay(_shown_before)

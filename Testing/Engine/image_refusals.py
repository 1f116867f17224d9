"""How a reader refuses a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from SegAutoPlanLib.errors import FileError
from SegAutoPlanLib.images import read_image

ITK_READERS = ("SimpleITKIO", "SimpleITKIOWithReorient")
NIFTI_READERS = (*ITK_READERS, "NibabelIO", "NibabelIOWithReorient")


def sentence(path: Path, reader: str) -> str:
    """The one that names the file."""
    with pytest.raises(FileError) as caught:
        read_image([path], reader)
    text = str(caught.value)
    assert text.startswith(f"{path}: "), text
    assert text.endswith("."), text
    assert "\n" not in text
    return text

"""What a dataset.json may say that it must not."""

from __future__ import annotations

from collections.abc import Iterator

from ..attack import Attack


def attacks() -> Iterator[Attack]:
    yield from ()

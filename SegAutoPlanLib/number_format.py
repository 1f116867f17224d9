"""In which number format and memory layout a network computes: one frozen record. No torch needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .schema import flag, one_of, record

PRECISIONS = ("float32", "bfloat16", "float16")
AUTOMATIC, FULL = "auto", "full"
PRECISION_CHOICES = (AUTOMATIC, FULL)
"""What `--precision` takes: the format that is the fastest here, or float32."""


@dataclass(frozen=True)
class NumberFormat:
    """How the layers compute; weights, optimiser, statistics and losses are float32 in every format."""

    precision: str = "float32"
    """One of PRECISIONS."""
    channels_last: bool = False
    """Whether the channels of a voxel lie side by side in memory."""

    def in_words(self) -> str:
        """For people who do not know the names."""
        bits = 32 if self.precision == "float32" else 16
        return f"{bits}-bit numbers ({self})"

    def __str__(self) -> str:
        return f"{self.precision}, channels-last" if self.channels_last else self.precision


FULL_PRECISION = NumberFormat()
FORMATS = tuple(NumberFormat(precision, channels_last) for precision in PRECISIONS for channels_last in (False, True))
"""All there are: a format's place here is what the processes of a distributed run tell each other."""
NUMBER_FORMAT = record({"precision": one_of(*PRECISIONS), "channels_last": flag}, others=())
"""The rule of a format in a file, as `vars` writes it."""


def number_format_of(document: dict[str, Any]) -> NumberFormat:
    """The format that a document which fits NUMBER_FORMAT describes."""
    return NumberFormat(**document)

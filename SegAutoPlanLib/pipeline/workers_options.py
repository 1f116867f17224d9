"""The options that all verbs share which go over many independent cases."""

from __future__ import annotations

from dataclasses import dataclass

from ..executors import Workers
from ..schema import either, nothing
from .option_rules import ADDRESS, COUNT, require_option


@dataclass(frozen=True, kw_only=True)
class WorkersOptions:
    """Who works on the cases."""

    workers: int | None = None
    """Cases at once; None: as many as cores and memory allow."""
    scheduler: str | None = None
    """Address of a Dask cluster's scheduler that works on the cases instead of this computer."""

    def __post_init__(self) -> None:
        require_option("--workers", self.workers, either(nothing, COUNT))
        require_option("--scheduler", self.scheduler, either(nothing, ADDRESS))

    @property
    def on_cases(self) -> Workers:
        """The same for the executor."""
        return Workers(self.workers, self.scheduler)

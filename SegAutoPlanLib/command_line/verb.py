"""What a verb of the command line is."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..progress import Reporter
from ..workspace import Workspace


@dataclass(frozen=True)
class Result:
    """What a verb prints: words for a person, `summary` for --json."""

    text: str
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int = 0


@dataclass(frozen=True)
class Verb:
    """A name, its arguments, and what is done with them."""

    name: str
    summary: str
    """One sentence for `--help`."""
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Workspace, argparse.Namespace, Reporter], Result]
    """Calls the public function of the same name in pipeline/ and puts its result into words."""
    runs_networks: bool = False
    """Whether networks run in its process, which is then set up for them."""

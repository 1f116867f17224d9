"""What one attack is: a row of a table."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

from .place import Place

Spoil = Callable[[Place], None]
"""Makes a sound place hostile. It runs outside the child, before anybody watches."""


class Expected(enum.Enum):
    """What may happen."""

    REFUSED = "refused"
    """Exit code 2 and one sentence that names what is wrong."""
    HARMLESS = "harmless"
    """It works and gives what the sound place gives: nothing is wrong with it, however odd it looks."""
    REFUSED_OR_EQUAL = "refused or equal"
    """It is either refused or makes no difference to the result."""
    REFUSED_OR_OBEYED = "refused or obeyed"
    """It is either refused or makes a difference: what is read is never ignored."""
    ANSWERED = "answered"
    """It works or is refused; for readers that show what there is and never fail."""


@dataclass(frozen=True)
class Attack:
    """One case."""

    family: str
    name: str
    verb: str
    """A row of `verbs.VERBS`."""
    spoil: tuple[Spoil, ...] = ()
    expected: Expected = Expected.REFUSED
    named: tuple[str, ...] = ()
    """One of these texts must be in the sentence; `{model}` and the like stand for the place's folders."""
    arguments: tuple[str, ...] = ()
    """Added to those of the verb."""
    instead: tuple[tuple[int, str], ...] = ()
    """Places among the verb's own arguments, and what stands there."""
    environment: tuple[tuple[str, str], ...] = ()
    limits: dict[str, int] = field(default_factory=dict)
    """Of the child, beside the usual ones, by the name of its field in `victim.Limits`."""
    drama: str = "once"
    """How the verb is run, a row of `dramas.DRAMAS`: once, killed and run again, two at once …"""
    hostile: bool = True
    """Whether it is a stranger's model or dataset; else it is a bad input."""

    @property
    def identity(self) -> str:
        return f"{self.family}/{self.verb}/{self.name}"

"""What may stand in ``Annotated[type, ...]`` beside a parameter's type."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence


@dataclasses.dataclass(frozen=True)
class Default:
    """The value of a parameter that the node does not have yet; ``generator`` makes a new one each time."""

    _value: object = None
    generator: Callable[[], object] | None = None

    @property
    def value(self) -> object:
        return self.generator() if self.generator else self._value


@dataclasses.dataclass(frozen=True)
class WithinRange:
    minimum: float
    maximum: float

    def validate(self, value: float) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value} is not within [{self.minimum}, {self.maximum}]")


@dataclasses.dataclass(frozen=True)
class Minimum:
    minimum: float

    def validate(self, value: float) -> None:
        if value < self.minimum:
            raise ValueError(f"{value} is less than {self.minimum}")


@dataclasses.dataclass(frozen=True)
class Maximum:
    maximum: float

    def validate(self, value: float) -> None:
        if value > self.maximum:
            raise ValueError(f"{value} is greater than {self.maximum}")


@dataclasses.dataclass(frozen=True)
class Choice:
    choices: Sequence

    def validate(self, value: object) -> None:
        if value not in self.choices:
            raise ValueError(f"{value!r} is not one of {list(self.choices)}")


@dataclasses.dataclass(frozen=True)
class Decimals:
    """How many decimals a connected spin box or slider shows."""

    value: int


@dataclasses.dataclass(frozen=True)
class SingleStep:
    """By how much one click changes a connected spin box or slider."""

    value: float

"""What the integers of a segmentation mean: labels, regions, the ignore label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .errors import UserInputError
from .schema import array_of, problem_of, shown, text

Label = int | tuple[int, ...]
MAX_LABEL = 65535
"""The largest value that a segmentation file of ours can hold."""
ENTRY_NAME = text(r"[^\x00-\x1f\x7f]+", "text of one line", longest=500)


@dataclass(frozen=True)
class LabelScheme:
    """The `labels` and `regions_class_order` of dataset.json.

    The order of `entries` is that of the file and carries meaning: it is the order of the regions and so of
    the network's heads. It is never sorted.
    """

    entries: tuple[tuple[str, Label], ...]
    regions_class_order: tuple[int, ...] | None = None

    @classmethod
    def from_dataset_json(cls, dataset_json: dict[str, Any], source: str = "dataset.json") -> LabelScheme:
        """Read `labels` and `regions_class_order`.

        Raises:
            UserInputError: no background 0, gaps in the values, a misplaced ignore label, or a wrong
                `regions_class_order`.
        """
        labels = dataset_json.get("labels")
        if not isinstance(labels, dict) or not labels:
            raise UserInputError(f'{source}: "labels" is missing; add e.g. {{"background": 0, "tumour": 1}}.')
        if (problem := problem_of(array_of(ENTRY_NAME), list(labels))) is not None:
            raise UserInputError(f'{source}: a name in "labels" {problem.partition(" ")[2]}; correct it.')
        scheme = cls(
            tuple((name, _as_label(name, value, source)) for name, value in labels.items()),
            _as_order(dataset_json.get("regions_class_order"), source),
        )
        scheme._validate(source)
        return scheme

    def _validate(self, source: str) -> None:
        if dict(self.entries).get("background") != 0:
            raise UserInputError(f'{source}: "labels" needs an entry "background" with value 0; add it.')
        values = list(self.all_labels)
        if values != list(range(len(values))):
            raise UserInputError(
                f"{source}: label values must be consecutive from 0, but are {', '.join(map(str, values))}; "
                "renumber the labels in dataset.json and in the label files."
            )
        if self.ignore_label is not None and self.ignore_label != max(values) + 1:
            raise UserInputError(
                f'{source}: "ignore" must be the highest value ({max(values) + 1}), not {self.ignore_label}; '
                "renumber it."
            )
        order = self.regions_class_order or ()
        if self.has_regions and len(order) != len(self.regions):
            raise UserInputError(
                f'{source}: "regions_class_order" must list one integer for each of the {len(self.regions)} '
                "regions; add or correct it."
            )
        unknown = [value for value in order if value not in values]
        if self.has_regions and unknown:
            raise UserInputError(
                f'{source}: "regions_class_order" holds {unknown[0]}, which is no value of "labels"; correct it.'
            )
        if not self.foreground:
            raise UserInputError(f'{source}: "labels" names nothing but background; add what is to be segmented.')

    @property
    def has_regions(self) -> bool:
        """Whether some entry joins several label values; then heads are sigmoid and may overlap."""
        return any(isinstance(value, tuple) and len(value) > 1 for name, value in self.entries if name != "ignore")

    @property
    def ignore_label(self) -> int | None:
        for name, value in self.entries:
            if name == "ignore":
                return value if isinstance(value, int) else value[0]
        return None

    @property
    def all_labels(self) -> tuple[int, ...]:
        """Every annotated value with background, without ignore, ascending."""
        values: set[int] = set()
        for name, value in self.entries:
            if name != "ignore":
                values.update((value,) if isinstance(value, int) else value)
        return tuple(sorted(values))

    @property
    def foreground_labels(self) -> tuple[int, ...]:
        return tuple(value for value in self.all_labels if value != 0)

    @property
    def segments(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Name and label values of each foreground entry, in file order; a region has several values."""
        valued = ((name, value if isinstance(value, tuple) else (value,)) for name, value in self.entries)
        return tuple((name, values) for name, values in valued if name != "ignore" and values != (0,))

    @property
    def regions(self) -> tuple[Label, ...]:
        """Foreground regions in file order (only meaningful when `has_regions`)."""
        return tuple(value for name, value in self.entries if name != "ignore" and value not in (0, (0,)))

    @property
    def foreground(self) -> tuple[Label, ...]:
        """What is trained, sampled and evaluated: the regions, else the foreground labels."""
        return self.regions if self.has_regions else self.foreground_labels

    @property
    def head_count(self) -> int:
        """Output channels of the network: one per region, else one per label with background."""
        return len(self.regions) if self.has_regions else len(self.all_labels)

    @property
    def expected_values(self) -> frozenset[int]:
        """What a label file may contain."""
        return frozenset(self.all_labels) | ({self.ignore_label} if self.ignore_label is not None else set())

    def name_of(self, label: Label) -> str:
        for name, value in self.entries:
            if value in (label, (label,)):
                return name
        return str(label)


def _as_label(name: str, value: Any, source: str) -> Label:
    if _is_label(value):
        return value
    if name == "ignore":
        raise UserInputError(f'{source}: label "ignore" must be an integer, not {shown(value)}; correct it.')
    if isinstance(value, list | tuple) and value and all(_is_label(part) for part in value):
        return tuple(value)
    raise UserInputError(
        f'{source}: label "{name}" must be an integer or a list of integers from 0 to {MAX_LABEL}, not '
        f"{shown(value)}; correct it."
    )


def _as_order(order: Any, source: str) -> tuple[int, ...] | None:
    if order is None or (isinstance(order, list | tuple) and all(_is_label(value) for value in order)):
        return None if order is None else tuple(order)
    raise UserInputError(f'{source}: "regions_class_order" must be a list of integers, not {shown(order)}; correct it.')


def _is_label(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_LABEL

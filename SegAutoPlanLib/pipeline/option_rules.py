"""What the verbs' options may be: each record is checked when it is made, by a shell, a panel or a script alike."""

from __future__ import annotations

import re
from typing import Any

from ..errors import UserInputError
from ..models.names import name_part
from ..planning.plan_gate import plan_name
from ..schema import Rule, either, every, nothing, number, problem_of, shown, text, whole
from ..training.recipe_rules import RULES

COUNT = whole(1, 4096)
"""Of workers, of processes."""
ADDRESS = text("[^\\s]+", "an address")
"""Of a cluster's scheduler."""
SEED = whole(0, 2**31 - 1)
"""What every random generator takes, with room for what is added to it."""
LENGTH = either(nothing, RULES["epochs"])
"""Epochs, and steps per epoch; nnU-Net has 1000 and 250."""
MINUTES = either(nothing, number(above=0, highest=10**6))
GIGABYTES = either(nothing, number(above=0, highest=100_000))
HOST_AND_PORT = re.compile(r"([\w.-]{1,253}|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}", re.ASCII)
MILLIMETRES = number(1e-3, 1e4)


def require_option(name: str, value: Any, rule: Rule) -> None:
    """Refuse an option's value that does not fit.

    Args:
        name: as on the command line, e.g. `--seed`.

    Raises:
        UserInputError: the sentence says what it must be.
    """
    problem = problem_of(rule, value)
    if problem is not None:
        raise UserInputError(f"{name} {shown(value)}: {problem}.")


def require_plans_name(name: str | None) -> None:
    """Refuse a name of plans that would be another file than a plan.

    Raises:
        UserInputError: the name is a path, or that of another file beside the plans.
    """
    if name is not None:
        require_option("--plans", name, every(plan_name, name_part))


def require_rendezvous(nodes: int, rendezvous: str | None) -> None:
    """Refuse several computers without a place to meet, a place for one, and what is no `HOST:PORT`.

    Raises:
        UserInputError: one of these.
    """
    if rendezvous is None:
        if nodes > 1:
            raise UserInputError(
                f"--nodes {nodes}: the computers do not know where to meet; give --rendezvous HOST:PORT too, one of "
                "them and a port that is free on it."
            )
        return
    if nodes == 1:
        raise UserInputError(f"--rendezvous {shown(rendezvous)}: is for several computers; give --nodes N too.")
    if not HOST_AND_PORT.fullmatch(rendezvous) or not 0 < int(rendezvous.rpartition(":")[2]) < 1 << 16:
        raise UserInputError(
            f"--rendezvous {shown(rendezvous)}: must be HOST:PORT, the port from 1 to 65535, e.g. node01:29400."
        )

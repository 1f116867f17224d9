"""How a verb is run: once; killed and then run again; or twice at once."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable

from .victim import Ending, Limits, Order, Victim

Drama = Callable[[Order, Limits, str], Ending]
"""The order, its limits, and the attack's name, which seeds what is random; gives what is judged."""


LONGEST_HOLD_S = 5.0
"""Then the first goes on: the second may be one that waits for it."""


def once(order: Order, limits: Limits, name: str) -> Ending:
    victim = Victim(order, limits)
    ending = victim.wait()
    assert ending is not None
    return ending


def killed_then_again(order: Order, limits: Limits, name: str) -> Ending:
    """SIGKILL at a moment that the name draws, then the same command: that one is judged."""
    moment = random.Random(name).random() * float(limits.seconds_before_kill)
    first = Victim(order, limits)
    first.wait(until=lambda: first.seconds > moment)
    first.end(None)
    return once(order, limits, name)


def two_at_once(order: Order, limits: Limits, name: str) -> Ending:
    """The same command while the first of it is held still at a moment that the name draws.

    Judged is the second where it refuses or fails; else the first, which goes on behind it.
    """
    moment = random.Random(name).random() * float(limits.seconds_before_kill)
    first = Victim(order, limits)
    if first.wait(until=lambda: first.seconds > moment) is None:
        first.signal(signal.SIGSTOP)
    other = Victim(order, limits)
    other.wait(until=lambda: other.seconds > LONGEST_HOLD_S)
    first.signal(signal.SIGCONT)
    ended, second = first.wait(), other.wait()
    assert ended is not None
    assert second is not None
    if ended.code != 0 or second.code == 0:
        return ended
    return second


DRAMAS: dict[str, Drama] = {"once": once, "killed": killed_then_again, "twice": two_at_once}

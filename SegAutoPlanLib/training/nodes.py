"""The computers of one training. No torch needed."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

HERE = "127.0.0.1"


@dataclass(frozen=True)
class Nodes:
    """The computers of one training, and where they meet."""

    count: int = 1
    rendezvous: str = f"{HERE}:0"
    """`HOST:PORT` of one of them."""
    name: str = ""
    """What several trainings that meet at one place are told apart by; by default each is one of its own."""

    @property
    def own_address(self) -> str | None:
        """How the others reach this computer; None for its name in the network."""
        host = self.rendezvous.rpartition(":")[0]
        try:
            is_here = ipaddress.ip_address(host).is_loopback
        except ValueError:
            is_here = host == "localhost"
        return host if is_here else None

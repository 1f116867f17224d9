"""`python -m SegAutoPlanLib VERB …`: parses arguments and prints results, and decides nothing."""

from .parser import build_parser

__all__ = ["build_parser"]

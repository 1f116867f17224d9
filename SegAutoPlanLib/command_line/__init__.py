"""`python -m SegAutoPlanLib VERB …`: one verb a public function."""

from .parser import build_parser

__all__ = ["build_parser"]

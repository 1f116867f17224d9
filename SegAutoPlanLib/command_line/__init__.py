"""`python -m SegAutoPlanLib VERB …`: parses arguments and prints results, and decides nothing."""

from .parser import build_parser
from .run_verb import run_verb, speak_utf8

__all__ = ["build_parser", "run_verb", "speak_utf8"]

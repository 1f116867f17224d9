"""The verbs and their arguments as a parser. The names are fixed: scripts rely on them."""

from __future__ import annotations

import argparse
from typing import NoReturn

from .. import __version__
from ..errors import printable
from .data_verbs import DATA_VERBS
from .evaluation_verbs import EVALUATION_VERBS
from .exchange_verbs import EXCHANGE_VERBS
from .model_verbs import MODEL_VERBS
from .recipes_verb import RECIPES_VERB
from .runs_verb import RUNS_VERB
from .verb import Verb

VERBS = (*DATA_VERBS, *MODEL_VERBS, *EVALUATION_VERBS, *EXCHANGE_VERBS, RECIPES_VERB, RUNS_VERB)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments without repeating what a terminal would obey."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; what it parses has the chosen `verb`."""
    parser = _Parser(
        prog="python -m SegAutoPlanLib",
        description="Self-configuring segmentation: labelled images in, a trained network and segmentations out.",
    )
    parser.add_argument("--version", action="version", version=f"SegAutoPlan {__version__}")
    subparsers = parser.add_subparsers(metavar="VERB", required=True)
    for verb in VERBS:
        _add(subparsers.add_parser(verb.name, help=verb.summary, description=verb.summary), verb)
    return parser


def _add(parser: argparse.ArgumentParser, verb: Verb) -> None:
    verb.add_arguments(parser)
    parser.add_argument("--workspace", metavar="DIR", help="default: $SEGAUTOPLAN_WORKSPACE, else ./workspace")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--run-folder", metavar="DIR", help=argparse.SUPPRESS)
    parser.set_defaults(verb=verb)

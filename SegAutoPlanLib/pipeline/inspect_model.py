"""`inspect-model`: what a model is, before anybody trusts it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import UserInputError, in_sentences
from ..exchange.contents import contents_of, open_source, require_known
from ..exchange.description import describe_model
from ..exchange.report import ModelReport
from ..progress import SILENT, Reporter
from ..workspace import Workspace


@dataclass(frozen=True)
class InspectModelOptions:
    """What to look at."""

    path: Path
    """A model's folder, that of a dataset's results, or a zip archive."""


def inspect_model(_: Workspace, options: InspectModelOptions, reporter: Reporter = SILENT) -> ModelReport:
    """What a folder or an archive holds; nothing is unpacked, executed or written.

    Raises:
        UserInputError: there is no model, or the archive is not one that is safe to read.
        StopRequested: between two models, once a stop was asked for.
    """
    with in_sentences(), open_source(options.path) as source:
        contents = contents_of(source)
        try:
            require_known(contents, source)
            problem = ""
        except UserInputError as error:
            problem = str(error)
        models = []
        for model in reporter.track(contents.models, "looking at models", "model"):
            others = {other.folder for other in contents.models if other.dataset == model.dataset}
            if not source.is_archive:
                others |= _beside(options.path)
            models.append(describe_model(source, model, contents.beside.get(model.dataset, {}), others))
        kept = [*contents.beside.values(), *(model.files for model in contents.models)]
        return ModelReport(
            path=options.path,
            size=sum(source.files[place] for files in kept for place in files.values()),
            models=tuple(models),
            left_out=contents.left_out,
            problem=problem,
        )


def _beside(folder: Path) -> set[str]:
    """Names of the folders beside a model's, one of which may be the first stage of its cascade."""
    return {entry.name for entry in folder.absolute().parent.iterdir() if entry.is_dir()}

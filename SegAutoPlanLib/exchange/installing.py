"""Models of a folder or an archive become models of the workspace: all of them, checked, or nothing.

Everything is checked first where it lies, by names and headers; then it is unpacked beside its place, where weights are
read whole; then it takes its place by renaming.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import FileError, StopRequested, UserInputError, in_sentences
from ..inference.model import load_model
from ..locks import exclusive
from ..models import PLANS_FILE, SUMMARY_FILE, ModelFolder, mean_dice
from ..names import safe_name
from ..networks.weights import require_finite_tensors
from ..progress import SILENT, Reporter
from ..schema import record, require, shown
from ..workspace import DATASET_NAME
from .contents import Contents, ModelSource, PackedModel, require_known
from .description import ModelDescription, describe_model, name_by_weights
from .documents import read_documents, read_packed_json
from .postprocessing import POSTPROCESSING_FILE, steps_of
from .replacing import bring_back, take_places

PREFIX = ".importing_"
FREE_BYTES = 512 << 20
"""Of the disk, which stay free."""


@dataclass(frozen=True)
class InstalledFile:
    """A file of the source, and where it comes to lie below the folder of results."""

    source: str
    target: str


@dataclass(frozen=True)
class Installation:
    """What is going to be installed."""

    models: Mapping[str, PackedModel]
    """By folder: `DatasetXXX_Name/Trainer__Plans__configuration`."""
    files: tuple[InstalledFile, ...]
    tops: tuple[str, ...]
    """What takes its place by one renaming each: the models' folders, and what stands beside them."""
    first_stages: Mapping[str, str] = field(default_factory=dict)
    """By the second stage of a cascade: the model, likewise named, that it needs."""


def plan_installation(source: ModelSource, contents: Contents, dataset: str | None) -> Installation:
    """Where each file comes to lie; every model has been found fit to be used here.

    Args:
        dataset: the name that the models' dataset is to have (default: its own).

    Raises:
        UserInputError: something is unknown or unfit; nothing has been written.
    """
    require_known(contents, source)
    models: dict[str, PackedModel] = {}
    names: dict[str, str] = {}
    first_stages: dict[str, str] = {}
    for model in contents.models:
        network = _require_fit(source, contents, model).network
        names[model.dataset] = _dataset_name(source, model, dataset)
        name = name_by_weights(source, model)
        place = f"{names[model.dataset]}/{name}"
        if place in models:
            raise FileError(source.path, f"holds two models that are {place}", "import them one by one")
        models[place] = model
        if network is not None and network.previous_stage is not None:
            first_stages[place] = f"{names[model.dataset]}/{replace(name, configuration=network.previous_stage)}"
    if dataset is not None and len(names) > 1:
        raise UserInputError(
            f"{source.path}: holds models of {', '.join(sorted(names))}, which cannot all be called {dataset}; "
            "leave --name out."
        )
    files = [
        InstalledFile(packed, f"{place}/{name}")
        for place, model in models.items()
        for name, packed in model.files.items()
    ]
    tops = list(models)
    for own, beside in contents.beside.items():
        for name, packed in beside.items():
            files.append(InstalledFile(packed, f"{names[own]}/{name}"))
            tops.append(f"{names[own]}/{'/'.join(name.split('/')[:2])}")
    _require_sound_documents(source, files)
    return Installation(models, tuple(files), tuple(dict.fromkeys(tops)), first_stages)


def install(
    source: ModelSource, installation: Installation, results: Path, overwrite: bool = False, reporter: Reporter = SILENT
) -> tuple[Path, ...]:
    """Unpack, check and rename; gives the models' folders.

    Args:
        results: the workspace's folder of results.
        overwrite: whether models that are there may be replaced.

    Raises:
        UserInputError: something is there already, the disk is too small, or a model is damaged; nothing is left then.
        StopRequested: likewise, once a stop was asked for.
    """
    results = results.absolute()
    with (
        in_sentences(),
        exclusive(results / ".import_models.lock", f"{results}: importing models") as is_alone,
    ):
        if is_alone:
            _clear_away(results, installation)
        _require_another_place(source, installation, results)
        installation = _without_equal_files(source, installation, results)
        _require_free_names(results, installation, overwrite)
        _require_room(source, installation, results)
        building = Path(tempfile.mkdtemp(prefix=PREFIX, dir=results))
        try:
            _unpack(source, installation, building, reporter)
            with _called(building, source.path):
                for place in reporter.track(list(installation.models), "checking models", "model"):
                    _require_sound_weights(building / place, reporter)
            take_places(building, results, installation.tops)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return tuple(results / place for place in installation.models)


def _require_fit(source: ModelSource, contents: Contents, model: PackedModel) -> ModelDescription:
    """The description of a model that can be used here with each of its checkpoints; any other is refused."""
    found = describe_model(source, model, contents.beside.get(model.dataset, {}), ())
    problems = [found.problem, *(checkpoint.problem for fold in found.folds for checkpoint in fold.checkpoints)]
    problem = next(filter(None, problems), None)
    if problem is not None:
        raise UserInputError(problem)
    return found


def _dataset_name(source: ModelSource, model: PackedModel, wanted: str | None) -> str:
    own = model.dataset or read_documents(source, model).plan.dataset_name
    name = own if wanted is None else wanted
    if DATASET_NAME.fullmatch(name):
        return safe_name(name, "--name" if wanted is not None else str(source.path))
    if wanted is not None:
        raise UserInputError(f"--name {shown(name)}: must be of the form DatasetXXX_Name, such as Dataset123_Liver.")
    raise UserInputError(
        f"{source.path}: does not say of which dataset it is a model; give it a name, e.g. --name Dataset123_Liver."
    )


ANY_OBJECT = record({})


def _require_sound_documents(source: ModelSource, files: Iterable[InstalledFile]) -> None:
    """Every JSON file is one; those that something is read from later pass their gate."""
    for file in files:
        own, where = file.target.rpartition("/")[2], source.where(file.source)
        if own.endswith(".json"):
            document = read_packed_json(source, file.source)
            require(ANY_OBJECT, document, where, "ask for the model again")
            if own == SUMMARY_FILE:
                mean_dice(document, where)
            elif own == POSTPROCESSING_FILE:
                steps_of(document, where)


def _require_another_place(source: ModelSource, installation: Installation, results: Path) -> None:
    """A folder that is imported is only read, so it cannot be what is replaced."""
    for place, model in installation.models.items():
        folder = source.where(model.files[PLANS_FILE]).parent
        if not source.is_archive and folder.resolve() == (results / place).resolve():
            raise FileError(folder, "is in this workspace already", "use it as it is, or give another --name")


def _without_equal_files(source: ModelSource, installation: Installation, results: Path) -> Installation:
    """Without the licences and the like that stand beside the models there already, letter by letter."""
    single = {file.target: file.source for file in installation.files}
    equal = {top for top in installation.tops if top in single and _is_equal(source, single[top], results / top)}
    return replace(
        installation,
        files=tuple(file for file in installation.files if file.target not in equal),
        tops=tuple(top for top in installation.tops if top not in equal),
    )


def _is_equal(source: ModelSource, name: str, path: Path) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size != source.files[name]:
        return False
    with open(path, "rb") as there:
        return all(there.read(len(chunk)) == chunk for chunk in source.chunks(name))


def _require_free_names(results: Path, installation: Installation, overwrite: bool) -> None:
    taken = next((top for top in installation.tops if os.path.lexists(results / top)), None)
    if taken is not None and not overwrite:
        raise FileError(
            results / taken, "is there already", "import it under another name (--name), or --overwrite to replace it"
        )
    for top in installation.tops:
        path = results / top
        no_folder = next((part for part in path.parents if part.exists() and not part.is_dir()), None)
        if no_folder is not None:
            raise FileError(no_folder, "is a file where a folder is expected", "move it away, or give another --name")
        link = next((part for part in (path, path.parent, path.parent.parent) if part.is_symlink()), None)
        if link is not None and link.is_relative_to(results) and link != results:
            raise FileError(link, "is a link, behind which nothing is written", "remove it, or give another --name")


def _require_room(source: ModelSource, installation: Installation, results: Path) -> None:
    needed = sum(source.files[file.source] for file in installation.files)
    free = shutil.disk_usage(results).free
    if needed + FREE_BYTES > free:
        raise FileError(
            results,
            f"{source.path} unpacks to {needed / (1 << 30):.1f} GB, but {free / (1 << 30):.1f} GB are free",
            "free some space, or choose another workspace",
        )


def _unpack(source: ModelSource, installation: Installation, building: Path, reporter: Reporter) -> None:
    for file in reporter.track(installation.files, "unpacking", "file"):
        target = building / file.target
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "xb") as unpacked:
            for chunk in source.chunks(file.source):
                if reporter.stop_requested():
                    raise StopRequested(f"Importing {source.path} was stopped; nothing of it was kept.")
                unpacked.write(chunk)
            unpacked.flush()
            os.fsync(unpacked.fileno())


def _require_sound_weights(folder: Path, reporter: Reporter) -> None:
    """Every checkpoint is read whole, one after the other."""
    files = ModelFolder.read(folder)
    for fold in files.folds:
        for checkpoint in fold.checkpoints:
            if reporter.stop_requested():
                raise StopRequested("The import was stopped; nothing of it was kept.")
            model = load_model(files, [fold.name], checkpoint)
            require_finite_tensors(model.weights[0], model.checkpoints[0])


@contextlib.contextmanager
def _called(building: Path, name: Path) -> Iterator[None]:
    """Sentences name what the user knows, not the folder in which it is looked at."""
    try:
        yield
    except UserInputError as error:
        raise UserInputError(str(error).replace(str(building), str(name))) from error


def _clear_away(results: Path, installation: Installation) -> None:
    """What an import left that was killed: half of a new model, or the old one that was to be replaced."""
    for left in results.glob(f"{PREFIX}*"):
        if not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
    bring_back(results, installation.tops)

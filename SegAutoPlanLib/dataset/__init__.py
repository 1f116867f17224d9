"""Raw datasets: nnU-Net's folders and files, read, written and checked."""

from .dataset import Case, Dataset
from .image import FileError, Image
from .image_io import read_image, read_segmentation, write_segmentation
from .importers import ImportedDataset, import_decathlon, import_nnunet_v1, import_pairs
from .integrity import check_dataset
from .labels import Label, LabelScheme
from .loading import find_cases, load_dataset
from .reading import read_case
from .report import IntegrityReport, Problem

__all__ = [
    "Case",
    "Dataset",
    "FileError",
    "Image",
    "ImportedDataset",
    "IntegrityReport",
    "Label",
    "LabelScheme",
    "Problem",
    "check_dataset",
    "find_cases",
    "import_decathlon",
    "import_nnunet_v1",
    "import_pairs",
    "load_dataset",
    "read_case",
    "read_image",
    "read_segmentation",
    "write_segmentation",
]

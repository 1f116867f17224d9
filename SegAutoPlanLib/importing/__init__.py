"""Datasets of other layouts brought into nnU-Net's."""

from .decathlon import import_decathlon
from .nnunet_v1 import import_nnunet_v1
from .pairs import import_pairs
from .staging import ImportedDataset

__all__ = ["ImportedDataset", "import_decathlon", "import_nnunet_v1", "import_pairs"]

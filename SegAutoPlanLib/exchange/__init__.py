"""Models from elsewhere and for others: looked at, taken in, packed, in nnU-Net's layout."""

from .contents import Contents, ModelSource, PackedModel, contents_of, open_source
from .description import ModelDescription, describe_model
from .installing import install, plan_installation
from .report import ModelReport
from .shared_files import SharedModel, members_beside, members_of

__all__ = [
    "Contents",
    "ModelDescription",
    "ModelReport",
    "ModelSource",
    "PackedModel",
    "SharedModel",
    "contents_of",
    "describe_model",
    "install",
    "members_beside",
    "members_of",
    "open_source",
    "plan_installation",
]

"""What stands where in a model that is passed on: nnU-Net's results folder, and what of it is kept.

| below `DatasetXXX_Name/` | |
|---|---|
| `Trainer__Plans__configuration/` plans.json, dataset.json, dataset_fingerprint.json | kept |
| … `fold_X/` checkpoints, progress.png, network_architecture.pdf, debug.json, training logs | kept |
| … `fold_X/validation/` and `crossval_results_folds_…/` summary.json, segmentations | kept |
| … `crossval_results_folds_…/postprocessing.json` | kept |
| `ensembles/ensemble___…/` summary.json, postprocessing.json, segmentations | kept |
| `inference_information.json`, `inference_instructions.txt` | kept |
| a licence, a readme, a citation, beside any of these | kept |
| pickles, probabilities, what a cascade's first stage left, what file browsers leave | left out, and said |
| anything else | unknown |
"""

from __future__ import annotations

import re

from ..images.image_io import IMAGE_IOS

FOLD = r"fold_(?:0|[1-9][0-9]{0,6}|all)"
CROSS_VALIDATION = r"crossval_results_folds_(?:all|[0-9]+(?:_[0-9]+)*)"
PART = r"[^/]+"
CASE = rf"{PART}(?:{'|'.join(re.escape(ending) for io in IMAGE_IOS.values() for ending in io.endings)})"
"""A segmentation."""
LICENCE = re.compile(r"(?i:(?:licen[cs]es?|copying|notice)(?:[._ -][\w. -]{0,60})?)")
PROSE = re.compile(r"(?i:(?:licen[cs]es?|copying|notice|readme|citation|authors|model_?card)(?:[._ -][\w. -]{0,60})?)")
"""What people put beside a model for people."""

OF_MODEL = re.compile(
    rf"(?:plans|dataset|dataset_fingerprint)\.json|{PROSE.pattern}"
    rf"|{FOLD}/(?:checkpoint_(?:final|best|latest)\.pth|progress\.png|network_architecture\.(?:pdf|png)|debug\.json"
    rf"|training_log_[\w-]{{1,40}}\.txt|{PROSE.pattern})"
    rf"|{FOLD}/validation/(?:summary\.json|{CASE})"
    rf"|{CROSS_VALIDATION}/(?:(?:summary|postprocessing|plans|dataset)\.json|{CASE})"
)
"""Files that are kept, relative to the model's folder."""
OF_DATASET = re.compile(
    rf"inference_information\.(?:json|txt)|inference_instructions\.txt|{PROSE.pattern}"
    rf"|ensembles/ensemble___{PART}/(?:(?:summary|postprocessing|plans|dataset)\.json|{CASE})"
)
"""Files that are kept, relative to the folder of the dataset."""
LEFT_OUT = {
    "what file browsers leave behind": re.compile(
        r"(?:.*/)?(?:__MACOSX/.*|\.DS_Store|\._[^/]*|Thumbs\.db|desktop\.ini|\.directory)"
    ),
    "pickles, which are never read": re.compile(r".*\.pkl"),
    "probabilities": re.compile(r".*\.npz"),
    "segmentations of a cascade's first stage": re.compile(r"(?:.*/)?predicted_next_stage/.*"),
    "postprocessed segmentations": re.compile(r"(?:.*/)?postprocessed/.*"),
}
"""What is known and not taken along, and why."""
VERSION_1 = re.compile(r"(?:.*/)?[^/]+\.model(?:\.pkl)?")
"""Weights of nnU-Net 1."""


def reason_to_leave_out(name: str) -> str | None:
    """Why a file is not taken along; None where there is no reason."""
    return next((reason for reason, pattern in LEFT_OUT.items() if pattern.fullmatch(name)), None)


def is_kept(name: str, of_model: bool) -> bool:
    """Whether a file, relative to a model's folder or to that of a dataset, is one of those that are taken along."""
    return (OF_MODEL if of_model else OF_DATASET).fullmatch(name) is not None

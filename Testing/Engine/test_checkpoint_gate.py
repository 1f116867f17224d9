"""Sound checkpoints load; code in them is named and never executed."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from SegAutoPlanLib.networks import (
    read_checkpoint,
)

from . import hostile_checkpoints as forged
from .checkpoint_models import (
    all_weights,
    checkpoint_of,
    first_weight,
    go_on_from,
    refuses,
    segment_with,
    sound_content,
    with_value,
    without,
)
from .hostile_checkpoints import (
    Call,
    dumped,
    name,
    stacked,
    tensor,
    text,
    weights,
)


def test_what_nnunet_and_we_write_loads_to_the_same_tensors(sound):
    content = sound_content(sound)
    read = read_checkpoint(checkpoint_of(sound))
    assert list(read["network_weights"]) == list(content["network_weights"])
    for key, expected in content["network_weights"].items():
        assert torch.equal(read["network_weights"][key], expected)
    assert read["logging"]["train_losses"] == [0.5]
    assert read["inference_allowed_mirroring_axes"] == (0, 1, 2)
    assert go_on_from(checkpoint_of(sound)).iteration == 2


SOUND = {
    "wrapped": all_weights(lambda found: {f"module._orig_mod.{key}": value for key, value in found.items()}),
    "parameters": first_weight(torch.nn.Parameter),
    "halves": first_weight(lambda value: value.half()),
    "brain floats": first_weight(lambda value: value.bfloat16()),
    "doubles": first_weight(lambda value: value.double()),
    "not contiguous": first_weight(lambda value: value.transpose(0, 2).contiguous().transpose(0, 2)),
    "a part of a larger storage": first_weight(lambda value: torch.cat([value, value])[: len(value)]),
    "no mirroring": with_value("inference_allowed_mirroring_axes", value=None),
    "mirroring not said": without("inference_allowed_mirroring_axes"),
    "a list of axes": with_value("inference_allowed_mirroring_axes", value=[0, 2]),
    "more keys": with_value("more", value={"a": [1, None, torch.zeros(2), torch.Size([3]), torch.float32, {1, 2}]}),
}


@pytest.mark.parametrize("kind", SOUND)
def test_other_sound_forms_load(kind, model):
    content = sound_content(model)
    SOUND[kind](content)
    torch.save(content, checkpoint_of(model))
    assert segment_with(checkpoint_of(model)) is not None


def test_numbers_of_numpy_1_and_2_are_numbers(tmp_path):
    path = tmp_path / "checkpoint_final.pth"
    values = [np.float64(0.5), np.float32(0.25), np.int64(7), np.bool_(True)]
    torch.save({"network_weights": {}, "logging": values}, path)
    with zipfile.ZipFile(path) as archive:
        pickled = next(archive.read(record) for record in archive.namelist() if record.endswith("data.pkl"))
    for former, module in ((b"numpy._core", b"numpy.core"), (b"numpy.core", b"numpy._core")):
        forged.write_archive(path, pickled.replace(former, module))
        assert read_checkpoint(path)["logging"] == [0.5, 0.25, 7, True]


def test_what_was_saved_on_a_graphics_card_is_read_on_the_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.serialization, "location_tag", lambda _: "cuda:3")
    torch.save({"network_weights": {"a": torch.ones(3)}}, tmp_path / "x.pth")
    assert read_checkpoint(tmp_path / "x.pth")["network_weights"]["a"].tolist() == [1, 1, 1]


def test_a_tensor_made_by_hand_is_read(tmp_path):
    path = forged.write_archive(tmp_path / "x.pth", weights(tensor()))
    assert read_checkpoint(path)["network_weights"]["a"].tolist() == [1, 2, 3, 4]


CODE: dict[str, Callable[[Any], Any]] = {
    "a value": lambda call_: {"network_weights": {}, "trainer_name": call_},
    "a weight": lambda call_: {"network_weights": {"a": call_}},
    "the whole": lambda call_: call_,
    "a key": lambda call_: {call_: 1},
    "deep inside": lambda call_: {"network_weights": {}, "logging": [[[[call_]]]]},
}


@pytest.mark.parametrize("function", [os.system, eval, exec, open, os.popen, torch.load, np.load, getattr])
@pytest.mark.parametrize("place", CODE)
def test_code_is_named_and_not_executed(place, function, tmp_path):
    canary = tmp_path / "executed"
    argument = f"touch {canary}" if function in (os.system, os.popen) else f"open({str(canary)!r}, 'w')"
    content = CODE[place](Call(function, str(canary) if function is open else argument))
    path = tmp_path / "checkpoint_final.pth"
    torch.save(content, path)
    assert "contains code (" in refuses(path)
    torch.save(content, path, _use_new_zipfile_serialization=False)
    assert "contains code (" in refuses(path)
    for protocol in range(6):
        path.write_bytes(dumped(content, protocol))
        sentence = refuses(path)
        assert "contains code (" in sentence
        assert "weights_only" not in sentence
    assert not canary.exists()


FORMS = {
    "INST": b"(" + b"S'touch executed'\n" + b"ios\nsystem\n.",
    "GLOBAL": name("posix", "system") + text("touch executed") + b"\x85R.",
    "STACK_GLOBAL": stacked("os", "system", "touch executed"),
    "hidden behind another": b"N." + name("nt", "system") + text("touch executed") + b"\x85R.",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("in_archive", [True, False])
def test_every_form_of_a_call_is_named(form, in_archive, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "checkpoint_final.pth"
    if in_archive:
        forged.write_archive(path, FORMS[form])
    else:
        path.write_bytes(FORMS[form])
    sentence = refuses(path)
    assert "contains code (os.system) and was not opened" in sentence or (in_archive and "hidden" in form)
    assert not (tmp_path / "executed").exists()

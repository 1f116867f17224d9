"""Nothing damaged or hostile passes for weights: each fault is one sentence, and nothing is executed."""

from __future__ import annotations

import contextlib
import io
import os
import random
import struct
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.inference import Segmenter, load_model
from SegAutoPlanLib.networks import (
    build_network,
    checkpoint_pickle,
    load_pretrained,
    read_checkpoint,
    with_aliases,
    write_checkpoint,
)
from SegAutoPlanLib.planning import plan_experiments, read_plan, write_plan
from SegAutoPlanLib.training import find_recipe
from SegAutoPlanLib.training.state import TrainingState

from . import hostile_checkpoints as forged
from .hostile_checkpoints import (
    Call,
    call,
    dumped,
    holding,
    integer,
    many,
    name,
    stacked,
    storage,
    tensor,
    text,
    weights,
)
from .planning_fixtures import fingerprint_like, liver

Content = dict[str, Any]
FEATURES = [4, 8]
FIRST = "encoder.stages.0.0.convs.0.conv.weight"
NAN, INFINITY = float("nan"), float("inf")


def refuses(path: Path, read: Callable[[Path], Any] = read_checkpoint) -> str:
    """The sentence of the refusal, which names the file once and says what helps."""
    with pytest.raises(UserInputError) as refusal:
        read(path)
    sentence = str(refusal.value)
    assert sentence.startswith(f"{path}: ")
    assert sentence.endswith(".")
    assert ";" in sentence
    assert len(sentence) < 700
    return sentence


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """A model folder with a small network, as a training leaves it."""
    folder = tmp_path_factory.mktemp("models") / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    dataset = liver()
    write_plan(plan_experiments(fingerprint_like(dataset), dataset), folder / "plans.json")
    document = read_json(folder / "plans.json")
    for entry, dimensions in (("2d", 2), ("3d_fullres", 3)):
        document["configurations"][entry]["patch_size"] = [16] * dimensions
        document["configurations"][entry]["architecture"]["arch_kwargs"].update(
            n_stages=2,
            features_per_stage=FEATURES,
            kernel_sizes=[[3] * dimensions] * 2,
            strides=[[1] * dimensions, [2] * dimensions],
            n_conv_per_stage=[2, 2],
            n_conv_per_stage_decoder=[2],
        )
    write_json(folder / "plans.json", document)
    write_json(folder / "dataset.json", dataset.dataset_json.document)
    for fold in (0, 1):
        write_checkpoint(checkpoint_of(folder, fold), sound_content(folder))
    return folder


def checkpoint_of(folder: Path, fold: int = 0) -> Path:
    return folder / f"fold_{fold}" / "checkpoint_final.pth"


def state_of(folder: Path) -> TrainingState:
    torch.manual_seed(1)
    network = build_network(read_plan(folder / "plans.json").configurations["3d_fullres"].architecture, 1, 3)
    return TrainingState.fresh(network, find_recipe("default"), torch.device("cpu"))


def sound_content(folder: Path) -> Content:
    state = state_of(folder)
    for parameter in state.network.parameters():
        parameter.grad = torch.ones_like(parameter)
    state.optimizer.step()
    return {
        "network_weights": with_aliases(state.network.state_dict()),
        "optimizer_state": state.optimizer.state_dict(),
        "grad_scaler_state": None,
        "logging": {"train_losses": [np.float64(0.5)], "dice_per_class_or_region": [[np.float32(0.25), NAN]]},
        "_best_ema": np.float64(0.5),
        "current_epoch": 1,
        "init_args": {"configuration": "3d_fullres", "fold": 0, "device": torch.device("cuda", 0)},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1, 2),
        "segautoplan": {"iteration": 2, "losses_of_epoch": [0.5, 0.25]},
    }


@pytest.fixture
def model(sound, tmp_path) -> Path:
    """A copy of the model that a test may spoil."""
    import shutil

    return Path(shutil.copytree(sound, tmp_path / sound.name))


def segment_with(path: Path) -> Any:
    loaded = load_model(path.parent.parent, [0])
    return loaded.build(0)


def go_on_from(path: Path) -> TrainingState:
    state = state_of(path.parent.parent)
    state.load(path, find_recipe("default"))
    return state


# ---- What is sound still loads


def test_what_nnunet_and_we_write_loads_to_the_same_tensors(sound):
    content = sound_content(sound)
    read = read_checkpoint(checkpoint_of(sound))
    assert list(read["network_weights"]) == list(content["network_weights"])
    for key, expected in content["network_weights"].items():
        assert torch.equal(read["network_weights"][key], expected)
    assert read["logging"]["train_losses"] == [0.5]
    assert read["inference_allowed_mirroring_axes"] == (0, 1, 2)
    assert go_on_from(checkpoint_of(sound)).iteration == 2


def _first(change: Callable[[torch.Tensor], Any]) -> Callable[[Content], None]:
    """Every name of the first convolution's weights gets the same other tensor."""

    def on(content: Content) -> None:
        old = content["network_weights"][FIRST]
        new = change(old)
        for key, value in content["network_weights"].items():
            if value.data_ptr() == old.data_ptr():
                content["network_weights"][key] = new

    return on


def _weights(change: Callable[[dict[str, Any]], Any]) -> Callable[[Content], None]:
    def on(content: Content) -> None:
        content["network_weights"] = change(content["network_weights"])

    return on


def _set(*keys: Any, value: Any) -> Callable[[Content], None]:
    def on(content: Content) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return on


def _drop(*keys: str) -> Callable[[Content], None]:
    def on(content: Content) -> None:
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return on


SOUND = {
    "wrapped": _weights(lambda found: {f"module._orig_mod.{key}": value for key, value in found.items()}),
    "parameters": _first(torch.nn.Parameter),
    "halves": _first(lambda value: value.half()),
    "brain floats": _first(lambda value: value.bfloat16()),
    "doubles": _first(lambda value: value.double()),
    "not contiguous": _first(lambda value: value.transpose(0, 2).contiguous().transpose(0, 2)),
    "a part of a larger storage": _first(lambda value: torch.cat([value, value])[: len(value)]),
    "no mirroring": _set("inference_allowed_mirroring_axes", value=None),
    "mirroring not said": _drop("inference_allowed_mirroring_axes"),
    "a list of axes": _set("inference_allowed_mirroring_axes", value=[0, 2]),
    "more keys": _set("more", value={"a": [1, None, torch.zeros(2), torch.Size([3]), torch.float32, {1, 2}]}),
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


# ---- Code


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


# ---- Pickles that would take all memory, never end, or overflow the stack in torch's own reader

NESTED = b")" + 200_000 * b"\x85"
SHARED = b")q\x00" + 100 * b"h\x00\x86q\x00"
PICKLES = {
    "a terabyte of zeros": holding(call("__builtin__", "bytearray", integer(10**12) + b"\x85")),
    "a tensor that is not stored": weights(call("torch", "FloatTensor", integer(10**11) + b"\x85")),
    "a meta tensor": weights(call("torch._utils", "_rebuild_meta_tensor_no_storage")),
    "a sparse tensor": weights(call("torch._utils", "_rebuild_sparse_tensor")),
    "a quantised tensor": weights(call("torch._utils", "_rebuild_qtensor")),
    "a wrapped tensor": weights(call("torch._utils", "_rebuild_wrapper_subclass")),
    "a nested tensor": weights(call("torch._utils", "_rebuild_nested_tensor")),
    "a tensor from numpy": weights(call("torch._utils", "_rebuild_device_tensor_from_numpy")),
    "a codec": holding(call("_codecs", "encode", many(text("x"), text("zlib")))),
    "tuples in each other as a key": weights(b"}" + NESTED + b"Ns"),
    "tuples that share as a key": weights(b"}" + SHARED + b"Ns"),
    "tuples in each other in a list of pairs": holding(
        call("collections", "OrderedDict", b"](]" + NESTED + b"aNae\x85")
    ),
    "a number of gigabytes": holding(b"\x8b\xff\xff\xff\x7f"),
    "a text of gigabytes": holding(b"X\xff\xff\xff\xff"),
    "a memo that was never written": holding(b"j\xff\xff\xff\xff"),
    "a size of 2^70": weights(tensor(shape=integer(2**70) + b"\x85")),
    "a size below 0": weights(tensor(shape=integer(-1) + b"\x85")),
    "an offset below 0": weights(tensor(offset=integer(-4))),
    "an offset beyond": weights(tensor(offset=b"K\x01")),
    "a stride below 0": weights(tensor(stride=integer(-1) + b"\x85")),
    "a stride beyond": weights(tensor(stride=b"K\x02\x85")),
    "a trillion numbers of four": weights(
        tensor(shape=integer(10**6) + integer(10**6) + b"\x86", stride=b"K\x00K\x00\x86")
    ),
    "a hundred axes": weights(tensor(shape=many(*[b"K\x01"] * 100), stride=many(*[b"K\x01"] * 100))),
    "axes without strides": weights(tensor(stride=b")")),
    "a true size": weights(tensor(shape=b"\x88\x85")),
    "a size that is text": weights(tensor(shape=text("4") + b"\x85")),
    "a storage that is not there": weights(tensor(storage(key="1"))),
    "a storage outside": weights(tensor(storage(key="../../../etc/passwd"))),
    "a storage with an endless name": weights(tensor(storage(key="\x1b[31m" + "x" * 10**6))),
    "a storage that is larger": weights(tensor(storage(count=b"K\x05"))),
    "a storage that is smaller": weights(tensor(storage(count=b"K\x03"), shape=b"K\x03\x85")),
    "a storage of another kind": weights(tensor(storage("DoubleStorage"))),
    "a storage of no kind": weights(tensor(storage("NoStorage"))),
    "complex numbers": weights(tensor(storage("ComplexFloatStorage"))),
    "a storage that is none": weights(tensor(b"N")),
    "another persistent thing": weights(tensor(storage(what="module"))),
    "a persistent number": weights(b"K\x00Q"),
    "a call of nothing": holding(b"N)R"),
    "a call of a text": holding(text("os.system") + b")R"),
    "a call without a tuple": holding(name("collections", "OrderedDict") + b"NR"),
    "a call of a type": holding(call("torch", "float32")),
    "a tensor without arguments": weights(call("torch._utils", "_rebuild_tensor_v2")),
    "a parameter of nothing": weights(call("torch._utils", "_rebuild_parameter", b"N\x85")),
    "attributes of a function": holding(name("torch._utils", "_rebuild_tensor_v2") + b"}b"),
    "attributes of a dict": holding(b"}}b"),
    "numpy objects": holding(call("numpy", "dtype", many(text("O"), b"\x89", b"\x88"))),
    "a numpy text": holding(call("numpy", "dtype", many(text("U1000000000"), b"\x89", b"\x88"))),
    "a numpy type that is a list": holding(call("numpy", "dtype", many(b"]"))),
    "a numpy number of three bytes": holding(
        call(
            "numpy._core.multiarray",
            "scalar",
            many(
                call("numpy", "dtype", many(text("f8"))), call("_codecs", "encode", many(text("abc"), text("latin1")))
            ),
        )
    ),
    "an unknown opcode": holding(b"\xff"),
    "an empty stack": forged.PROTOCOL + b"R.",
    "nothing": b"",
    "an end at once": b".",
    "no end": forged.PROTOCOL + b"}",
    "an end of a mark that never began": forged.PROTOCOL + b"t.",
    "a key without a value": forged.PROTOCOL + b"}(N" + b"u.",
    "an append to a tuple": forged.PROTOCOL + b")Na.",
    "a name that is cut off": forged.PROTOCOL + b"cos",
    "a name that is no text": forged.PROTOCOL + b"c\xff\xfe\n\xff\n.",
    "a number": forged.PROTOCOL + b"K\x01.",
    "a list": forged.PROTOCOL + b"].",
    "no weights": forged.PROTOCOL + b"}.",
    "weights that are a list": holding(b"]", "network_weights"),
    "weights that hold themselves": forged.PROTOCOL
    + b"}("
    + text("network_weights")
    + b"}q\x00"
    + text("a")
    + b"h\x00su.",
}


@pytest.mark.parametrize("what", PICKLES)
def test_a_hostile_pickle_is_a_sentence(what, tmp_path):
    refuses(forged.write_archive(tmp_path / "checkpoint_final.pth", PICKLES[what]))


def test_what_is_never_read_may_be_nested_and_shared_as_it_likes(tmp_path):
    nested = 100_000 * b"]" + 99_999 * b"a"
    for value in (nested, SHARED, b"]q\x00h\x00a"):
        path = forged.write_archive(tmp_path / "checkpoint_final.pth", holding(value, "more"))
        assert read_checkpoint(path)["network_weights"] == {}


def test_a_pickle_that_never_ends_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_pickle, "MAX_STEPS", 1000)
    path = forged.write_archive(tmp_path / "checkpoint_final.pth", holding(b"](" + b"N" * 2000 + b"e", "more"))
    assert "never ends" in refuses(path)


def _calls(function: bytes, argument: bytes, count: int = 3000) -> bytes:
    """A list of what many calls with one and the same argument give."""
    return b"](" + function + b"q\x00" + argument + b"\x85q\x01" + b"h\x00h\x01R" * count + b"e"


CALL_OF_CALLS = name("torch._tensor", "_rebuild_from_type_v2") + b"q\x00" + b"h\x00N" * 5000 + b")" + b"\x87" * 5000
SMALL_PICKLES = {
    "copies of a set": _calls(name("__builtin__", "set"), b"](" + b"N" * 50_000 + b"e"),
    "copies of a size": _calls(name("torch", "Size"), b"](" + b"K\x01" * 50_000 + b"e"),
    "copies of a dictionary": _calls(
        name("collections", "OrderedDict"), b"](" + b"".join(integer(i) + b"N\x86" for i in range(20_000)) + b"e"
    ),
    "copies of bytes": b"](" + name("_codecs", "encode") + b"q\x00" + text("a" * 10**5) + text("latin1") + b"\x86q\x01"
    + b"h\x00h\x01R" * 3000 + b"e",
    "copies of a device": b"](" + name("torch", "device") + b"q\x00" + text("a" * 10**5) + b"K\x01\x86q\x01"
    + b"h\x00h\x01R" * 3000 + b"e",
    "calls of calls": CALL_OF_CALLS + b"R",
    "keys of one hash": b"}(" + b"".join(integer(i * (2**61 - 1)) + b"N" for i in range(30_000)) + b"u",
}  # fmt: skip


@pytest.mark.parametrize("what", SMALL_PICKLES)
def test_a_small_pickle_takes_neither_all_memory_nor_for_ever(what, tmp_path):
    """Unguarded, each takes seconds to minutes, hundreds of megabytes, or the whole stack."""
    path = forged.write_archive(tmp_path / "checkpoint_final.pth", holding(SMALL_PICKLES[what], "more"))
    begin = time.process_time()
    tracemalloc.start()
    try:
        # What is never read may be a set, however large, but not one more each time that it is named.
        with contextlib.suppress(UserInputError):
            read_checkpoint(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50 << 20
    assert time.process_time() - begin < 5


# ---- Archives


def _deflated(path: Path) -> None:
    forged.write_archive(path, weights(tensor()), {"data/1": bytes(10**7)}, compression=zipfile.ZIP_DEFLATED)


def _changed(offset: int, value: bytes, signature: bytes = b"PK\x01\x02") -> Callable[[Path], None]:
    """A field of the first entry of the directory."""

    def change(path: Path) -> None:
        content = bytearray(forged.write_archive(path, weights(tensor())).read_bytes())
        start = content.index(signature) + offset
        content[start : start + len(value)] = value
        path.write_bytes(content)

    return change


def _tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("storages")
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"x"))


def _old_torch(path: Path) -> None:
    torch.save({"network_weights": {"a": torch.zeros(2)}}, path, _use_new_zipfile_serialization=False)


def _without(record: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        forged.write_archive(path, weights(tensor()))
        with zipfile.ZipFile(path) as archive:
            kept = {name_: archive.read(name_) for name_ in archive.namelist() if not name_.endswith(record)}
        with zipfile.ZipFile(path, "w") as archive:
            for name_, content in kept.items():
                archive.writestr(name_, content)

    return write


def _two_pickles(path: Path) -> None:
    forged.write_archive(path, weights(tensor()))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/data.pkl", weights(tensor()))


def _twice(path: Path) -> None:
    forged.write_archive(path, weights(tensor()))
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/data/0", struct.pack("<4f", 9, 9, 9, 9))


def _prepended(path: Path) -> None:
    forged.write_archive(path, weights(tensor()))
    path.write_bytes(b"#!/bin/sh\ntouch executed\n" + path.read_bytes())


ARCHIVES: dict[str, Callable[[Path], Any]] = {
    "compressed": _deflated,
    "of another size": _changed(24, struct.pack("<I", 2**31)),
    "of another compressed size": _changed(20, struct.pack("<I", 5)),
    "of both sizes": _changed(20, struct.pack("<2I", 2**31, 2**31)),
    "of another checksum": _changed(16, b"\1\2\3\4"),
    "encrypted": _changed(8, b"\1\0"),
    "of an unknown method": _changed(10, b"\x63\0"),
    "of an unknown version": _changed(6, b"\xff\0"),
    "a record elsewhere": _changed(42, struct.pack("<I", 40)),
    "a record beyond": _changed(42, struct.pack("<I", 2**31)),
    "a large directory": _changed(12, struct.pack("<I", 2**31), b"PK\x05\x06"),
    "a directory elsewhere": _changed(16, struct.pack("<I", 2**31), b"PK\x05\x06"),
    "without a pickle": _without("data.pkl"),
    "without a storage": _without("data/0"),
    "two pickles": _two_pickles,
    "a record twice": _twice,
    "behind a script": _prepended,
    "another byte order": lambda path: forged.write_archive(path, weights(tensor()), {"byteorder": b"big"}),
    "a tar archive": _tar,
    "torch's former format": _old_torch,
    "empty": lambda path: path.write_bytes(b""),
    "the beginning of an archive": lambda path: path.write_bytes(b"PK\3\4"),
    "the end of an archive": lambda path: path.write_bytes(b"PK\5\6" + bytes(18)),
    "text": lambda path: path.write_bytes(b"weights"),
    "zeros": lambda path: path.write_bytes(bytes(10_000)),
    "a pointer to a file elsewhere": lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"),
    "a folder": Path.mkdir,
    "not there": lambda path: None,
}


@pytest.mark.parametrize("what", ARCHIVES)
def test_an_archive_that_torch_did_not_write_is_a_sentence(what, tmp_path):
    path = tmp_path / "checkpoint_final.pth"
    ARCHIVES[what](path)
    refuses(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "checkpoint_final.pth")
    assert "pipe" in refuses(tmp_path / "checkpoint_final.pth")


def test_a_truncated_checkpoint_is_refused_wherever_it_ends(sound, tmp_path):
    content = checkpoint_of(sound).read_bytes()
    path = tmp_path / "checkpoint_final.pth"
    for twentieth in range(20):
        path.write_bytes(content[: len(content) * twentieth // 20])
        refuses(path)
    for missing in (1, 2, 21, 22, 23, 100):
        path.write_bytes(content[:-missing])
        refuses(path)


def test_a_flipped_bit_is_refused_or_changes_nothing(sound, tmp_path):
    content = checkpoint_of(sound).read_bytes()
    expected = sound_content(sound)["network_weights"]
    path = tmp_path / "checkpoint_final.pth"
    rng = random.Random(8)
    directory = content.index(b"PK\x01\x02")
    places = [rng.randrange(len(content)) for _ in range(40)] + [
        rng.randrange(directory, len(content)) for _ in range(60)
    ]
    refused = 0
    for place in places:
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :])
        try:
            found = read_checkpoint(path, with_optimizer=True)["network_weights"]
        except UserInputError:
            refused += 1
            continue
        assert list(found) == list(expected)
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert refused > 50


# ---- Content


WRONG_WEIGHTS: dict[str, Callable[[Content], None]] = {
    "NaN": _first(lambda value: torch.full_like(value, NAN)),
    "infinite": _first(lambda value: torch.full_like(value, INFINITY)),
    "beyond float32": _first(lambda value: torch.full_like(value, 1e200, dtype=torch.float64)),
    "whole numbers": _first(lambda value: value.int()),
    "flags": _first(lambda value: value.bool()),
    "complex": _first(lambda value: value.to(torch.complex64)),
    "sparse": _first(lambda value: value.to_sparse()),
    "nowhere": _first(lambda value: value.to("meta")),
    "another shape": _first(lambda value: value.reshape(-1)),
    "another size": _first(lambda value: value[:-1].clone()),
    "a trillion": _first(lambda value: torch.zeros(1).expand(10**6, 10**6)),
    "a number": _first(lambda value: 7),
    "null": _first(lambda value: None),
    "a list": _first(lambda value: value.tolist()),
    "none": _weights(lambda found: {}),
    "null for all": _weights(lambda found: None),
    "a list of them": _weights(lambda found: list(found.values())),
    "one missing": _weights(lambda found: {key: value for key, value in found.items() if "convs.0.conv" not in key}),
    "one too many": _weights(lambda found: {**found, "more.weight": torch.zeros(3)}),
    "an alias of nothing": _weights(lambda found: {**found, "encoder.all_modules.7.weight": torch.zeros(3)}),
    "one twice": _weights(lambda found: {**found, f"module.{FIRST}": found[FIRST]}),
    "an alias of another shape": _weights(lambda found: {**found, f"decoder.{FIRST}": torch.zeros(3)}),
    "an alias of other values": _weights(lambda found: {**found, f"decoder.{FIRST}": found[FIRST] + 1}),
    "another name": _weights(lambda found: {f"x.{key}": value for key, value in found.items()}),
    "a number for a name": _weights(lambda found: {**found, 7: torch.zeros(3)}),
}
WRONG_CONTENT: dict[str, Callable[[Content], None]] = {
    **{f"weights: {what}": change for what, change in WRONG_WEIGHTS.items()},
    "no arguments": _drop("init_args"),
    "arguments null": _set("init_args", value=None),
    "no configuration": _drop("init_args", "configuration"),
    "a configuration that is a list": _set("init_args", "configuration", value=["3d_fullres"]),
    "an endless configuration": _set("init_args", "configuration", value="x" * 10**6),
    "an escape": _set("init_args", "configuration", value="\x1b[31m"),
    "a trainer that is a number": _set("trainer_name", value=7),
    "an endless trainer": _set("trainer_name", value="x" * 10**6),
    "axis 3": _set("inference_allowed_mirroring_axes", value=(3,)),
    "axis -1": _set("inference_allowed_mirroring_axes", value=(-1,)),
    "an axis twice": _set("inference_allowed_mirroring_axes", value=(0, 0)),
    "axes that are text": _set("inference_allowed_mirroring_axes", value="01"),
    "axes that are flags": _set("inference_allowed_mirroring_axes", value=(True, False)),
    "a number of axes": _set("inference_allowed_mirroring_axes", value=2),
    "a tensor of axes": _set("inference_allowed_mirroring_axes", value=torch.tensor([0, 1])),
}


@pytest.mark.parametrize("what", WRONG_CONTENT)
def test_wrong_content_is_a_sentence_before_segmenting(what, model):
    content = sound_content(model)
    WRONG_CONTENT[what](content)
    torch.save(content, checkpoint_of(model))
    refuses(checkpoint_of(model), segment_with)


@pytest.mark.parametrize("what", WRONG_WEIGHTS)
def test_wrong_weights_are_a_sentence_before_training(what, model):
    content = sound_content(model)
    WRONG_WEIGHTS[what](content)
    torch.save(content, checkpoint_of(model))
    network = state_of(model).network
    refuses(checkpoint_of(model), go_on_from)
    refuses(checkpoint_of(model), lambda path: load_pretrained(network, path))


def _laughs() -> list[Any]:
    value: list[Any] = ["ha"] * 10
    for _ in range(30):
        value = [value] * 10
    return value


@pytest.mark.parametrize(
    "keys", [("trainer_name",), ("init_args", "configuration"), ("inference_allowed_mirroring_axes",)]
)
def test_shared_lists_in_each_other_are_never_written_out(keys, model):
    content = sound_content(model)
    _set(*keys, value=_laughs())(content)
    torch.save(content, checkpoint_of(model))
    refuses(checkpoint_of(model), segment_with)


GROUP = ("optimizer_state", "param_groups", 0)
WRONG_PROGRESS: dict[str, Callable[[Content], None]] = {
    "no optimiser": _drop("optimizer_state"),
    "an empty optimiser": _set("optimizer_state", value={}),
    "no groups": _set("optimizer_state", "param_groups", value=[]),
    "two groups": lambda content: content["optimizer_state"]["param_groups"].append({}),
    "too few parameters": _set(*GROUP, "params", value=[0, 1]),
    "endless parameters": _set(*GROUP, "params", value=list(range(100_000))),
    "a rate of NaN": _set(*GROUP, "lr", value=NAN),
    "a rate that is text": _set(*GROUP, "lr", value="x"),
    "a rate that is a tensor": _set(*GROUP, "lr", value=torch.tensor(0.1)),
    "a momentum of 7": _set(*GROUP, "momentum", value=7),
    "a step uphill": _set(*GROUP, "maximize", value=True),
    "another setting that is a tensor": _set(*GROUP, "more", value=torch.zeros(3)),
    "a momentum of another shape": _set("optimizer_state", "state", 0, value={"momentum_buffer": torch.zeros(7)}),
    "a momentum that is text": _set("optimizer_state", "state", 0, value={"momentum_buffer": "x"}),
    "a momentum of NaN": lambda content: content["optimizer_state"]["state"][0]["momentum_buffer"].fill_(NAN),
    "the state of a parameter too many": _set("optimizer_state", "state", 10**6, value={}),
    "another state": _set("optimizer_state", "state", 0, value={"exp_avg": torch.zeros(7)}),
    "a scaler of 0": _set("grad_scaler_state", value={"scale": 0.0}),
    "a scaler of NaN": _set(
        "grad_scaler_state", value=dict.fromkeys(("scale", "growth_factor", "_growth_tracker"), NAN)
    ),
    "a scaler that is a list": _set("grad_scaler_state", value=[1]),
    "no log": _drop("logging"),
    "a log that is a list": _set("logging", value=[]),
    "losses that are text": _set("logging", "train_losses", value=["x"]),
    "losses that are a number": _set("logging", "train_losses", value=7),
    "Dice that is no list of lists": _set("logging", "dice_per_class_or_region", value=[0.5]),
    "shared rows of Dice": _set("logging", "dice_per_class_or_region", value=[[0.5] * 10_000] * 10_000),
    "shared lists of losses": _set("logging", "train_losses", value=_laughs()),
    "no epoch": _drop("current_epoch"),
    "an epoch of text": _set("current_epoch", value="x"),
    "epoch -1": _set("current_epoch", value=-1),
    "epoch 1.5": _set("current_epoch", value=1.5),
    "epoch 2^70": _set("current_epoch", value=2**70),
    "a best that is text": _set("_best_ema", value="x"),
    "a note of ours that is a list": _set("segautoplan", value=[]),
    "iteration -5": _set("segautoplan", "iteration", value=-5),
    "iteration 2^70": _set("segautoplan", "iteration", value=2**70),
    "more losses than iterations": _set("segautoplan", "losses_of_epoch", value=[0.5] * 3),
    "losses of the epoch that are text": _set("segautoplan", "losses_of_epoch", value=["x", "y"]),
    "more iterations than an epoch has": _set("segautoplan", value={"iteration": 300, "losses_of_epoch": [0.5] * 300}),
    "more epochs than wanted": _set("current_epoch", value=1001),
}


@pytest.mark.parametrize("what", WRONG_PROGRESS)
def test_wrong_progress_is_a_sentence_before_training_goes_on(what, model):
    content = sound_content(model)
    WRONG_PROGRESS[what](content)
    torch.save(content, checkpoint_of(model))
    refuses(checkpoint_of(model), go_on_from)
    assert segment_with(checkpoint_of(model)) is not None


# ---- A model folder as a whole


FOLDERS: dict[str, tuple[str, Callable[[Content], None], str]] = {
    "another configuration": ("fold_1", _set("init_args", "configuration", value="2d"), "fold_1"),
    "other mirroring axes": ("fold_1", _set("inference_allowed_mirroring_axes", value=(0,)), "mirroring"),
    "another trainer": ("fold_1", _set("trainer_name", value="nnUNetTrainerNoMirroring"), "trainer"),
}


@pytest.mark.parametrize("what", FOLDERS)
def test_folds_of_different_trainings_are_not_averaged(what, model):
    _, change, words = FOLDERS[what]
    content = sound_content(model)
    change(content)
    write_checkpoint(checkpoint_of(model, 1), content)
    with pytest.raises(UserInputError, match=words):
        load_model(model)
    assert load_model(model, [0]).folds == ("0",)


@pytest.mark.parametrize("folds", [["../x"], ["x"], ["all", "1"], [-1], [""], [True], [1.5], ["1e3"], ["٣"], [10**9]])
def test_a_fold_is_a_number_or_all(folds, model):
    with pytest.raises(UserInputError, match=r'fold|"all"'):
        load_model(model, folds)


def test_a_model_of_another_trainers_network_says_so(model):
    content = {**sound_content(model), "trainer_name": "nnUNetTrainerBN"}
    write_checkpoint(checkpoint_of(model), content)
    with pytest.raises(UserInputError, match="nnUNetTrainerBN"):
        load_model(model, [0])


def test_files_of_two_models_in_one_folder_are_refused(model):
    document = read_json(model / "dataset.json")
    write_json(model / "dataset.json", {**document, "channel_names": {"0": "CT", "1": "PET"}})
    with pytest.raises(UserInputError, match=r"plans\.json: is for 1 channels, but dataset\.json beside it names 2"):
        load_model(model)
    write_json(model / "dataset.json", {**document, "file_ending": ".jpg"})
    with pytest.raises(UserInputError, match=r'dataset\.json: "file_ending" \.jpg'):
        load_model(model)
    write_json(model / "dataset.json", {**document, "labels": {**document["labels"], "more": 3}})
    with pytest.raises(UserInputError, match="seg_layers"):
        load_model(model)


def test_a_network_larger_than_the_computer_is_refused_before_it_is_built(model):
    document = read_json(model / "plans.json")
    arguments = document["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    arguments["features_per_stage"] = [30_000, 60_000]
    write_json(model / "plans.json", document)
    with pytest.raises(UserInputError, match="GB"):
        load_model(model)


def test_a_patch_larger_than_the_computer_is_refused_before_it_is_segmented(model):
    document = read_json(model / "plans.json")
    document["configurations"]["3d_fullres"]["patch_size"] = [16_384] * 3
    write_json(model / "plans.json", document)
    with pytest.raises(UserInputError, match=r"plans\.json: 3d_fullres: one pass of the network needs about .* GB"):
        Segmenter(load_model(model), "cpu")

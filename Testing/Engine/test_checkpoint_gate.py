"""A checkpoint of a stranger is read whole or refused in one sentence; nothing in it is executed."""

from __future__ import annotations

import io
import os
import pickle
import random
import shutil
import struct
import time
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.inference import Segmenter, load_model
from SegAutoPlanLib.networks import read_checkpoint, with_aliases
from SegAutoPlanLib.networks.checkpoint_gate import MODEL
from Testing.Engine.balls import ball_workspace, untrained_model

SECONDS = 5.0
"""More than any refusal takes, and far less than what it prevents."""
FINAL = Path("fold_0", "checkpoint_final.pth")
PLACES = 20
FLIPS = 30


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    return untrained_model(ball_workspace(tmp_path_factory.mktemp("sound"), cases=2))


@pytest.fixture
def model(sound, tmp_path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / sound.name))


def content_of(model: Path) -> dict[str, Any]:
    return torch.load(model / FINAL, weights_only=True)


def refusal(read, path: Path) -> str:
    """The one sentence, soon, that names the file."""
    begin = time.monotonic()
    with pytest.raises(UserInputError) as caught:
        read()
    assert time.monotonic() - begin < SECONDS
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert str(path) in sentence
    return sentence


def first_weight(content: dict[str, Any]) -> str:
    return next(name for name in content["network_weights"] if name.endswith("conv.weight"))


def with_weight(change):
    def edit(content):
        name = first_weight(content)
        content["network_weights"][name] = change(content["network_weights"][name])

    return edit


def filled(value: float):
    return with_weight(lambda tensor: torch.full_like(tensor, value))


def with_entry(key: str, value: Any):
    return lambda content: content.update({key: value})


def without_weight(content):
    del content["network_weights"][first_weight(content)]


def shared_lists(depth: int) -> list:
    """2^depth leaves in `depth` lists."""
    nested: list = ["a"]
    for _ in range(depth):
        nested = [nested, nested]
    return nested


WRONG_CONTENT = {
    "NaN": (filled(float("nan")), "not finite"),
    "infinity": (filled(float("inf")), "not finite"),
    "float64 beyond float32": (with_weight(lambda tensor: tensor.double() * 0 + 1e300), "not finite"),
    "whole numbers": (with_weight(lambda tensor: tensor.long()), "must be a tensor of"),
    "complex numbers": (with_weight(lambda tensor: tensor.to(torch.complex64)), "was not opened"),
    "another shape": (with_weight(lambda tensor: tensor[:1].clone()), "does not fit the network"),
    "fewer dimensions": (with_weight(lambda tensor: tensor.flatten()), "does not fit the network"),
    "10^12 values of one": (with_weight(lambda tensor: torch.zeros(1).expand(10**12)), "larger than what is stored"),
    "a sparse tensor": (with_weight(lambda tensor: tensor.flatten(1).to_sparse()), "was not opened"),
    "a tensor of no device": (with_weight(lambda tensor: tensor.to("meta")), "was not opened"),
    "text as weight": (with_weight(lambda tensor: "weight"), "must be a tensor"),
    "a weight too many": (lambda content: content["network_weights"].update(more=torch.ones(1)), "does not fit"),
    "a weight too few": (without_weight, "does not fit the network"),
    "a number as name": (lambda content: content["network_weights"].update({7: torch.ones(1)}), "has the key 7"),
    "weights in a list": (with_entry("network_weights", [torch.ones(1)]), "must be an object"),
    "no weights": (lambda content: content.pop("network_weights"), "holds no network weights"),
    "no init_args": (lambda content: content.pop("init_args"), "lacks"),
    "init_args text": (with_entry("init_args", "3d_fullres"), "must be an object"),
    "another configuration": (with_entry("init_args", {"configuration": "4d"}), "no configuration"),
    "a path as configuration": (with_entry("init_args", {"configuration": "../../x"}), "no configuration"),
    "configuration of shared lists": (with_entry("init_args", {"configuration": shared_lists(60)}), "must be a name"),
    "trainer of shared lists": (with_entry("trainer_name", shared_lists(60)), "must be a name"),
    "trainer of another network": (with_entry("trainer_name", "nnUNetTrainerBN"), "another trainer"),
    "axis 3": (with_entry("inference_allowed_mirroring_axes", (3,)), "mirroring_axes"),
    "an axis twice": (with_entry("inference_allowed_mirroring_axes", (0, 0)), "must not repeat"),
    "axes that are true": (with_entry("inference_allowed_mirroring_axes", (True,)), "mirroring_axes"),
    "axes of text": (with_entry("inference_allowed_mirroring_axes", "012"), "mirroring_axes"),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG_CONTENT)
def test_content_that_is_not_the_plans_is_refused_by_its_file(model, fault):
    change, words = WRONG_CONTENT[fault]
    content = content_of(model)
    change(content)
    torch.save(content, model / FINAL)
    # The plan is named where it is the plan that lacks what the checkpoint asks for.
    assert words in refusal(lambda: Segmenter(load_model(model), "cpu"), model)


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments) -> None:
        self.answer = function, arguments

    def __reduce__(self):
        return self.answer


CALLS = {
    "os.system": lambda canary: Call(os.system, f"echo > {canary}"),
    "io.open": lambda canary: Call(open, str(canary), "w"),
    "builtins.eval": lambda canary: Call(eval, f"open({str(canary)!r}, 'w')"),
    "os.mkdir": lambda canary: Call(os.mkdir, str(canary)),
}


@pytest.mark.parametrize("container", ["zip", "pickle", "protocol 0", "protocol 4", "torch before 1.6"])
@pytest.mark.parametrize("name", CALLS)
def test_code_is_reported_as_code_and_never_executed(tmp_path, name, container):
    path, canary = tmp_path / "checkpoint_final.pth", tmp_path / "executed"
    content = {"network_weights": CALLS[name](canary)}
    if container in ("zip", "torch before 1.6"):
        torch.save(content, path, _use_new_zipfile_serialization=container == "zip")
    else:
        protocol = {"pickle": 2, "protocol 0": 0, "protocol 4": 4}[container]
        path.write_bytes(pickle.dumps(content, protocol))
    sentence = refusal(lambda: read_checkpoint(path), path)
    assert f"contains code ({name}) and was not opened" in sentence
    assert "weights_only" not in sentence
    assert not canary.exists()


def written(path: Path, program: bytes, records: dict[str, bytes] | None = None, **options) -> Path:
    """An archive as torch makes it, with a pickle of our own."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in {"data.pkl": program, "byteorder": b"little", **(records or {})}.items():
            archive.writestr(f"archive/{name}", content)
    return path


def named(module: bytes, name: bytes) -> bytes:
    return b"c" + module + b"\n" + name + b"\n"


def repeated(function: bytes, argument: bytes, count: int = 20_000) -> bytes:
    """A list of many calls of a function with one shared argument."""
    return b"\x80\x02](" + function + b"q\x00" + argument + b"\x85q\x01" + b"h\x00h\x01R" * count + b"e."


def whole_number(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


REBUILD_TYPE = named(b"torch._tensor", b"_rebuild_from_type_v2")
MANY = 50_000
PROGRAMS = {
    "nothing": b"",
    "only a stop": b"\x80\x02.",
    "no stop": b"\x80\x02}",
    "a list is no checkpoint": b"\x80\x02].",
    "10^12 bytes": b"\x80\x02" + named(b"__builtin__", b"bytearray") + whole_number(10**12) + b"\x85R.",
    "text longer than the file": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "a number longer than the file": b"\x80\x02\x8b\xff\xff\xff\x7f\x01.",
    "a memo that was never written": b"\x80\x02h\x07.",
    "lists in each other": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "a list in itself": b"\x80\x02]q\x00h\x00a.",
    "tuples in each other as a key": b"\x80\x02})" + b"\x85" * 100_000 + b"Ns.",
    "a list as key": b"\x80\x02}]Ns.",
    "keys of one hash": b"\x80\x02}(" + b"".join(whole_number(i * (2**61 - 1)) + b"N" for i in range(MANY)) + b"u.",
    "calls of calls": b"\x80\x02" + REBUILD_TYPE + b"q\x00" + b"h\x00N" * 5000 + b")" + b"\x87" * 5000 + b"R.",
    "many copies of a set": repeated(named(b"__builtin__", b"set"), b"](" + b"N" * MANY + b"e"),
    "many copies of a shape": repeated(named(b"torch", b"Size"), b"](" + b"K\x01" * MANY + b"e"),
    "many copies of a dictionary": repeated(named(b"collections", b"OrderedDict"), b"](" + b"NN\x86" * MANY + b"e"),
    "many copies of a text": repeated(
        named(b"torch", b"device"), b"X" + struct.pack("<I", 10**6) + b"a" * 10**6 + b"\x89\x86"
    ),
    "a tensor of 10^18 values": b"\x80\x02" + named(b"torch._utils", b"_rebuild_tensor_v2")
    + b"((X\x07\x00\x00\x00storage" + named(b"torch", b"FloatStorage")
    + b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQK\x00\x8a\x08" + (10**18).to_bytes(8, "little")
    + b"\x85K\x00\x85\x89NtR.",
}  # fmt: skip


@pytest.mark.parametrize("fault", PROGRAMS)
def test_a_pickle_that_would_take_all_memory_or_never_end_is_refused_soon(tmp_path, fault):
    path = written(tmp_path / "checkpoint_final.pth", PROGRAMS[fault])
    refusal(lambda: read_checkpoint(path), path)


PLAIN = pickle.dumps({"network_weights": {}}, 2)


def compressed(path: Path) -> None:
    written(path, PLAIN, {"data/0": bytes(1 << 20)}, compression=zipfile.ZIP_DEFLATED)


def two_pickles(path: Path) -> None:
    written(path, PLAIN, {"more/data.pkl": PLAIN})


def no_pickle(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data", b"1")


def same_name_twice(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", PLAIN)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("archive/data.pkl", PLAIN)


def overlapping(path: Path) -> None:
    edit_directory(path, lambda entry: entry.__setitem__(slice(42, 46), struct.pack("<I", 0)))


def too_large(path: Path) -> None:
    edit_directory(path, lambda entry: entry.__setitem__(slice(20, 28), struct.pack("<II", 2**31, 2**31)))


def edit_directory(path: Path, change) -> None:
    """Change the last entry of the directory."""
    written(path, PLAIN, {"data/0": b"1234"})
    content = bytearray(path.read_bytes())
    begin = content.rindex(b"PK\x01\x02")
    entry = content[begin:]
    change(entry)
    path.write_bytes(bytes(content[:begin]) + bytes(entry))


def pointer(path: Path) -> None:
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")


def pipe(path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(path)


FILES = {
    "empty": lambda path: path.write_bytes(b""),
    "a page": lambda path: path.write_bytes(b"<!DOCTYPE html><html>404</html>"),
    "zeros": lambda path: path.write_bytes(bytes(4096)),
    "only PK": lambda path: path.write_bytes(b"PK\x03\x04"),
    "a former format": lambda path: torch.save({}, path, _use_new_zipfile_serialization=False),
    "a folder": lambda path: path.mkdir(),
    "missing": lambda path: None,
    **{maker.__name__: maker for maker in (compressed, two_pickles, no_pickle, same_name_twice, overlapping, too_large,
                                           pointer, pipe)},
}  # fmt: skip


@pytest.mark.parametrize("fault", FILES)
def test_what_is_no_archive_of_torch_is_refused(tmp_path, fault):
    path = tmp_path / "checkpoint_final.pth"
    FILES[fault](path)
    refusal(lambda: read_checkpoint(path), path)


def read_or_refused(path: Path) -> dict[str, torch.Tensor] | None:
    begin, sentence = time.monotonic(), None
    try:
        weights = read_checkpoint(path, MODEL)["network_weights"]
    except UserInputError as error:
        weights, sentence = None, str(error)
    assert time.monotonic() - begin < SECONDS
    assert sentence is None or str(path) in sentence
    return weights


def test_a_checkpoint_that_is_cut_off_anywhere_is_refused(model):
    path = model / FINAL
    whole = path.read_bytes()
    for end in np.linspace(0, len(whole) - 1, PLACES, dtype=int):
        path.write_bytes(whole[:end])
        assert read_or_refused(path) is None, end


def test_a_flipped_bit_is_noticed_or_changes_nothing(model):
    path = model / FINAL
    whole = path.read_bytes()
    expected = read_checkpoint(path)["network_weights"]
    directory = whole.index(b"PK\x01\x02")
    rng = random.Random(8)
    places = [rng.randrange(len(whole)) for _ in range(FLIPS)] + [
        rng.randrange(directory, len(whole)) for _ in range(FLIPS)
    ]
    refused = 0
    for place in places:
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << rng.randrange(8)
        path.write_bytes(spoilt)
        weights = read_or_refused(path)
        refused += weights is None
        if weights is not None:
            assert weights.keys() == expected.keys(), place
            assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items()), place
    assert refused > 0


def prefixed(prefix: str):
    return lambda weights: {prefix + name: tensor for name, tensor in weights.items()}


ACCEPTED = {
    "as we write it": with_aliases,
    "DistributedDataParallel": prefixed("module."),
    "torch.compile": prefixed("_orig_mod."),
    "both": prefixed("module._orig_mod."),
    "ordered": OrderedDict,
    "half": lambda weights: {name: tensor.half().float() for name, tensor in weights.items()},
    "parameters": lambda weights: {name: torch.nn.Parameter(tensor) for name, tensor in weights.items()},
}


@pytest.mark.parametrize("form", ACCEPTED)
def test_what_nnunet_and_torch_write_is_read(model, form):
    content = content_of(model)
    weights = content["network_weights"]
    content["network_weights"] = ACCEPTED[form](weights)
    content["logging"] = {"lrs": [np.float64(0.1), np.float32(0.5), np.int64(3), np.bool_(True)]}
    torch.save(content, model / FINAL)
    loaded = load_model(model).build(0).state_dict()
    wanted = {name: tensor.half().float() for name, tensor in weights.items()} if form == "half" else weights
    assert all(torch.equal(loaded[name], tensor) for name, tensor in wanted.items())
    assert read_checkpoint(model / FINAL)["logging"]["lrs"] == [0.1, 0.5, 3, True]


def test_tensors_are_those_that_torch_reads(model):
    """Views, shared storages, empty ones, and each type of number."""
    base = torch.arange(24, dtype=torch.float32)
    weights = {
        "whole": base,
        "turned": base.reshape(4, 6).t(),
        "part": base[5:17:3],
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(2.5),
        **{str(kind): base.to(kind) for kind in (torch.float16, torch.bfloat16, torch.float64)},
    }
    buffer = io.BytesIO()
    torch.save({"network_weights": weights}, buffer)
    (model / FINAL).write_bytes(buffer.getbuffer())
    read = read_checkpoint(model / FINAL)["network_weights"]
    assert read.keys() == weights.keys()
    for name, tensor in weights.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor), name
    assert read["whole"].data_ptr() == read["turned"].data_ptr()


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("mirroring axes", with_entry("inference_allowed_mirroring_axes", (0,))),
        ("trainer", with_entry("trainer_name", "nnUNetTrainerNoMirroring")),
    ],
)
def test_folds_of_different_trainings_are_not_averaged(model, what, change):
    content = content_of(model)
    change(content)
    other = model / "fold_1" / FINAL.name
    other.parent.mkdir()
    torch.save(content, other)
    assert what in refusal(lambda: load_model(model), other)

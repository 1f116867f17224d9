"""What a network takes from another one's weights: by the names of channels and classes, never more than fits."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from SegAutoPlanLib.errors import FileError
from SegAutoPlanLib.labels import LabelScheme
from SegAutoPlanLib.matching import match_names
from SegAutoPlanLib.models import PretrainedModel
from SegAutoPlanLib.networks import UNet, build_network, load_pretrained, shapes_of, with_aliases, write_checkpoint
from SegAutoPlanLib.planning.plan import Architecture

BALL_AND_CORE = LabelScheme((("background", 0), ("ball", 1), ("core", 2)))
REGIONS = LabelScheme((("background", 0), ("whole", (1, 2)), ("core", 2)), (1, 2))
PLAIN = Architecture(
    kind="plain",
    features_per_stage=(4, 8, 8),
    kernel_sizes=((3, 3, 3),) * 3,
    strides=((1, 1, 1), (2, 2, 2), (2, 2, 2)),
    blocks_per_stage=(1, 1, 1),
    convs_per_decoder_stage=(1, 1),
)
RESIDUAL = dataclasses.replace(PLAIN, kind="residual")
DEEPER = Architecture(
    kind="plain",
    features_per_stage=(4, 8, 8, 8),
    kernel_sizes=((3, 3, 3),) * 4,
    strides=((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2)),
    blocks_per_stage=(1, 1, 1, 1),
    convs_per_decoder_stage=(1, 1, 1),
)
HEAD = "decoder.seg_layers.{}.weight"


class Side:
    """A network with what its ends stand for; the numbers are those of a seed."""

    def __init__(
        self,
        channels: tuple[str, ...] = ("MR",),
        scheme: LabelScheme = BALL_AND_CORE,
        architecture: Architecture = PLAIN,
        seed: int = 1,
        masks: int = 0,
    ) -> None:
        torch.manual_seed(seed)
        self.channels, self.scheme, self.inputs = channels, scheme, len(channels) + masks
        self.network: UNet = build_network(architecture, self.inputs, scheme.head_count).eval()
        with torch.no_grad():
            for tensor in self.network.parameters():
                tensor.add_(torch.randn_like(tensor) / 10)

    @property
    def first(self) -> torch.Tensor:
        state = self.network.state_dict()
        return next(state[name] for name in state if name.endswith("convs.0.conv.weight"))

    def head(self, stage: int) -> torch.Tensor:
        return self.network.state_dict()[HEAD.format(stage)]

    def logits(self, image: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return self.network(image)


@pytest.fixture
def start(tmp_path):
    """Start one network from another one, by way of a checkpoint with nnU-Net's aliases."""

    def start(target: Side, source: Side, knows_names: bool = True):
        path = tmp_path / "checkpoint_final.pth"
        write_checkpoint(path, {"network_weights": with_aliases(source.network.state_dict())})
        names = (source.channels, source.scheme) if knows_names else (None, None)
        model = PretrainedModel(path, *names, shapes_of(source.network))
        return load_pretrained(target.network, model, target.channels, target.scheme)

    return start


def image_of(channels: int) -> torch.Tensor:
    return torch.randn(1, channels, 8, 8, 8, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("architecture", [PLAIN, RESIDUAL], ids=["plain", "residual"])
@pytest.mark.parametrize("scheme", [BALL_AND_CORE, REGIONS], ids=["classes", "regions"])
def test_with_the_same_channels_and_labels_training_starts_with_the_same_logits(architecture, scheme, start):
    source = Side(scheme=scheme, architecture=architecture)
    target = Side(scheme=scheme, architecture=architecture, seed=2)
    taken = start(target, source)
    assert taken.share == 1
    assert taken.left == ()
    assert torch.equal(target.logits(image_of(1)), source.logits(image_of(1)))
    assert "100 % of the weights" in str(taken)


def test_classes_keep_their_rows_by_name_whatever_their_values(start):
    source = Side()
    target = Side(scheme=LabelScheme((("background", 0), ("lesion", 1), ("Core", 2), ("ball", 3))), seed=2)
    fresh = [target.head(stage).clone() for stage in (0, 1)]
    taken = start(target, source)
    for stage in (0, 1):
        assert torch.equal(target.head(stage)[[0, 2, 3]], source.head(stage)[[0, 2, 1]])
        assert torch.equal(target.head(stage)[1], fresh[stage][1])
    assert taken.heads == "background, Core, ball kept, lesion new"
    # Softmax heads: the logits of what was known are what they were.
    assert torch.allclose(target.logits(image_of(1))[:, [0, 3, 2]], source.logits(image_of(1)), atol=1e-6)


def test_a_class_that_is_no_longer_wanted_is_dropped(start):
    source, target = Side(), Side(scheme=LabelScheme((("background", 0), ("core", 1))), seed=2)
    taken = start(target, source)
    assert torch.equal(target.head(1), source.head(1)[[0, 2]])
    assert taken.heads == "background, core kept, ball dropped"


@pytest.mark.parametrize(
    "scheme", [LabelScheme((("background", 0), ("liver", 1), ("tumour", 2))), REGIONS], ids=["renamed", "sigmoid"]
)
def test_heads_of_other_classes_or_of_another_kind_start_afresh(scheme, start):
    source, target = Side(), Side(scheme=scheme, seed=2)
    before = [target.head(stage).clone() for stage in (0, 1)]
    taken = start(target, source)
    assert all(torch.equal(target.head(stage), before[stage]) for stage in (0, 1))
    assert taken.heads == "new"
    body = target.network.state_dict()
    for name, tensor in source.network.state_dict().items():
        assert ".seg_layers." in name or torch.equal(body[name], tensor), name


def test_regions_keep_their_rows_by_name(start):
    source = Side(scheme=REGIONS)
    wanted = LabelScheme((("background", 0), ("core", 2), ("edge", (1, 3)), ("whole", (1, 2, 3))), (1, 2, 3))
    target = Side(scheme=wanted, seed=2)
    taken = start(target, source)
    assert torch.equal(target.head(1)[[0, 2]], source.head(1)[[1, 0]])
    assert taken.heads == "core, whole kept, edge new"


def test_a_new_channel_changes_nothing_at_first_and_learns_at_once(start):
    source, target = Side(("T1",)), Side(("T2", "T1"), seed=2)
    taken = start(target, source)
    both = image_of(2)
    assert torch.allclose(target.logits(both), source.logits(both[:, 1:]), atol=1e-5)
    assert taken.channels == "T1 kept, T2 new"
    target.network.train()(both).square().sum().backward()
    first = next(parameter for name, parameter in target.network.named_parameters() if name.endswith("conv.weight"))
    assert first.grad[:, 0].abs().max() > 0


def test_channels_are_known_by_name_not_by_place(start):
    source = Side(("T1", "T2", "FLAIR", "T1ce"))
    target = Side(("FLAIR", "ADC", "t1", "T1ce", "SWI", "T2", "PD"), seed=2)
    taken = start(target, source)
    assert torch.equal(target.first[:, [0, 2, 3, 5]], source.first[:, [2, 0, 3, 1]])
    assert not target.first[:, [1, 4, 6]].any()
    assert taken.channels == "FLAIR, t1, T1ce, T2 kept, ADC, SWI, PD new"


def test_a_channel_that_is_gone_is_dropped(start):
    source, target = Side(("T1", "T2")), Side(("T2",), seed=2)
    taken = start(target, source)
    assert torch.equal(target.first, source.first[:, 1:])
    assert taken.channels == "T2 kept, T1 dropped"


def test_as_many_channels_by_other_names_follow_in_order_as_in_nnunet(start):
    source, target = Side(("MRI", "T2")), Side(("T2", "CT"), seed=2)
    taken = start(target, source)
    assert torch.equal(target.first, source.first[:, [1, 0]])
    assert taken.channels == "T2 kept, CT as MRI"


@pytest.mark.parametrize("knows_names", [True, False])
def test_where_no_channel_is_known_the_mean_filter_keeps_the_size_of_the_activations(knows_names, start):
    source, target = Side(("CT",)), Side(("T1", "T2", "FLAIR"), seed=2)
    taken = start(target, source, knows_names)
    assert torch.allclose(target.first.sum(1), source.first.sum(1), atol=1e-6)
    assert torch.equal(target.first[:, 0], target.first[:, 1])
    assert "mean filter" in taken.channels


def test_without_names_the_heads_are_new_as_in_nnunet(start):
    source, target = Side(), Side(seed=2)
    before = target.head(1).clone()
    taken = start(target, source, knows_names=False)
    assert torch.equal(target.head(1), before)
    assert torch.equal(target.first, source.first)
    assert taken.heads == "new"
    assert set(taken.left) == {name for name in shapes_of(target.network) if ".seg_layers." in name}


def test_the_masks_of_a_cascade_are_new_beside_the_channels_of_the_image(start):
    source, target = Side(("T1", "T2", "PD")), Side(("T1",), seed=2, masks=2)
    taken = start(target, source)
    assert torch.equal(target.first[:, :1], source.first[:, :1])
    assert not target.first[:, 1:].any(), "a mask is not taken for the channel that stood in its place"
    assert taken.channels == "T1 kept, mask of ball, mask of core new, T2, PD dropped"


def test_the_masks_of_a_cascade_go_by_the_names_of_their_classes(start):
    source = Side(("T1",), masks=2)
    target = Side(("T1",), LabelScheme((("background", 0), ("core", 1), ("ball", 2))), seed=2, masks=2)
    start(target, source)
    assert torch.equal(target.first, source.first[:, [0, 2, 1]])


def test_another_depth_takes_the_stages_of_the_same_resolution(start):
    source, target = Side(architecture=DEEPER), Side(seed=2)
    taken = start(target, source)
    deep, shallow = source.network.state_dict(), target.network.state_dict()
    for name in ("decoder.stages.{}.convs.0.conv.weight", "decoder.transpconvs.{}.weight", HEAD):
        for stage in (0, 1):
            assert torch.equal(shallow[name.format(stage)], deep[name.format(stage + 1)]), name
    assert taken.share == 1


def test_other_kernels_leave_only_their_layers_new(start):
    flat = dataclasses.replace(PLAIN, kernel_sizes=((1, 3, 3), (3, 3, 3), (3, 3, 3)))
    source, target = Side(), Side(architecture=flat, seed=2)
    taken = start(target, source)
    assert [name for name in taken.left if name.endswith("weight")] == [
        "encoder.stages.0.0.convs.0.conv.weight",
        "decoder.stages.1.convs.0.conv.weight",
    ]
    assert taken.channels == "not taken"
    assert "not taken: encoder.stages.0.0.convs.0.conv.weight" in str(taken)


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(PLAIN, features_per_stage=(5, 9, 9)),
        Architecture("plain", (4, 8, 8), ((3, 3),) * 3, ((1, 1), (2, 2), (2, 2)), (1, 1, 1), (1, 1)),
    ],
    ids=["other features", "two dimensions"],
)
def test_where_almost_nothing_fits_one_sentence_says_what_differs(other, start):
    target = Side(architecture=other, seed=2)
    before = {name: tensor.clone() for name, tensor in target.network.state_dict().items()}
    with pytest.raises(FileError, match=r"only \d+ % of its weights fit .*encoder\.stages\.0.*--from-model"):
        start(target, Side())
    assert all(torch.equal(tensor, before[name]) for name, tensor in target.network.state_dict().items())


def test_a_file_that_was_replaced_meanwhile_is_refused(start, tmp_path):
    source, target = Side(), Side(seed=2)
    start(target, source)
    model = PretrainedModel(tmp_path / "checkpoint_final.pth", None, None, shapes_of(Side(("a", "b")).network))
    with pytest.raises(FileError, match="replaced meanwhile"):
        load_pretrained(target.network, model, target.channels, target.scheme)


def test_names_that_stand_twice_are_matched_in_order():
    assert match_names(["MR", "ct", "MR", "mr"], ["mr", "MR", "CT"]) == (0, 2, 1, None)

"""The table of losses: which fit which labels, what is the default; and Dice + cross-entropy, which it is."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from SegAutoPlanLib.__main__ import main
from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.losses import LOSSES, NamedLoss, build_loss, find_loss
from SegAutoPlanLib.losses.deep_supervision import DeepSupervision, supervision_weights
from SegAutoPlanLib.training.targets import full_resolution_target

from .balls import write_balls
from .loss_formulas import IGNORING, LABELS, REGIONS

REPOSITORY = Path(__file__).resolve().parents[2]
SMOOTH = 1e-5


def random_case(values: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 4, 5, 6, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, values, (2, 4, 5, 6), generator=generator)


def expected_dice(probability, one_hot, over, counted=1.0):
    intersection = (probability * one_hot * counted).sum(over)
    total = (probability * counted).sum(over) + (one_hot * counted).sum(over)
    return ((2 * intersection + SMOOTH) / (total + SMOOTH)).mean()


@pytest.mark.parametrize("batch_dice", [False, True])
def test_dice_ce_is_cross_entropy_minus_the_mean_foreground_dice(batch_dice):
    logits, target = random_case(3)
    probability = logits.softmax(1)
    one_hot = torch.nn.functional.one_hot(target, 3).movedim(-1, 1)
    over = (0, 2, 3, 4) if batch_dice else (2, 3, 4)
    picked = probability.gather(1, target[:, None]).log()
    expected = -picked.mean() - expected_dice(probability[:, 1:], one_hot[:, 1:], over)
    assert build_loss(None, LABELS, batch_dice)(logits, target).item() == pytest.approx(expected.item(), abs=1e-6)


def test_ignored_voxels_change_nothing():
    logits, target = random_case(4)
    loss = build_loss("dice_ce", IGNORING, batch_dice=True)
    changed = torch.where((target == 3)[:, None], logits + 5 * torch.randn_like(logits), logits)
    assert loss(changed, target).item() == pytest.approx(loss(logits, target).item(), abs=1e-6)


def test_a_fully_ignored_batch_gives_a_finite_loss_with_a_gradient():
    logits = torch.randn(1, 3, 4, 4, 4, requires_grad=True)
    loss = build_loss("dice_ce", IGNORING, batch_dice=False)(logits, torch.full((1, 4, 4, 4), 3))
    loss.backward()
    assert math.isfinite(loss.item())
    assert torch.isfinite(logits.grad).all()


def test_dice_bce_treats_every_region_alone():
    logits, _ = random_case(3)
    logits = logits[:, :2]
    target = torch.randint(0, 2, logits.shape).bool()
    probability = logits.sigmoid()
    entropy = -(torch.where(target, probability, 1 - probability)).log().mean()
    expected = entropy - expected_dice(probability, target.double(), (2, 3, 4))
    assert build_loss(None, REGIONS, False)(logits, target).item() == pytest.approx(expected.item(), abs=1e-6)


def test_half_precision_sums_do_not_overflow():
    logits = torch.full((1, 3, 64, 64, 64), 3.0, dtype=torch.bfloat16)
    target = torch.ones(1, 64, 64, 64, dtype=torch.long)
    assert math.isfinite(build_loss(None, LABELS, True)(logits, target).item())


def test_supervision_weights_halve_and_leave_the_lowest_resolution_out():
    assert supervision_weights(5) == pytest.approx([16 / 30, 8 / 30, 4 / 30, 2 / 30, 0], abs=1e-12)


def test_a_network_with_two_stages_has_a_finite_loss():
    assert supervision_weights(1) == (1.0,)
    logits, target = random_case(3)
    loss = DeepSupervision(build_loss(None, LABELS, False))([logits], [target])
    assert math.isfinite(loss.item())


def test_a_loss_that_does_not_fit_the_labels_is_refused():
    with pytest.raises(UserInputError, match="dice_bce"):
        build_loss("dice_ce", REGIONS, False)
    with pytest.raises(UserInputError, match="no such loss"):
        build_loss("best_loss", LABELS, False)


def test_without_a_name_the_loss_is_the_one_that_fits_the_labels():
    assert find_loss(None, LABELS).name == "dice_ce"
    assert find_loss(None, REGIONS).name == "dice_bce"


def test_a_loss_that_fits_both_kinds_of_labels_is_nobodys_default(monkeypatch):
    monkeypatch.setitem(LOSSES, "new", NamedLoss("new", lambda _terms: torch.nn.Identity(), "Never."))
    for labels, default in ((LABELS, "dice_ce"), (REGIONS, "dice_bce")):
        assert find_loss("new", labels).name == "new"
        assert find_loss(None, labels).name == default
    with pytest.raises(UserInputError, match=r"dice_ce.* or new"):
        find_loss("dice_bce", LABELS)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=lambda loss: loss.name)
@pytest.mark.parametrize("labels", [LABELS, IGNORING, REGIONS], ids=["labels", "ignoring", "regions"])
def test_every_loss_has_a_finite_gradient_on_what_it_is_for(loss, labels):
    if not loss.fits(labels):
        with pytest.raises(UserInputError, match=f"--loss {loss.name}"):
            build_loss(loss.name, labels, batch_dice=False)
        return
    values, _ = random_case(labels.head_count)
    logits = values[:, : labels.head_count].clone().requires_grad_()
    target = full_resolution_target(random_case(max(labels.expected_values) + 1)[1], labels)
    build_loss(loss.name, labels, batch_dice=False)(logits, target).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() > 0


@pytest.mark.parametrize("loss", LOSSES.values(), ids=lambda loss: loss.name)
def test_every_loss_has_one_line_of_advice(loss):
    assert loss.advice.endswith(".")
    assert "\n" not in loss.advice
    assert 20 < len(loss.advice) < 120
    assert loss.for_labels or loss.for_regions


@pytest.mark.parametrize("labels", [LABELS, REGIONS], ids=["labels", "regions"])
def test_a_misfit_names_every_loss_that_fits(labels):
    for loss in LOSSES.values():
        if not loss.fits(labels):
            with pytest.raises(UserInputError) as refusal:
                find_loss(loss.name, labels)
            named = str(refusal.value).rstrip(".").replace(",", " ").split("use ")[1].split()
            assert set(named) - {"or"} == {fitting.name for fitting in LOSSES.values() if fitting.fits(labels)}


def test_the_verb_lists_every_loss_with_its_advice(capsys):
    assert main(["losses"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(LOSSES)
    assert all(line.endswith(loss.advice) for line, loss in zip(lines, LOSSES.values(), strict=True))
    assert main(["losses", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["losses"]
    assert rows == [
        {"name": loss.name, "labels": loss.for_labels, "regions": loss.for_regions, "advice": loss.advice}
        for loss in LOSSES.values()
    ]


def test_for_a_dataset_the_verb_lists_what_fits_and_the_default(capsys, tmp_path):
    raw = write_balls(tmp_path, cases=1)
    assert main(["losses", str(raw), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in answer["losses"]] == [loss.name for loss in LOSSES.values() if loss.for_labels]
    assert answer["default"] == "dice_ce"


def test_the_verb_needs_no_torch(tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from SegAutoPlanLib.__main__ import main\n"
        "sys.exit(main(['losses', '--workspace', sys.argv[1]]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert "dice_ce" in answer.stdout

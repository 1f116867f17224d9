"""Which process of a training this is, as the environment says; what contradicts itself is a sentence."""

from __future__ import annotations

import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.rank import Rank, rank_from_environment


@pytest.fixture
def environment(monkeypatch):
    for variable in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(variable, raising=False)
    return lambda **values: [monkeypatch.setenv(name, value) for name, value in values.items()]


def test_without_torchrun_a_process_is_alone(environment):
    assert rank_from_environment() == Rank()


def test_torchruns_variables_are_read(environment):
    environment(WORLD_SIZE="4", RANK="3", LOCAL_RANK="1")
    assert rank_from_environment() == Rank(3, 4, 1)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"WORLD_SIZE": "-1"}, "WORLD_SIZE"),
        ({"WORLD_SIZE": "x"}, "WORLD_SIZE"),
        ({"WORLD_SIZE": "1" * 5000}, "WORLD_SIZE"),
        ({"WORLD_SIZE": "2"}, "RANK"),
        ({"WORLD_SIZE": "2", "RANK": "-1"}, "RANK"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "RANK"),
        ({"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "x"}, "LOCAL_RANK"),
    ],
)
def test_variables_that_are_no_ranks_are_refused_in_a_sentence(environment, values, named):
    environment(**values)
    with pytest.raises(UserInputError, match=rf"\b{named}\b.*torchrun") as refused:
        rank_from_environment()
    assert len(str(refused.value)) < 300

"""The checker of documents says where what is wrong, however wrong it is."""

from __future__ import annotations

import math

import pytest

from SegAutoPlanLib.errors import FileError
from SegAutoPlanLib.schema import (
    array_of,
    either,
    every,
    flag,
    mapping_of,
    nothing,
    number,
    number_or_nan,
    one_of,
    problem_of,
    record,
    require,
    text,
    whole,
)

PLAN = record({"configurations": mapping_of(record({"patch": array_of(whole(1, 512), length=3)}, {"name": text()}))})
LAUGHS = ["ha"]
for _ in range(100):
    LAUGHS = [LAUGHS] * 10


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"configurations": {"3d": {"patch": [1, 2, 512]}}}, None),
        ({}, 'lacks "configurations"'),
        ([], "must be an object, not []"),
        ({"configurations": 3}, '"configurations" must be an object, not 3'),
        ({"configurations": {"3d": {}}}, '"configurations" "3d" lacks "patch"'),
        ({"configurations": {"3d": {"patch": [1, 2]}}}, '"configurations" "3d" "patch" must have 3 entries, not 2'),
        (
            {"configurations": {"3d": {"patch": [1, True, 3]}}},
            '"configurations" "3d" "patch"[1] must be a whole number from 1 to 512, not true',
        ),
        (
            {"configurations": {"3d": {"patch": [1, 2, 10**400]}}},
            '"configurations" "3d" "patch"[2] must be a whole number from 1 to 512, not a number of 1329 bits',
        ),
        (
            {"configurations": {"3d": {"patch": [1, 2, 3], "name": 1}}},
            '"configurations" "3d" "name" must be text, not 1',
        ),
    ],
)
def test_the_first_fault_is_told_with_its_place(document, problem):
    assert problem_of(PLAN, document) == problem


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (whole(), [0, -3, 10**30], [1.0, True, "1", None, math.nan]),
        (whole(0, 5), [0, 5], [-1, 6]),
        (number(), [0, 1.5, -3], [math.nan, math.inf, True, "1", 10**400, 1e305]),
        (number(above=0, highest=1), [0.1, 1], [0, 1.1, -0.0]),
        (number_or_nan, [math.nan, 1], [None, "1", False]),
        (text(), ["", "a"], [1, None, b"a", "x" * 5000]),
        (text("[a-z]+"), ["abc"], ["", "abc\n", "Abc"]),
        (flag, [True, False], [0, 1, "true", None]),
        (nothing, [None], [0, False, ""]),
        (one_of("a", 1), ["a", 1], [True, 1.0, "b", None, []]),
        (either(nothing, whole()), [None, 1], [1.5]),
        (every(whole(), one_of(1, 2)), [1], [3, "1"]),
        (array_of(whole(), shortest=1, longest=2), [[1], (1, 2)], [[], [1, 2, 3], "12", {1: 2}, None]),
        (mapping_of(whole(), text("[a-z]")), [{}, {"a": 1}], [{"A": 1}, {"a": "1"}, [], {1: 1}]),
        (record({"a": flag}, others=("b",)), [{"a": True, "b": 7}], [{"a": True, "c": 7}]),
    ],
)
def test_a_rule_lets_through_what_it_says_and_nothing_else(rule, good, bad):
    assert [value for value in good if problem_of(rule, value) is not None] == []
    assert [value for value in bad if problem_of(rule, value) is None] == []


def test_a_value_that_would_fill_the_memory_as_text_is_shown_shortly():
    problem = problem_of(text(), LAUGHS)
    assert problem is not None
    assert len(problem) < 1000


def test_the_sentence_names_the_file_and_the_remedy(tmp_path):
    with pytest.raises(FileError, match=r'plans\.json: lacks "configurations"; plan again\.$'):
        require(PLAN, {}, tmp_path / "plans.json", "plan again")

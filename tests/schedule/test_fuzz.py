"""Whatever is typed, a schedule is read or a ScheduleError says where it broke. Nothing else, and soon."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koshi_flux.errors import ScheduleError
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.easing import NAMES
from koshi_flux.schedule.functions import BINARY, KOSHI, PREFIX
from koshi_flux.schedule.prompts import PromptSchedule
from koshi_flux.schedule.strings import StringSchedule

PIECES = [
    *KOSHI, *BINARY, *PREFIX, *NAMES, "^", "t", "s", "max_f", "beat", "pi", "e", "0", "1", "5", "10", "0.5", "1e-3",
    "9e99", ".", "0:", "0:(", "5:(", ":", ":(", ")", "(", ", ", ",", '"', "'", " ", "\n", "@", " @ ", "cubic-bezier(",
    "=", ";", "and", "\x00", "\N{MINUS SIGN}", "\N{SNOWMAN}", "()", "0:(1)", ", 5:(t)", "max_f-1", "deforum",
    "notebook",
]  # fmt: skip
TYPED = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)
NEARLY = st.builds("0:({}), {}:({})".format, TYPED, st.sampled_from(["5", "max_f", "s"]), TYPED)
ANYTHING = st.text(max_size=60)
LIMIT = 2.0
"""Seconds of processor time that reading and evaluating may take."""


def outcome(task: Callable[[], Any]) -> tuple[Any, Any]:
    """What the task gives, and the ScheduleError it raises; any other error goes through."""
    started = time.process_time()
    result = error = None
    try:
        result = task()
    except ScheduleError as said:
        error = said
    assert time.process_time() - started < LIMIT
    return result, error


def assert_placed(error: ScheduleError) -> None:
    assert 1 <= error.column <= len(error.text) + 1
    assert str(error).startswith(f"{error.name}: {error.problem} at column {error.column} of ")


@pytest.mark.parametrize("dialect", ["koshi", "deforum", "notebook"])
@given(text=st.one_of(TYPED, NEARLY, ANYTHING))
@settings(max_examples=300, deadline=None)
def test_a_schedule_or_an_error_with_a_place(dialect, text):
    schedule, error = outcome(lambda: Schedule.parse(text, "zoom", dialect))
    if schedule is not None:
        assert Schedule.parse(str(schedule)) == schedule
        values, error = outcome(lambda: schedule.values(7, seed=3))
    if error is not None:
        assert_placed(error)
        assert text.startswith(error.text)
    else:
        assert values.shape == (7,)
        assert np.isfinite(values).all()


@given(text=st.one_of(TYPED, ANYTHING))
@settings(max_examples=150, deadline=None)
def test_string_schedules_too(text):
    strings, error = outcome(lambda: StringSchedule.parse(text, "sampler").values(7, seed=3))
    if error is not None:
        assert_placed(error)
    else:
        assert len(strings) == 7


@given(key=TYPED, text=st.one_of(TYPED, ANYTHING))
@settings(max_examples=150, deadline=None)
def test_prompts_too(key, text):
    schedule = lambda: PromptSchedule.parse({0: "a", key: text}, "linear", negative=text)  # noqa: E731
    values, error = outcome(lambda: schedule().values(7, seed=3))
    if error is not None:
        assert_placed(error)
    else:
        assert len(values) == 7


@pytest.mark.parametrize(
    "piece",
    [
        "(",
        ")",
        "-",
        "~",
        "1+",
        "t*",
        "sin(",
        "0:(1),",
        '"',
        "'",
        ",",
        ":",
        "@",
        "9**",
        "1<<",
        "a",
        "0",
        " ",
        "max(1,",
        "`",
    ],
)
@pytest.mark.parametrize("dialect", ["koshi", "deforum", "notebook"])
def test_repetition_does_not_hang(piece, dialect):
    for text in (piece * 3000, "0:(" + piece * 3000, "0:(" + piece * 20 + "t"):
        _, error = outcome(lambda text=text: Schedule.parse(text, "zoom", dialect).values(3))
        if error is not None:
            assert_placed(error)


@pytest.mark.parametrize("piece", ["(a:1.2) ", "(", "a:1 ", "a:`", "(a ", "(a:`1`) ", "--neg ", "\\", "a:1", "  :"])
def test_long_prompts_do_not_hang(piece):
    _, error = outcome(lambda: PromptSchedule.parse(piece * (2_000 // len(piece))).values(3))
    if error is not None:
        assert_placed(error)

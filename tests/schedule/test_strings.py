"""Schedules of words."""

import pytest

from koshi_flux.errors import ScheduleError, SettingsError
from koshi_flux.schedule.strings import StringSchedule


def values(text: str, dialect: str = "koshi", frames: int = 6) -> str:
    return "|".join(StringSchedule.parse(text, "sampler", dialect).values(frames, seed=3))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('0: ("Euler a")', "Euler a|Euler a|Euler a|Euler a|Euler a|Euler a"),
        ("0:('x'), \"max_f-1\":('y')", "x|x|x|x|y|y"),
        ("0: x, 3: y y ,", "x|x|x|y y|y y|y y"),
        ("4:(y), 2:(x)", "x|x|x|x|y|y"),
        ("0: ( a, b: (c ) ", None),
        ("0: ( a, b:c ) ", "|".join(["a, b:c"] * 6)),
        ("0:(\"a, 'b': (c)\"), 5:('say \"hi\"')", "|".join(["a, 'b': (c)"] * 5 + ['say "hi"'])),
        ("s:(x), 99:(y)", "|".join("x" * 6)),
        ("replicate", "|".join(["replicate"] * 6)),
        (" 'https://example.org' ", "|".join(["https://example.org"] * 6)),
        ('0:("")', "|||||"),
    ],
)
def test_each_string_holds_to_the_next_key(text, expected):
    if expected is None:
        with pytest.raises(ScheduleError):
            values(text)
    else:
        assert values(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('0:("Euler a"), 2:("x (v2)")', "Euler a|Euler a|x v2|x v2|x v2|x v2"),
        ("0:(a), 9:(b), -1:(c), 0:(d)", "d|d|d|d|d|d"),
        ('0:("1"), 3:("3")', "1|1|1|3|3|3"),
    ],
)
def test_deforums_way(text, expected):
    assert values(text, "deforum") == expected


def test_the_notebooks_way():
    assert values("0:('a (b'), 3:(c)", "notebook") == "a (b|a (b|a (b|c|c|c"


@pytest.mark.parametrize(
    ("text", "dialect", "column", "problem"),
    [
        ("", "koshi", 1, 'expected a keyframe such as 0:("words")'),
        ("0:", "koshi", 3, 'expected ("words")'),
        ("0:()", "koshi", 3, 'expected ("words")'),
        ("0:('a)", "koshi", 3, 'expected ("words")'),
        ("0:('a') 3:('b')", "koshi", 9, "expected ','"),
        ("0:a 3:b", "koshi", 6, "expected ','"),
        ("0:a, b", "koshi", 6, "unknown variable 'b', known are beat bpm e fps max_f pi s sec t"),
        ("0:a, 5 b", "koshi", 8, "expected ':'"),
        ("0:a, 0:b", "koshi", 6, "two keys for frame 0, '0' and '0'"),
        ("t:a", "koshi", 1, "a key stands still, it cannot use 't'"),
        ("0:(\"a,b\")", "deforum", 6, "to Deforum this comma ends a keyframe, expected another after it"),
        ("1:(\"a\")", "deforum", 1, "Deforum needs a key for frame 0"),
    ],
)  # fmt: skip
def test_errors_say_where(text, dialect, column, problem):
    with pytest.raises(ScheduleError) as caught:
        StringSchedule.parse(text, "sampler", dialect).values(6)
    assert (caught.value.problem, caught.value.column, caught.value.name) == (problem, column, "sampler")


def test_text_and_back():
    for text, dialect in [("0:(a), max_f/2:('b, c')", "koshi"), ('0:("a (b)")', "deforum"), ("0:(a)", "notebook")]:
        schedule = StringSchedule.parse(text, "sampler", dialect)
        assert StringSchedule.parse(str(schedule), dialect=dialect) == schedule


def test_dialects_are_named():
    with pytest.raises(SettingsError, match="unknown dialect 'disco'"):
        StringSchedule.parse("a", dialect="disco")

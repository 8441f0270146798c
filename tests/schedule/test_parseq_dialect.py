"""Parseq's own language in schedules, against the values that Parseq publishes and against theory."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koshi_flux.errors import ScheduleError
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.parseq_functions import CURVES, FUNCTIONS, REFUSED
from koshi_flux.schedule.strings import StringSchedule


def values(text: str, frames: int = 11, fps: float = 30.0, bpm: float = 140.0) -> list[float]:
    return Schedule.parse(text, "zoom", "parseq").values(frames, fps=fps, bpm=bpm).tolist()


def at_three_keyframes(formula: str) -> list[float]:
    """The setting of Parseq's own tests: values 5, 0 and 10 at frames 0, 5 and 10, results to two decimals."""
    return values(f"0:(5; round({formula}, 2)), 5:(0), 10:(10)")


PUBLISHED = {
    "bez()": [5, 4.68, 3.46, 1.54, 0.32, 0, 0.64, 3.09, 6.91, 9.36, 10],
    "bez(0.1)": [5, 3.64, 2.15, 0.99, 0.26, 0, 2.71, 5.69, 8.01, 9.49, 10],
    "bez(0.1,0.9,0.9,-0.5)": [5, 3.36, 3.5, 3.7, 3.39, 0, 3.28, 3, 2.6, 3.23, 10],
    "bez(to=-10)": [5, 4.03, 0.37, -5.37, -9.03, 0, -0.64, -3.09, -6.91, -9.36, 10],
    "bez(from=-10, to=10, span=3)": [-10, -5.93, 5.93, 10, 10, -10, -5.93, 5.93, 10, 10, -10],
    "slide(from=-10)": [-10, -8, -6, -4, -2, -10, -6, -2, 2, 6, -10],
    "slide(to=-10, span=3)": [5, 0, -5, -10, -10, 0, -3.33, -6.67, -10, -10, 10],
    "tri(p=5, ps=1, a=2, c=10, li=0.5)": [11.6, 10.8, 9.2, 0, 0, 11.6, 10.8, 9.2, 0, 0, 11.6],
    "saw(p=10, ps=1, a=2, c=10)": [10.2, 10.4, 10.6, 10.8, 11, 11.2, 11.4, 11.6, 11.8, 10, 10.2],
    "saw(p=5, ps=1, a=2, c=10, li=0.5, pw=99)": [10.4, 10.8, 11.2, 0, 0, 10.4, 10.8, 11.2, 0, 0, 10.4],
    "pulse(p=10, ps=1)": [1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1],
    "pulse(p=5, ps=0, a=2, c=10, li=0.5, pw=1)": [12, 10, 10, 0, 0, 12, 10, 10, 0, 0, 12],
    "_sin(f)": [0, 0.84, 0.91, 0.14, -0.76, -0.96, -0.28, 0.66, 0.99, 0.41, -0.54],
    "_asinh(f)": [0, 0.88, 1.44, 1.82, 2.09, 2.31, 2.49, 2.64, 2.78, 2.89, 3],
}


@pytest.mark.parametrize("formula", PUBLISHED)
def test_functions_give_what_parseq_publishes(formula):
    assert at_three_keyframes(formula) == pytest.approx(PUBLISHED[formula], abs=1e-12)


@pytest.mark.parametrize(
    ("maths", "value"),
    [
        ("10-5-2", 7),
        ("8/4/2", 4),
        ("1-2+3", -4),
        ("2*3%4", 6),
        ("2^3^2", 512),
        ("2^2*3", 64),
        ("-2^2", 4),
        ("7%4", 3),
        ("-7%4", -3),
        ("1+1*5", 6),
        ("2 > 1 and 3 > 4 or 1", 1),
        ("1 && 0 || 1", 1),
        ("0.5 and 2", 1),
        ("-1 or 0", 0),
        ("1 == 1", 1),
        ("true + false", 1),
        ("3f", 3),
        ("2s", 60),
        ("2b", 2 * 30 * 60 / 140),
        ("-1.5s", -45),
        ("s2f(2)", 60),
        ("f2b(b2f(3))", 3),
        ("f2s(45)", 1.5),
        ("round(1.5)", 2),
        ("round(-1.5)", -1),
        ("round(1.444, 2)", 1.44),
        ("ceil(v=1.444, p=2)", 1.45),
        ("floor(1.555, 2)", 1.55),
        ("min(a=2, b=1)", 1),
        ("max(2, 1) + abs(-3)", 5),
        ("_clz32(255) + _clz32(0)", 56),
        ("SQRT2 * SQRT1_2 + LN2 * LOG2E + LN10 * LOG10E", 3),
        ("PI + E", math.pi + math.e),
        ("fps + bpm", 170),
        ("final_frame + last_frame", 20),
    ],
)
def test_arithmetic_is_parseqs(maths, value):
    assert values(maths) == pytest.approx([value] * 11, rel=1e-12)


@pytest.mark.parametrize(
    ("maths", "value"),
    [
        ("if 1 2", 2),
        ("if (0) 2", 0),
        ("if (-1) 2 else 3", 3),
        ("if (0) 2 else if (1) 3 else 4", 3),
        ("if (0) 2 else if (0) 3 else 4", 4),
        ("if (1) 2 + 3", 5),
        ("if (0) 2 + 3", 3),
        ("if (1) 2 else 3 * 4", 8),
        ("if (1) 2 + 5 else 3", 7),
        ("if (1) -5 else 2", -5),
        ("if (3) - 2 7 else 2", 7),
        ("if (2) - 3 7 else 2", 2),
        ("if 1 and 0 2 else 3", 3),
        ("2 * if (1) 3 else 4 * 5", 30),
        ("if (1) (if (0) 2 else 3) else 4", 3),
        ("if (1) if (0) 2 else 3 else 4", 3),
        ("if if (0) 1 2 else 3", 3),
        ("max(if (0) 1 else 5, 2)", 5),
    ],
)
def test_the_last_branch_of_an_if_is_as_short_as_it_can_be(maths, value):
    """Checked against Parseq's grammar in its own parser generator."""
    assert values(maths) == [value] * 11


def test_a_frame_knows_where_it_is():
    assert values("f") == list(range(11))
    assert values("s")[3] == 0.1
    assert values("b", fps=20, bpm=60)[10] == 0.5
    assert values("wb", fps=5, bpm=60)[4:6] == [0, 1]
    keyed = "0:(5; {}), 4:(3), 8:(1)"
    assert values(keyed.format("k")) == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 0]
    assert values(keyed.format("active_keyframe")) == [0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 10]
    assert values(keyed.format("next_keyframe")) == [4, 4, 4, 4, 8, 8, 8, 8, 10, 10, 10]
    assert values(keyed.format("active_keyframe_value")) == [5, 5, 5, 5, 3, 3, 3, 3, 1, 1, 1]
    assert values(keyed.format("next_keyframe_value")) == [3, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1]
    assert values(keyed.format("S")) == values(keyed.format("prev_keyframe_value"))


def test_lines_steps_splines_and_polynomials_go_through_the_values():
    keyed = "0:(1; {}), 4:(3), 8:(-1), 10:(2)"
    for way in "LSCP":
        assert np.array(values(keyed.format(way)))[[0, 4, 8, 10]] == pytest.approx([1, 3, -1, 2], abs=1e-12)
    assert values(keyed.format("L")) == np.interp(range(11), [0, 4, 8, 10], [1, 3, -1, 2]).tolist()
    exact = np.polynomial.Polynomial.fit([0, 4, 8, 10], [1, 3, -1, 2], 3)(np.arange(11))
    assert values(keyed.format("P")) == pytest.approx(exact.tolist(), abs=1e-9)


def test_the_spline_is_the_natural_one():
    """Through 0, 1, 0 it is 1.5 u - 0.5 u^3 up to the middle (curvature 0 at the ends, slope 0 at the top)."""
    u = np.arange(6) / 5
    rising = 1.5 * u - 0.5 * u**3
    assert values("0:(0; C), 5:(1), 10:(0)") == pytest.approx([*rising, *rising[-2::-1]], abs=1e-12)
    assert values("0:(0; C), 10:(5)") == pytest.approx(np.arange(11) / 2, abs=1e-12)


def test_curves_by_name_are_the_curves_by_points():
    for name, points in CURVES.items():
        by_points = f"bez({', '.join(map(str, points))}, 2, 5, 10)"
        assert values(f'bez(from=2, to=5, in=10, curve="{name}")') == values(by_points)
    assert len(CURVES) == 4 + 3 + 24 + 18 + 5
    assert values('0:(3; bez(curve="linear", d=2)), 10:(9)') == pytest.approx([*np.linspace(3, 5, 11)[:10], 9])
    assert values("0:(0; bez(x1=0, y1=0, x2=1, y2=1, os=0.25)), 10:(8)")[:3] == pytest.approx([2, 2, 2], abs=1e-9)
    assert values("0:(0; slide(os=0.25)), 10:(8)")[:3] == [2, 2, 2]


def test_a_formula_holds_until_the_next_and_a_line_leads_to_the_first():
    assert values("0:(0), 4:(8; S), 8:(0; f)") == [0, 2, 4, 6, 8, 8, 8, 8, 8, 9, 10]
    assert values("5:(f*10)", 8) == [0, 0, 0, 0, 0, 50, 60, 70]
    assert values("0:(1), 5:(; 7), 10:(2)") == pytest.approx([1, 1.1, 1.2, 1.3, 1.4, *[7] * 6])


def test_ends_without_a_value_have_that_of_the_nearest_keyframe():
    assert values("4:(2), 6:(4)") == [2, 2, 2, 2, 2, 3, 4, 4, 4, 4, 4]
    assert values("0:(0), 20:(20)") == list(range(11))
    assert values("3:(2; C)", 1) == [2]


def test_what_was_calculated_before_can_be_used():
    assert values("prev_computed_value + f", 5) == [0, 1, 3, 6, 10]
    assert values("0:(1), 3:(; prev_computed_value * 2)", 6) == [1, 1, 1, 2, 4, 8]
    assert values("0:(1; if f > 2 prev_computed_value else L), 4:(9)", 6) == [1, 3, 5, 5, 5, 5]


def test_keys_may_be_times():
    assert Schedule.parse("1b:(2), 2s:(1), final_frame:(0), 0:(; S)", dialect="parseq").keyframes(
        100, fps=20, bpm=60
    ) == (0, 20, 40, 99)
    assert values("0:(0), 1s:(5)", 11, fps=5)[5:] == [5] * 6


def test_oscillators_keep_time_with_the_film():
    assert values("sin(p=1b)", 9, fps=8, bpm=60) == pytest.approx(np.sin(np.arange(9) * np.pi / 4), abs=1e-12)
    assert values("sq(4)", 5) == [1, 1, 1, -1, -1]  # like Parseq's, by a sine that is not quite 0 after a whole period
    assert values("start_of_beat()", 9, fps=4, bpm=96) == [0, 0, 0, 3, 3, 5, 5, 5, 8]
    assert values('start_of_beat(r="d")', 6, fps=4, bpm=96) == [0, 0, 0, 2, 2, 5]


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("", 1, "expected a formula such as sin(p=4b), or keyframes such as 0:(1; C), 60:(2)"),
        ("1 +", 4, "expected a number or maths"),
        ("0:(1", 5, "expected ')'"),
        ("0:(1) 5:(2)", 7, "expected ','"),
        ("0: 1; C", 5, "a value with a formula stands in parentheses: 0:(1; sin(p=4b))"),
        ("0:(1; C), 0:(2)", 11, "two keys for frame 0, '0' and '0'"),
        ("f:(1)", 1, "a key stands still, it cannot use 'f'"),
        ("0.5:(1)", 1, "frame 0.5 is not whole, write 0 or 1"),
        ("0:(1e999)", 4, "too large for a number"),
        ("sin", 1, "'sin' is a function, write sin(...)"),
        ("sin()", 1, "'sin' needs 'period'"),
        ("sin(q=1)", 5, "'sin' has no argument 'q': sin(period, phase, amp, centre, limit, pulse)"),
        ("sin(p=1, 2)", 10, "name all arguments or none"),
        ("sin(p=1, period=2)", 10, "'sin' is given 'period' twice"),
        ("min(1, 2, 3)", 11, "'min' takes at most 2 arguments: min(a, b)"),
        ("min(1 2)", 7, "expected ',' or ')'"),
        ("siin(3)", 1, "unknown function 'siin', did you mean 'sin'?"),
        ("next_keyfram", 1, "unknown variable 'next_keyfram', did you mean 'next_keyframe'?"),
        ("cos(f)", 1, "Parseq has no 'cos': Parseq writes a _ before the functions of mathematics"),
        ("t", 1, "Parseq has no 't': the frame is f in Parseq"),
        ("bez(2)", 5, "x1 must lie in [0, 1]"),
        ('bez(curve="easyIn")', 11, "unknown 'easyIn', did you mean 'easeIn'?"),
        ("bez(curve=3)", 11, 'expected a word in quotes, such as "ease"'),
        ('"cat":0.5', 1, "words have no place in a schedule of numbers"),
        ("else", 1, "'else' stands where a number or maths was expected"),
        ("if f", 5, "expected a number or maths"),
        ("if (1) if (0) 2 else 3", 17, "either 'if' could have this 'else', put the inner one in parentheses"),
        ("C", 1, "'C' goes between values, but no keyframe has one: write 0:(1; L), 60:(2)"),
        ("bez()", 1, "'S' goes between values, but no keyframe has one: write 0:(1; L), 60:(2)"),
        ("é", 1, "expected a number or maths"),
        (f"{'(' * 60}1{')' * 60}", 51, "nested more than 50 deep"),
    ],
)
def test_errors_say_where_and_what_was_expected(text, column, problem):
    with pytest.raises(ScheduleError) as caught:
        Schedule.parse(text, "zoom", "parseq")
    assert (caught.value.column, caught.value.problem) == (column, problem)


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_meaning_here_is_refused_with_what_to_write(name):
    assert name not in FUNCTIONS
    with pytest.raises(ScheduleError, match=rf"zoom: '{name}' .*(wiggle\(period\)|write the|render the document)"):
        Schedule.parse(f"1 + {name}(1)", "zoom", "parseq")


def test_values_that_do_not_exist_are_blamed_on_their_formula():
    with pytest.raises(ScheduleError, match=r"zoom: value at frame 4 is inf .* at column 10 of"):
        values("0:(1), 3:(1/(f-4))")
    with pytest.raises(ScheduleError, match="value at frame 0 is nan"):
        values("bez(x1=2+f, from=0, to=1, in=5)")
    with pytest.raises(ScheduleError, match="P takes at most 200 values"):
        values(", ".join(["0:(0; P)", *(f"{frame}:(1)" for frame in range(1, 250))]), 300)
    assert values("if (f > 0) 1/f else 0", 3) == [0, 1, 0.5]


def test_nested_ifs_that_are_read_again_and_again_end_in_an_error():
    with pytest.raises(ScheduleError, match=r"more than 1000 steps|nested more than 50 deep"):
        values("if (1) 1 + " * 40 + "1")


def test_the_end_of_a_text_names_the_language():
    schedule = Schedule.parse("0:(1; sin(p=1b)), 9:(2) @ parseq", "zoom")
    assert str(schedule) == "0:(1; sin(p=1b)), 9:(2) @ parseq"
    assert Schedule.parse(str(schedule)) == schedule == pickle.loads(pickle.dumps(schedule))
    assert schedule.dialect == "parseq"
    assert not schedule.is_constant
    assert Schedule.parse("1.5 @ parseq").is_constant
    assert schedule.keyframes(5) == (0, 9)
    with pytest.raises(ScheduleError, match="the parseq dialect knows no easing"):
        Schedule.parse("0:(1) @ parseq", easing="ease")


def test_a_film_may_speak_it():
    film = Animation(prompts="a lake", dialect="parseq", frames=5, fps=4, bpm=60, angle="sin(p=1b, a=10)", zoom=1.01)
    assert film.values("angle") == pytest.approx([0, 10, 0, -10, 0], abs=1e-12)
    assert film.at(3).zoom == 1.01
    assert StringSchedule.parse("0:(Euler), 5:(DDIM)", dialect="parseq").values(6)[-1] == "DDIM"


NUMBERS = st.floats(-1e4, 1e4, allow_subnormal=False)


@given(st.dictionaries(st.integers(0, 60), NUMBERS, min_size=1, max_size=8), st.integers(1, 61))
@settings(max_examples=60, deadline=None)
def test_values_alone_are_interpolated_like_koshis(keys, frames):
    text = ", ".join(f"{frame}:({value!r})" for frame, value in keys.items())
    expected = Schedule.parse(text).values(frames)
    assert values(text, frames) == pytest.approx(expected.tolist(), rel=1e-12, abs=1e-9)


MATHS = st.text("0123456789.fsbLCPSk+-*/%^<>=&|() ,;:ifelsandor\"'", max_size=40)


@given(MATHS)
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused(text):
    try:
        series = Schedule.parse(text, "zoom", "parseq").values(7)
    except ScheduleError as wrong:
        refused = wrong
    else:
        refused = None
        assert np.isfinite(series).all()
    assert refused is None or 1 <= refused.column <= len(text) + 1

"""Maths: precedence, functions and variables against Python and against numbers worked out by hand."""

import math
import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.expression import Scope
from koshi_flux.schedule.functions import KOSHI, NUMEXPR
from koshi_flux.schedule.grammar import Parser

SCOPE = Scope(frames=25, seed=7, fps=24.0, bpm=120.0)
FRAMES = np.arange(25, dtype=np.float64)


def at(text: str, t: float = 0.0, scope: Scope = SCOPE) -> float:
    return float(Parser(text, "zoom").whole().evaluate(scope.variables(t)))


def over(text: str, t: np.ndarray = FRAMES, scope: Scope = SCOPE) -> list[float]:
    value = Parser(text, "zoom").whole().evaluate(scope.variables(t))
    return np.broadcast_to(np.asarray(value, dtype=np.float64), t.shape).tolist()


PYTHON_OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "&", "|", "<<", ">>"]
ARITHMETIC = st.recursive(
    st.sampled_from(["0", "1", "2", "3", "4", "7", "t"]),
    lambda inner: st.one_of(
        st.builds("{}{}{}".format, inner, st.sampled_from(PYTHON_OPERATORS), inner),
        st.builds("{}{}".format, st.sampled_from(["-", "+", "~"]), inner),
        st.builds("({})".format, inner),
    ),
    max_leaves=6,
)


@given(ARITHMETIC)
@settings(max_examples=300, deadline=None)
def test_arithmetic_is_pythons(text):
    """Precedence, associativity and meaning, wherever Python has an answer of a sane size."""
    if text.count("**") + text.count("<<") > 1:
        return  # Python would work out all digits of 7**7**7**7
    try:
        expected = eval(text, {"t": 5})
    except (ZeroDivisionError, ValueError, TypeError, OverflowError, MemoryError):
        return
    if isinstance(expected, complex) or not abs(expected) < 2**40:
        return
    if re.search(r"[^/]/[^/]|\*\*[-~+(]", text) and re.search(r"//|%", text):
        return  # Python takes the remainder of fractions, such as 7**-4, by another rounding
    if "<<" in text and expected == 0:
        return  # 0 << 10**9 is 0 * inf, as floats have it
    assert at(text, 5.0) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1//7**-4", 2401),
        ("1%7**-4", 0),
        ("3//0.1", 30),
        ("3%0.1", 0),
        ("-1//7**-1", -7),
        ("1//2**-3", 8),
        ("7//2**-(1)", 14),
        ("5%(1/4)", 0),
        ("1//0.3", 3),
    ],
)
def test_a_quotient_of_fractions_is_the_floor_of_the_rounded_one(text, expected):
    """What the comparison with Python leaves out: there 1 // 7**-4 is 2400, and 3 % 0.1 almost 0.1."""
    assert at(text, 5.0) == pytest.approx(expected, abs=1e-9)


@given(ARITHMETIC)
@settings(max_examples=200, deadline=None)
def test_the_canonical_text_means_the_same_and_is_stable(text):
    read = Parser(text, "zoom").whole()
    again = Parser(str(read), "angle").whole()
    assert again == read
    assert str(again) == str(read)


@given(st.sampled_from(sorted(KOSHI)), st.integers(1, 3), st.data())
@settings(max_examples=100, deadline=None)
def test_all_frames_at_once_are_the_frames_one_by_one(name, count, data):
    function = KOSHI[name]
    count = max(function.least, min(count, function.most or count))
    arguments = [data.draw(st.sampled_from(["t", "3", "t/7", "5-t", "(t>4)", "0.5"])) for _ in range(count)]
    text = f"{name}({', '.join(arguments)})"
    frames = np.array([0.0, 3.0, 7.0, 24.0])
    assert np.array_equal(over(text, frames), [at(text, t) for t in frames.tolist()], equal_nan=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2+3*4", 14), ("(2+3)*4", 20), ("2**3**2", 512), ("-2**2", -4), ("2**-1", 0.5), ("10-4-3", 3), ("100/10/5", 2),
        ("7//2", 3), ("-7//2", -4), ("7%4", 3), ("-7%4", 1), ("7%-4", -1), ("3%.1", 0), ("1+2<4", 1), ("1<<2+1", 8),
        ("6&3|8", 10), ("~5", -6), ("~(1<2)", 0), ("~(2<1)", 1), ("(1<2)+(2<3)", 2), ("-(1<2)", -1), ("(1<2)*5", 5),
        ("(1<2)&(2<3)", 1), ("(1<2)&(3<2)", 0), ("(1<2)|(3<2)", 1), ("5&(1<2)", 1), ("1==1", 1), ("1!=1", 0),
        ("20>>2", 5), ("-1>>1", -1), ("sin(1<2)", math.sin(1)), ("1.5e1", 15), ("--3", 3), ("+-3", -3), ("- 3", -3),
        ("pi", math.pi), ("e", math.e), ("e**1", math.e),
    ],
)  # fmt: skip
def test_signs(text, expected):
    assert at(text) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("text"), ["1.5&1", "1|.5", "~.5", "1<<.5", ".5>>1", "1e20&1", "0/0", "0%0", "saw(0)", "pulse(0)", "wiggle(0)"]
)
def test_what_does_not_exist_is_nan(text):
    assert math.isnan(at(text, 1.0))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sin(1)", math.sin(1)), ("cos(1)", math.cos(1)), ("tan(1)", math.tan(1)), ("arcsin(.5)", math.asin(0.5)),
        ("arccos(.5)", math.acos(0.5)), ("arctan(2)", math.atan(2)), ("arctan2(1, -1)", math.atan2(1, -1)),
        ("sinh(1)", math.sinh(1)), ("cosh(1)", math.cosh(1)), ("tanh(1)", math.tanh(1)), ("arcsinh(1)", math.asinh(1)),
        ("arccosh(2)", math.acosh(2)), ("arctanh(.5)", math.atanh(0.5)), ("log(2)", math.log(2)), ("log2(8)", 3),
        ("log10(1000)", 3), ("log1p(1)", math.log(2)), ("exp(1)", math.e), ("expm1(1)", math.e - 1), ("sqrt(9)", 3),
        ("abs(-2)", 2), ("floor(-1.5)", -2), ("ceil(-1.5)", -1), ("round(2.5)", 2), ("round(3.5)", 4),
        ("trunc(-1.5)", -1), ("sign(-9)", -1), ("fmod(-7, 4)", -3), ("hypot(3, 4)", 5), ("copysign(3, -.1)", -3),
        ("minimum(1, 2)", 1),
        ("maximum(1, 2)", 2), ("nextafter(1, 2)", math.nextafter(1, 2)), ("signbit(-1)", 1), ("isnan(0/0)", 1),
        ("isinf(1/0)", 1), ("isfinite(1)", 1), ("real(4)", 4), ("conj(4)", 4), ("imag(4)", 0), ("where(0, 1, 2)", 2),
        ("where(.5, 1, 2)", 1), ("where(1<2, 1, 0/0)", 1), ("min(3)", 3), ("min(3, 1, 2)", 1), ("max(3, 1, 5, 2)", 5),
        ("clip(9, 0, 5)", 5), ("clip(-9, 0, 5)", 0), ("clip(3, 0, 5)", 3),
    ],
)  # fmt: skip
def test_functions(text, expected):
    assert at(text) == pytest.approx(expected, abs=1e-15)


def test_all_functions_of_deforum_are_there():
    listed = (
        "where sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh log log10 log1p exp expm1 sqrt "
        "abs floor ceil conj real imag arctan2 maximum minimum"
    )
    assert set(listed.split()) <= set(NUMEXPR) <= set(KOSHI)


def test_variables():
    scope = Scope(frames=101, seed=2**53, fps=30.0, bpm=90.0)
    names = ("t", "max_f", "s", "fps", "bpm", "sec", "beat")
    assert [at(name, 60.0, scope) for name in names] == [60, 100, 2**53, 30, 90, 2, 3]


@pytest.mark.parametrize(("frames", "fps"), [(0, 24.0), (-5, 24.0), (5, 0.0), (5, -1.0), (5, math.nan)])
def test_a_film_has_frames_and_a_rate(frames, fps):
    with pytest.raises(SettingsError, match="must be"):
        Scope(frames, fps=fps)


def test_saw_rises_from_0_and_jumps_back():
    assert over("saw(4)", np.arange(9.0)) == [0, 0.25, 0.5, 0.75, 0, 0.25, 0.5, 0.75, 0]
    assert over("saw(4, 1)", np.arange(5.0)) == [0.75, 0, 0.25, 0.5, 0.75]
    assert over("saw(-4)", np.arange(5.0)) == [0, 0.75, 0.5, 0.25, 0]


def test_tri_rises_and_falls():
    assert over("tri(4)", np.arange(9.0)) == [0, 0.5, 1, 0.5, 0, 0.5, 1, 0.5, 0]
    assert over("tri(4, 2)", np.arange(5.0)) == [1, 0.5, 0, 0.5, 1]


def test_pulse_is_on_for_its_width():
    assert over("pulse(4)", np.arange(9.0)) == [1, 1, 0, 0, 1, 1, 0, 0, 1]
    assert over("pulse(4, 1)", np.arange(9.0)) == [1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert over("pulse(4, 1, 2)", np.arange(5.0)) == [0, 0, 1, 0, 0]
    assert over("pulse(49, 7)", np.arange(49.0)) == [1] * 7 + [0] * 42


def test_ease_is_smoothstep_between_two_frames():
    assert over("ease(2, 6)", np.arange(9.0)) == [0, 0, 0, 0.15625, 0.5, 0.84375, 1, 1, 1]
    assert over("ease(2, 6, 10, 20)", np.arange(2.0, 7.0)) == [10, 11.5625, 15, 18.4375, 20]
    assert over("ease(6, 2)", np.arange(2.0, 7.0)) == [1, 0.84375, 0.5, 0.15625, 0]
    assert over("ease(3, 3)", np.arange(5.0)) == [0, 0, 0, 1, 1]


def splitmix(state: int, value: int) -> int:
    """The published algorithm, over Python's integers."""
    mask = 2**64 - 1
    z = ((state ^ value) + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def random_value(seed: int, stream: int, knot: int) -> float:
    return (splitmix(splitmix(splitmix(0, seed), stream), knot % 2**64) >> 11) * 2.0**-52 - 1


def test_splitmix_is_the_published_one():
    assert splitmix(0, 0) == 0xE220A8397B1DCDAF  # the first output for seed 0


def test_wiggle_is_a_b_spline_through_random_values():
    r = [random_value(7, 3, knot) for knot in range(-1, 6)]
    at_knot = (r[0] + 4 * r[1] + r[2]) / 6
    half_way = (r[1] + 23 * r[2] + 23 * r[3] + r[4]) / 48
    assert over("wiggle(10, 3)", np.array([0.0, 15.0])) == pytest.approx([at_knot, half_way], abs=1e-15)


def test_wiggle_stays_in_range_and_differs_by_seed_and_stream():
    long = np.arange(20_000.0)
    first, other = np.array(over("wiggle(3)", long)), np.array(over("wiggle(3, 1)", long))
    reseeded = np.array(over("wiggle(3)", long, Scope(20_000, seed=8)))
    assert np.abs(first).max() <= 1
    assert abs(first.mean()) < 0.02
    assert np.abs(np.diff(first)).max() < 0.6  # smooth: less than a third of the range in a third of a period
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.05
    assert abs(np.corrcoef(first, reseeded)[0, 1]) < 0.05


def test_wiggle_is_continuous_where_time_begins():
    before, at_0 = over("wiggle(10, 3)", np.array([-1e-7, 0.0]))
    assert before == pytest.approx(at_0, abs=1e-6)
    assert np.abs(np.diff(over("wiggle(10)", np.arange(-50.0, 50.0)))).max() < 0.2


def test_expressions_can_be_sent_to_other_processes():
    read = Parser("saw(3)+wiggle(10)*2", "zoom").whole()
    copy = pickle.loads(pickle.dumps(read))
    assert copy == read
    assert copy.evaluate(SCOPE.variables(4.0)) == read.evaluate(SCOPE.variables(4.0))

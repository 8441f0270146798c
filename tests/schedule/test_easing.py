"""The ways between numbers, against published curves and curves worked out by hand."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koshi_flux.errors import ScheduleError
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.easing import CSS, NAMES, Easing, css_bezier

UNIT = st.floats(0, 1)
NUMBERS = st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 3)), min_size=2, max_size=7)


def eased(easing: str, *numbers: float, step: int = 10) -> np.ndarray:
    text = ", ".join(f"{i * step}:({number!r})" for i, number in enumerate(numbers))
    return Schedule.parse(f"{text} @ {easing}").values((len(numbers) - 1) * step + 1)


@pytest.mark.parametrize(
    ("name", "quarter", "half", "three_quarters"),
    [
        ("ease", 0.4085, 0.8024, 0.9605),
        ("ease-in", 0.0935, 0.3154, 0.6219),
        ("ease-out", 0.3781, 0.6846, 0.9065),
        ("ease-in-out", 0.1292, 0.5, 0.8708),
    ],
)
def test_css_curves_are_those_of_browsers(name, quarter, half, three_quarters):
    y = css_bezier(np.array([0.25, 0.5, 0.75]), CSS[name])
    assert y == pytest.approx([quarter, half, three_quarters], abs=5e-5)


def test_a_bezier_on_the_diagonal_is_linear():
    x = np.linspace(0, 1, 101)
    assert css_bezier(x, (0.3, 0.3, 0.6, 0.6)) == pytest.approx(x, abs=1e-12)


def test_a_bezier_may_overshoot():
    assert eased("cubic-bezier(.3, 2, .7, 2)", 0, 1).max() > 1.2


@given(UNIT, UNIT, st.floats(-2, 2), st.floats(-2, 2), UNIT)
@settings(max_examples=100, deadline=None)
def test_a_bezier_passes_through_its_own_points(x1, x2, y1, y2, s):
    """At parameter s the curve is (x, y); asked for that x it must say that y, where x rises fast enough to ask."""
    weights = np.array([3 * s * (1 - s) ** 2, 3 * s**2 * (1 - s), s**3])
    x, y = weights @ (x1, x2, 1), weights @ (y1, y2, 1)
    slope = 3 * (1 - s) ** 2 * x1 + 6 * s * (1 - s) * (x2 - x1) + 3 * s**2 * (1 - x2)
    if slope > 0.01:
        assert css_bezier(np.array([x]), (x1, y1, x2, y2))[0] == pytest.approx(y, abs=1e-9)


@pytest.mark.parametrize("name", [*NAMES, "cubic-bezier(.1, -.6, .2, 1.8)"])
@given(numbers=NUMBERS)
@settings(max_examples=25, deadline=None)
def test_every_easing_has_the_number_at_its_key(name, numbers):
    assert eased(name, *numbers)[::10].tolist() == numbers


@given(NUMBERS)
@settings(max_examples=100, deadline=None)
def test_cubic_stays_between_its_neighbours_and_keeps_their_order(numbers):
    series = eased("cubic", *numbers)
    for i, (a, b) in enumerate(pairwise(numbers)):
        piece = series[i * 10 : i * 10 + 11]
        slack = 1e-9 * max(1, abs(a), abs(b))
        assert (np.diff(piece) * np.sign(b - a) >= -slack).all()
        assert min(a, b) - slack <= piece.min() <= piece.max() <= max(a, b) + slack


def test_cubic_by_hand():
    """Slopes 0.1 and 0.3, so tangents 0.1, 0.2, 0.3; at half way (a+b)/2 + 10*(m0-m1)/8."""
    assert eased("cubic", 0, 1, 4)[[5, 15]] == pytest.approx([0.5 - 0.125, 2.5 - 0.125], abs=1e-12)


def test_cubic_limits_steep_tangents():
    """Slopes 0.1 and 2: the tangent 1.05 at the key is 10.5 times the first slope; limited to a circle of radius 3."""
    limit = 3 / np.hypot(0.1 / 0.1, 1.05 / 0.1)
    middle = 0.5 + 10 * (0.1 * limit - 1.05 * limit) / 8
    assert eased("cubic", 0, 1, 21)[5] == pytest.approx(middle, abs=1e-12)


def test_cubic_of_a_line_is_the_line():
    assert eased("cubic", 0, 10, 20, 30) == pytest.approx(np.arange(31), abs=1e-12)


def test_cubic_rests_where_it_turns_and_where_it_is_flat():
    """0, 10, 0: no slope at the top; a tenth before it 10 * (3u^2 - 2u^3) + 10 * u * (1-u)^2 * 1 for u = 0.9."""
    assert eased("cubic", 0, 10, 0)[[9, 10, 11]] == pytest.approx([9.81, 10, 9.81], abs=1e-12)
    assert eased("cubic", 5, 5, 5).tolist() == [5.0] * 21


def test_step_holds():
    assert eased("step", 1, 2, step=3).tolist() == [1, 1, 1, 2]


@pytest.mark.parametrize("text", [*NAMES, "cubic-bezier(0.4,0,0.2,1)", "cubic-bezier(.4, -1.5, 1, +2.)"])
def test_text_and_back(text):
    easing = Easing.parse(text)
    assert Easing.parse(str(easing)) == easing


def test_errors_name_the_nearest():
    with pytest.raises(ScheduleError, match="unknown easing 'ease_in', did you mean 'ease-in'") as caught:
        Easing.parse("0:(1) @ ease_in", "zoom", 7)
    assert caught.value.column == 8

"""Schedules as a whole: values, text and back, keyframes, constants."""

import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koshi_flux.errors import ScheduleError, SettingsError
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.easing import NAMES
from koshi_flux.schedule.parameter_adapter import FluxKoshiParameterAdapter

MATHS = st.recursive(
    st.sampled_from(["t", "s", "max_f", "beat", "pi", "e", "1", "0.5", "3e-2", "(2)", "-7"]),
    lambda inner: st.one_of(
        st.builds("{} {} {}".format, inner, st.sampled_from(["+", "-", "*", "<", "&", "|", "%", "**", ">>"]), inner),
        st.builds("({})".format, inner),
        st.builds('"{}"'.format, inner.filter(lambda text: '"' not in text)),
        st.builds("-{}".format, inner),
        st.builds("{}({})".format, st.sampled_from(["sin", "abs", "saw", "wiggle", "max"]), inner),
        st.builds("where({}, {}, {})".format, inner, inner, inner),
    ),
    max_leaves=5,
).filter(lambda text: len(re.findall("[<]", text)) < 2)
NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False).map(repr)
EASINGS = st.sampled_from(["", *(f" @ {name}" for name in NAMES), " @ cubic-bezier(.1,2,.3,-4.5)"])


@st.composite
def schedules(draw) -> str:
    keys = draw(st.lists(st.integers(0, 40), min_size=1, max_size=5, unique=True).map(list))
    texts = [f"{key}:({draw(st.one_of(NUMBERS, MATHS))})" for key in keys]
    if draw(st.booleans()):
        texts.append(f"max_f*3+{draw(st.integers(41, 60))}: {draw(NUMBERS)}")
    return ", ".join(texts) + draw(EASINGS)


@given(schedules())
@settings(max_examples=100, deadline=None)
def test_text_and_back(text):
    schedule = Schedule.parse(text, "zoom")
    again = Schedule.parse(str(schedule), "angle")
    assert again == schedule
    assert hash(again) == hash(schedule)
    assert str(again) == str(schedule)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1.0", "0:(1)"),
        ("0: 1.50 ,10:( 1e3 )", "0:(1.5), 10:(1000)"),
        ('"max_f-1" : ( t * (2+1) )', "max_f-1:(t*(2+1))"),
        ("0:((t)), 5:(-(3))", "0:(t), 5:(-3)"),
        ("0:(where( t<5 , 1,2))", "0:(where(t<5, 1, 2))"),
        ("0:(saw(3)+wiggle(4, 1))", "0:(saw(3)+wiggle(4, 1))"),
        (
            "0:((-2)**2), 1:(-2**2), 2:(2**(-1)), 3:((2**3)**2), 4:(2**3**2)",
            "0:((-2)**2), 1:(-2**2), 2:(2**-1), 3:((2**3)**2), 4:(2**3**2)",
        ),
        ("0:(1-(2-3)), 1:((1-2)-3), 2:((1<2)<3), 3:(~(1|2)&4)", "0:(1-(2-3)), 1:(1-2-3), 2:((1<2)<3), 3:(~(1|2)&4)"),
        ("0:(1) @ linear", "0:(1)"),
        ("0:(1) @  ease-in ", "0:(1) @ ease-in"),
        ("0:(1)@cubic-bezier( .4,0 , .20,1 )", "0:(1) @ cubic-bezier(0.4,0,0.2,1)"),
        ("0:(1e22), 1:(1e-7)", "0:(1e+22), 1:(1e-07)"),
    ],
)
def test_the_canonical_text(text, canonical):
    assert str(Schedule.parse(text)) == canonical


def test_equality_is_about_what_a_schedule_does():
    assert Schedule.parse("0: 1.0, 5:(2)", "zoom") == Schedule.parse("0:(1),5:2.", "angle")
    assert Schedule.parse("0:(1), 5:(2)") != Schedule.parse("0:(1), 5:(2) @ step")
    assert Schedule.parse("0:(1), 5:(2)") != Schedule.parse("0:(1), 5:(2) @ deforum")
    assert Schedule.parse("0:(t+1)") != Schedule.parse("0:(1+t)")


def test_literal_keyframes_are_read_alike_by_the_short_way_and_the_long():
    text = "0:(1.5), 7:-2, 9: (-.5), 12:(3e2), 13:4."
    short, long = Schedule.parse(text), Schedule.parse(text.replace(":", " :"))
    assert short == long
    assert [k.value.column for k in short.entries] == [k.value.column - i - 1 for i, k in enumerate(long.entries)]


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(-1000, 1000)), min_size=1, max_size=8, unique_by=lambda k: k[0])
)
@settings(max_examples=100, deadline=None)
def test_numbers_are_interpolated_like_numpy_does(keys):
    text = ", ".join(f"{frame}:({number})" for frame, number in keys)
    expected = np.interp(np.arange(50), *zip(*sorted(keys), strict=True))
    assert Schedule.parse(text).values(50) == pytest.approx(expected, rel=1e-12, abs=1e-9)


@given(st.integers(1, 50))
@settings(max_examples=20, deadline=None)
def test_length_and_type(frames):
    values = Schedule.parse("0:(1), 9:(t), max_f+20:(3)").values(frames)
    assert values.shape == (frames,)
    assert values.dtype == np.float64


def test_maths_holds_to_the_next_key_and_is_approached_in_a_line():
    assert Schedule.parse("0:(t), 5:(0), 8:(4)").values(11) == pytest.approx([0, 1, 2, 3, 4, 0, 4 / 3, 8 / 3, 4, 4, 4])
    assert Schedule.parse("0:(0), 5:(t)").values(8).tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert Schedule.parse("3:(t), 6:(2*t)").values(9).tolist() == [3, 3, 3, 3, 4, 5, 12, 14, 16]


def test_maths_beyond_the_end_is_approached_too():
    assert Schedule.parse("0:(0), 20:(t)").values(11).tolist() == list(range(11))


def test_maths_without_variables_is_a_number():
    assert Schedule.parse("0:(1/2), 4:(5/2)").values(5).tolist() == [0.5, 1, 1.5, 2, 2.5]
    assert Schedule.parse("0:(s), 4:(4)").values(5, seed=9).tolist() == [9, 9, 9, 9, 4]


def test_easing_leaves_maths_alone_and_begins_anew_after_it():
    values = Schedule.parse("0:(t), 4:(0), 8:(1), 12:(t), 16:(0) @ step").values(18)
    assert values.tolist() == [0, 1, 2, 3, 0, 0, 0, 0, 1, 1, 1, 1, 12, 13, 14, 15, 0, 0]


def test_the_variables_of_the_film():
    schedule = Schedule.parse("0:(s+max_f*1000+fps*bpm)")
    assert schedule.values(11, seed=5, fps=30, bpm=100).tolist() == [5 + 10_000 + 3000] * 11
    beats = Schedule.parse("0:(beat), 9:(sec)").values(13, fps=6, bpm=60)
    assert beats[[6, 12]].tolist() == [1, 2]


def test_keyframes_are_where_keys_fall():
    schedule = Schedule.parse("max_f:(1), 0:(2), max_f/4:(3), 99:(1), s:(0)")
    assert schedule.keyframes(11, seed=7) == (0, 2, 7, 10, 99)
    assert Schedule.parse("0:(2), 99:(1), 5:(1), 5:(3) @ deforum").keyframes(11) == (0, 5)


@pytest.mark.parametrize("text", ["1", "0:(1)", "5:(1), 9:(1) @ ease", "0:(1/2), 3:(0.5)", "0:(1) @ deforum"])
def test_constant(text):
    assert Schedule.parse(text).is_constant


@pytest.mark.parametrize("text", ["t", "0:(1), 9:(2)", "0:(max_f)", "0:(1), 5:(s)", "0:(wiggle(9))"])
def test_not_constant(text):
    assert not Schedule.parse(text).is_constant


@pytest.mark.parametrize("number", [1, 1.05, -3, 0, -0.0, 1e-9, np.float64(2.5)])
def test_a_number_is_a_constant_in_every_dialect(number):
    for dialect in ("koshi", "deforum", "notebook"):
        schedule = Schedule.parse(number, dialect=dialect)
        assert schedule.is_constant
        assert schedule.values(2).tolist() == [number, number]
    assert Schedule.parse(-0.0) == Schedule.parse(0)


def test_a_schedule_stays_as_it_is():
    schedule = Schedule.parse("0:(1), 9:(2) @ cubic", "zoom")
    assert Schedule.parse(schedule) is schedule
    assert Schedule.parse(schedule, easing="step") == Schedule.parse("0:(1), 9:(2) @ step")


def test_the_argument_takes_the_place_of_the_texts_easing():
    assert Schedule.parse("0:(1), 9:(2) @ cubic", easing="ease") == Schedule.parse("0:(1), 9:(2) @ ease")
    with pytest.raises(ScheduleError, match="zoom: unknown easing 'es', did you mean 'ease'"):
        Schedule.parse("0:(1)", "zoom", easing="es")


@pytest.mark.parametrize("wrong", [True, float("nan"), float("inf")])
def test_what_is_no_number_is_no_schedule(wrong):
    with pytest.raises(ScheduleError, match="zoom: expected a number or a schedule such as"):
        Schedule.parse(wrong, "zoom")


def test_dialects_are_named():
    with pytest.raises(SettingsError, match="unknown dialect 'disco', known are koshi, deforum, notebook"):
        Schedule.parse("0:(1)", dialect="disco")


def test_a_film_without_frames_is_refused():
    with pytest.raises(SettingsError, match="frames must be at least 1, got 0"):
        Schedule.parse("0:(1)").values(0)


def test_the_specs_name_for_it():
    assert FluxKoshiParameterAdapter().parse_schedule("0:(1.0), 2:(1.5)", 4) == [1.0, 1.25, 1.5, 1.5]


def test_schedules_need_no_torch():
    modules = "koshi_flux.schedule.curve, koshi_flux.schedule.prompts, koshi_flux.schedule.strings"
    forbidden = "{'torch', 'cv2', 'diffusers', 'transformers', 'av', 'pandas', 'numexpr', 'scipy'}"
    code = f"import sys, {modules}; print(sorted({forbidden} & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "[]\n"

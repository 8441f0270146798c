"""What schedules may look like, and what is said about those that may not."""

import pytest

from koshi_flux.errors import ScheduleError
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.easing import NAMES
from koshi_flux.schedule.functions import KOSHI
from koshi_flux.schedule.grammar import MAX_STEPS, MAX_TEXT

ELEVEN = list(map(float, range(11)))


def values(text: str, frames: int = 11) -> list[float]:
    return Schedule.parse(text, "zoom").values(frames, seed=42).tolist()


def error(text: str, frames: int = 11) -> ScheduleError:
    with pytest.raises(ScheduleError) as caught:
        Schedule.parse(text, "zoom").values(frames, seed=42)
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        "0:(0), 10:(10)",
        "0:0,10:10",
        " 0 : ( 0 ) , 10 : ( 10 ) , ",
        "0:(0), 10:(10),",
        "10:(10), 0:(0)",
        '"0":(0), "10":(10)',
        "'0': '0', '10': \"10\"",
        "(0):(0), (max_f):(10)",
        '0:(0), "max_f":(10)',
        "0:(0)\n, 10:\t(10)\n",
        "0:((0)), 5+5:(((10)))",
        "0:(-0), 10:(1e1)",
        "0:(.0), 10:(10.)",
        "0:(+0), 10:(+10)",
        "0:(1-1), 10:(5*2)",
        "0:(t)",
        "0:t",
        "t",
        "0: abs(-t)",
        "0:(max(t,0)), 20:(where(t<3,1,2)),",
        "0:(0), max_f*2:(20)",
        "0:(0), 10.9+0:(10)",
        "0:(0), s-32:(10)",
        "0:(0), fps*bpm/288:(10)",
    ],
)
def test_one_way_from_0_to_10_has_many_spellings(text):
    assert values(text) == pytest.approx(ELEVEN, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.05", 1.05),
        ("-3", -3),
        ("1e-3", 1e-3),
        ("2E2", 200),
        ("0:(1)", 1),
        ("5:(7)", 7),
        (".5", 0.5),
        ("2*pi", 6.283185307179586),
    ],
)
def test_constants(text, expected):
    assert values(text) == [expected] * 11


def test_the_message_is_the_one_the_design_promises():
    said = str(error("0:(1.0) 30:(1.05)"))
    assert said.splitlines() == [
        "zoom: expected ',' at column 9 of '0:(1.0) 30:(1.05)'",
        "    0:(1.0) 30:(1.05)",
        "            ^",
    ]


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("", 1, "expected a keyframe such as 0:(1.0)"),
        ("   ", 4, "expected a keyframe such as 0:(1.0)"),
        ("0:", 3, "expected a number or maths"),
        ("0:()", 4, "expected a number or maths"),
        (":5", 1, "expected a number or maths"),
        (",0:(1)", 1, "expected a number or maths"),
        ("0:(1),,5:(1)", 7, "expected a number or maths"),
        ("0:(1.0", 7, "expected ')'"),
        ('0:("1.0)', 8, "expected '\"'"),
        ("0:(1.0))", 8, "expected ','"),
        ("0:(2t)", 5, "expected ')'"),
        ("0:1.2.3", 6, "expected ','"),
        ("0:(1)(2)", 6, "expected ','"),
        ("0=(0)", 2, "expected ':'"),
        ("0 (0)", 3, "expected ':'"),
        ("0:(1), 5", 9, "expected ':'"),
        ("0:[1]", 3, "expected a number or maths"),
        ("0:(1) 5", 7, "expected ','"),
        ("0:(t+)", 6, "expected a number or maths"),
        ("0:(*t)", 4, "expected a number or maths"),
        ("0:(max(t 1))", 10, "expected ',' or ')'"),
        ("0:(max(t,))", 10, "expected a number or maths"),
        ("0: 0: (t)", 4, "double key '0: 0:', expected one key and then a value"),
        ("0:(1), 4:5:(t)", 10, "double key '4: 5:', expected one key and then a value"),
        ("0:(t^2)", 5, "'^' is xor in Deforum and a power elsewhere: write ** for a power"),
        ("0:(tt)", 4, "unknown variable 'tt', did you mean 't'?"),
        ("0:(T)", 4, "unknown variable 'T', did you mean 't'?"),
        ("0:(zzz)", 4, "unknown variable 'zzz', known are beat bpm e fps max_f pi s sec t"),
        ("0:(1+sinn(t))", 6, "unknown function 'sinn', did you mean 'sin'?"),
        ("0:(maxx(1,2))", 4, "unknown function 'maxx', did you mean 'max'?"),
        ("0:(sin)", 4, "'sin' is a function, write sin(...)"),
        ("0:(t(3))", 4, "'t' is a variable and not a function, write t*(...)"),
        ("0:(sin())", 4, "'sin' takes 1 argument, not 0"),
        ("0:(sin(t,t))", 4, "'sin' takes 1 argument, not 2"),
        ("0:(where(t,t))", 4, "'where' takes 3 arguments, not 2"),
        ("0:(ease(1))", 4, "'ease' takes 2 to 4 arguments, not 1"),
        ("0:(max())", 4, "'max' takes at least 1 argument, not 0"),
        ("0:(1<t<3)", 7, "comparisons do not chain, write (a<b) & (b<c)"),
        ("0:(t>3 & t<5)", 11, "comparisons do not chain, write (a<b) & (b<c)"),
        ("0:(t and 3)", 6, "'and' is not maths, write (a) & (b)"),
        ("0:(t or 3)", 6, "'or' is not maths, write (a) | (b)"),
        ("0:(not t)", 4, "'not' is not maths, write ~(a)"),
        ("0:(1 if t else 2)", 6, "'if' is not maths, write where(condition, a, b)"),
        ("0:(1); 5:(2)", 6, "';' is not understood, write ','"),
        ("0:(\N{MINUS SIGN}1)", 4, "'\N{MINUS SIGN}' is not understood, write '-'"),
        ("0:(2\N{MULTIPLICATION SIGN}t)", 5, "'\N{MULTIPLICATION SIGN}' is not understood, write '*'"),
        ("\N{LEFT DOUBLE QUOTATION MARK}0:1", 1, "'\N{LEFT DOUBLE QUOTATION MARK}' is not understood, write '\"'"),
        ("0:(1e999)", 4, "too large for a number"),
        ("0 :(1e999)", 5, "too large for a number"),
        ("0:(1j)", 5, "expected ')'"),
        ("0:('a')", 5, "unknown variable 'a', known are beat bpm e fps max_f pi s sec t"),
        ("0:(t.real)", 5, "expected ')'"),
        ("0:(__import__('os'))", 4, f"unknown function '__import__', known are {' '.join(sorted(KOSHI))}"),
        ("0:(complex(1,2))", 4, f"unknown function 'complex', known are {' '.join(sorted(KOSHI))}"),
        ("5.7:(1)", 1, "frame 5.7 is not whole, write 5 or 6"),
        ("0:(1), -5:(1)", 8, "the key is frame -5, but frames count from 0"),
        ("0:(1), max_f-30:(1)", 8, "the key is frame -20, but frames count from 0"),
        ("0:(1), 1/0:(1)", 8, "the key is inf, which is no frame"),
        ("0:(1), 0/(s-42):(1)", 8, "the key is nan, which is no frame"),
        ("0:(1), 9**99:(1)", 8, "the key is 2.95127e+94, which is no frame"),
        ("0:(1), t:(1)", 8, "a key stands still, it cannot use 't'"),
        ("0:(1), beat+1:(1)", 8, "a key stands still, it cannot use 'beat'"),
        ("0:(1), saw(3):(1)", 8, "a key stands still, it cannot use 't'"),
        ("0:(1), 5:(1), 5:(2)", 15, "two keys for frame 5, '5' and '5'"),
        ("0:(1), 5:(1), 10/2:(2)", 15, "two keys for frame 5, '5' and '10/2'"),
        ("0:(1), 10:(1), max_f:(2)", 16, "two keys for frame 10, '10' and 'max_f'"),
        ("0:(1/t)", 3, "value at frame 0 is inf (division by zero?)"),
        ("0:(1), 7:(log(t-9))", 10, "value at frame 7 is nan (0/0, or the root or logarithm of a negative number?)"),
        ("0:(1/(t-5))", 3, "value at frame 5 is inf (division by zero?)"),
        ("0:(1e308), 5:(-1e308)", 3, "value at frame 1 is -inf (division by zero?)"),
        ("0:(-1/0)", 3, "value at frame 0 is -inf (division by zero?)"),
        ("0:(1), 2000000:(1/0)", 16, "value at frame 2000000 is inf (division by zero?)"),
        ("0:(t&1.5)", 3, "value at frame 0 is nan (0/0, or the root or logarithm of a negative number?)"),
        ("0:(1) @", 8, f"unknown easing '', known are {', '.join(NAMES)}, cubic-bezier(x1,y1,x2,y2)"),
        ("0:(1) @ eas-in", 9, "unknown easing 'eas-in', did you mean 'ease-in'?"),
        ("0:(1) @ cubic-bezier(1,2,3)", 9, "cubic-bezier takes four numbers x1, y1, x2, y2, not '1,2,3'"),
        ("0:(1) @ cubic-bezier(1,2,1,x)", 9, "cubic-bezier takes four numbers x1, y1, x2, y2, not '1,2,1,x'"),
        ("0:(1) @ cubic-bezier(2,0,0,1)", 9, "cubic-bezier needs x1 and x2 in [0, 1], not 2 and 0"),
        ("@ step", 1, "expected a number or maths"),
    ],
)
def test_errors_say_where_and_what(text, column, problem):
    said = error(text)
    assert (said.problem, said.column) == (problem, column)
    assert (said.name, said.text) == ("zoom", text)


@pytest.mark.parametrize(
    "text", ["9**9**9**9", "0:(9**9**9**9)", "1<<10**9", "9**9**9:(1)", "exp(exp(exp(9)))", "0:(1e308*10)"]
)
def test_huge_numbers_are_errors_at_once(text):
    assert "inf" in error(text).problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("(" * 10_000, "nested more than 50 deep"),
        ("0:" + "(" * 10_000 + "1" + ")" * 10_000, "nested more than 50 deep"),
        ("-" * 10_000 + "1", "nested more than 50 deep"),
        ("2" + "**2" * 10_000, "nested more than 50 deep"),
        ("sin(" * 10_000, "nested more than 50 deep"),
        ("1" + "+1" * 10_000, f"more than {MAX_STEPS} steps of maths in one value, split it into more keyframes"),
        (
            "max(" + "1," * 10_000 + "1)",
            f"more than {MAX_STEPS} steps of maths in one value, split it into more keyframes",
        ),
        ("0" * (MAX_TEXT + 1), f"{MAX_TEXT + 1} characters are too many, at most {MAX_TEXT} are read"),
    ],
)
def test_monsters_are_refused(text, problem):
    assert error(text).problem == problem


def test_what_is_allowed_is_deep_and_long_enough():
    assert values("(" * 49 + "t" + ")" * 49) == ELEVEN
    assert values("t" + "+1-1" * 200) == ELEVEN


def test_a_key_for_each_of_many_frames():
    text = ", ".join(f"{frame}:({frame})" for frame in range(3000))
    assert values(text, frames=3000) == list(map(float, range(3000)))

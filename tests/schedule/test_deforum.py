"""Deforum's own readings, against values that the original code computed."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from koshi_flux.errors import ScheduleError
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.functions import NUMEXPR
from koshi_flux.schedule.strings import StringSchedule

CORPUS = Path(__file__).parents[2] / "../shared/corpus"
COLUMNS = {"deforum": "webui", "notebook": "original"}
COMMA = "to Deforum this comma ends a keyframe, expected another after it"


def corpus(name: str) -> Any:
    path = CORPUS / name
    if not path.exists():
        pytest.skip(f"the corpus of original values is not here: {path.name}")
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("dialect", COLUMNS)
def test_schedules_have_deforums_values_and_errors_where_it_crashed(dialect):
    for case in corpus("golden/schedules.json"):
        expected, text = case[COLUMNS[dialect]], case["schedule"]
        if isinstance(expected, str):
            with pytest.raises(ScheduleError):
                Schedule.parse(text, dialect=dialect).values(case["max_frames"], seed=case["seed"])
        else:
            values = Schedule.parse(text, dialect=dialect).values(case["max_frames"], seed=case["seed"])
            assert np.abs(values.round(5) - expected).max() < 1e-9, text


def test_string_schedules_have_deforums_values():
    for case in corpus("golden/string_schedules.json"):
        for dialect in ("deforum", "koshi"):
            assert StringSchedule.parse(case["schedule"], dialect=dialect).values(case["max_frames"]) == case["webui"]


@pytest.mark.parametrize(
    "file",
    [
        "forge_flux_default_settings.txt",
        "user_2022.txt",
        "user_3d_300f.txt",
        "webui_default_settings.txt",
        "webui_simple_settings.txt",
    ],
)
def test_the_schedules_of_real_films_read_alike_in_both_dialects(file):
    read = set()
    for name, text in corpus(f"settings/{file}").items():
        if not isinstance(text, str) or text in read or not re.fullmatch(r"0: ?\([^\"]*", text):
            continue
        koshi, deforum = Schedule.parse(text, name), Schedule.parse(text, name, "deforum")
        frames = 501  # no key lies after the end, where deforum would drop it
        assert koshi.values(frames, seed=3) == pytest.approx(deforum.values(frames, seed=3), rel=1e-12), name
        read.add(text)
    assert len(read) > 15


CASES = [
    ("0:( 0 ), 10:( 10 )", [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10]),
    ("0:(t), 5:(0), 8:(4)", [0, 1, 2, 3, 4, 0, 4 / 3, 8 / 3, 4, 4, 4]),
    ("0:(0), 5:(t)", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
    ("0: 0: (t)", [0] * 11),
    ("0:1, 10:2", list(np.linspace(1, 2, 11))),
    ("0:(\"5\"), '10':'7'", list(np.linspace(5, 7, 11))),
    ("0:(sqrt(t-3))", [0, 0, 0, 0, *np.sqrt(np.arange(1, 8))]),
    ("0:(i)", list(range(11))),
    ("0:(t^2)", [2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8]),
    ("-1:(9), 0:(1)", [1] * 11),
    ("0:(1), -3:(9), 99:(9)", [1] * 11),
    ("0:(1), max_f*s:(9)", [1] * 11),
    ("0:(7//2*(t>4))", [0] * 5 + [3] * 6),
    ("0:(.5), 10:(+1.5)", list(np.linspace(0.5, 1.5, 11))),
    ("(0):(1)(2)", [12] * 11),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_the_quirks_of_the_web_ui(text, expected):
    assert Schedule.parse(text, dialect="deforum").values(11, seed=42) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0:(0), 10:(10)  ", [0] * 11),  # two spaces at the end hide the last key
        ("0:(0), 10:(10),", list(range(11))),
        ("rubbish 0: (3) more", None),
        ("rubbish 0: (3)", [3] * 11),
        ("0:(where(t<5,1,2))", [1] * 5 + [2] * 6),
        ("0:(0),9:(1),9:(2)", [*np.linspace(0, 2, 10), 2]),
        ("0:(1), 99:(5)", [1] * 11),
    ],
)
def test_the_quirks_of_the_notebook(text, expected):
    if expected is None:
        with pytest.raises(ScheduleError, match="expected a keyframe such as"):
            Schedule.parse(text, dialect="notebook")
    else:
        assert Schedule.parse(text, dialect="notebook").values(11) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("dialect", "text", "column", "problem"),
    [
        ("deforum", "5:(3)", 1, "Deforum needs a key for frame 0"),
        ("deforum", "", 1, "expected ':'"),
        ("deforum", "0:(1),", 6, COMMA),
        ("deforum", "1.0", 4, "expected ':'"),
        ("deforum", "0:(max(t,1))", 9, COMMA),
        ("deforum", "0:(1), 5.7:(1)", 8, "expected a whole frame, not '5.7'"),
        ("deforum", "0:(1), t:(1)", 8, "unknown variable 't', known are max_f s"),
        ("deforum", "0:(1), 1/0:(1)", 8, "the key is inf, which is no frame"),
        ("deforum", "0:", 3, "expected a number or maths"),
        ("deforum", "0: ,", 4, COMMA),
        ("deforum", "0: , 5:(1)", 4, "expected a number or maths"),
        ("deforum", "0:(-)", 3, "expected a number"),
        ("deforum", "0:(pi)", 4, "unknown variable 'pi', did you mean 'i'?"),
        ("deforum", "0:(saw(3))", 4, f"unknown function 'saw', known are {' '.join(sorted(NUMEXPR))}"),
        ("deforum", '0:("t")', 4, "expected a number or maths"),
        ("deforum", "0:(1/t)", 3, "value at frame 0 is inf (division by zero?)"),
        ("deforum", "0:(0), 4:(-1/(t-6))", 10, "value at frame 6 is -inf (division by zero?)"),
        ("deforum", "0:(0/0)", 3, "value at frame 0 is nan (0/0, or the root or logarithm of a negative number?)"),
        ("deforum", "0:(1) @ ease", 7, "expected an operator or the end"),
        ("notebook", "", 1, "expected a keyframe such as 0:(1.0)"),
        ("notebook", "0: 5", 1, "expected a keyframe such as 0:(1.0)"),
        ("notebook", "0:( 0 )", 4, "expected maths without a space before it"),
        ("notebook", "0:()", 4, "expected a number or maths"),
        ("notebook", "0:(max_f)", 4, "unknown variable 'max_f', known are i t"),
        ("notebook", "3:(t)", 1, "Deforum needs a key for frame 0"),
        ("notebook", "0:(maximum(abs(t),1))", 17, "expected ',' or ')'"),
    ],
)  # fmt: skip
def test_where_deforum_crashed_the_error_says_where(dialect, text, column, problem):
    with pytest.raises(ScheduleError) as caught:
        Schedule.parse(text, "zoom", dialect).values(11)
    said = caught.value
    assert (said.problem, said.column, said.text, said.name) == (problem, column, text, "zoom")


@pytest.mark.parametrize("dialect", COLUMNS)
@pytest.mark.parametrize("text", ["0:(0), 10:(10)  ", "0:(t^2)", " 0:(1), 5:(t)", "0:(1), 0:(2)"])
def test_text_and_back_keeps_the_dialect(text, dialect):
    schedule = Schedule.parse(text, dialect=dialect)
    assert str(schedule) == f"{text} @ {dialect}"
    for given in ("koshi", "deforum", "notebook"):
        again = Schedule.parse(str(schedule), dialect=given)
        assert again == schedule
        assert again.values(11).tolist() == schedule.values(11).tolist()


def test_easing_is_not_deforums():
    with pytest.raises(ScheduleError, match="zoom: the deforum dialect knows no easing, leave 'ease' out"):
        Schedule.parse("0:(1)", "zoom", "deforum", easing="ease")

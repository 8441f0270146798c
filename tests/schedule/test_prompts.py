"""Prompts over time, and the blends that weights make of a text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koshi_flux.errors import ScheduleError, SettingsError
from koshi_flux.schedule.prompts import PromptSchedule
from koshi_flux.shared.parameters import PromptBlend


def at(text: str, frame: int = 0, negative: str = "", frames: int = 11) -> tuple[PromptBlend, PromptBlend]:
    return PromptSchedule.parse(text, negative=negative).values(frames, seed=3)[frame]


def prompt(text: str, frame: int = 0) -> dict[str, float]:
    blend, negative = at(text, frame)
    assert negative == (("", 1.0),)
    return {text: round(weight, 12) for text, weight in blend}


def texts(schedule: PromptSchedule, frames: int = 11) -> list[str]:
    """Prompts that are one text each."""
    found = []
    for ((text, weight),), _ in schedule.values(frames, seed=3):
        assert weight == 1
        found.append(text)
    return found


def error(prompts: str | dict[str | int, str], frames: int = 11) -> ScheduleError:
    with pytest.raises(ScheduleError) as caught:
        PromptSchedule.parse(prompts).values(frames)
    return caught.value


NESTED = r"this weight has no '(' of its own: weights do not nest, and other parentheses are \( and \)"


def test_one_text_is_for_the_whole_film():
    assert PromptSchedule.parse("a cat").values(3) == [((("a cat", 1.0),), (("", 1.0),))] * 3


def test_prompts_hold_to_the_next_key_and_before_the_first():
    schedule = PromptSchedule.parse({"max_f-1": "c", 3: "a", "6": "b", "99": "never"})
    assert texts(schedule) == ["a"] * 6 + ["b"] * 3 + ["c"] * 2


def test_keys_are_maths_of_the_film():
    schedule = PromptSchedule.parse({"0": "a", "max_f/3": "b", " (s*2) ": "c", "60/bpm*fps*0.75": "d"})
    assert texts(schedule) == ["a"] * 3 + ["b"] * 3 + ["c"] * 3 + ["d"] * 2


def test_an_exhausted_film_ends_where_it_ends():
    assert texts(PromptSchedule.parse({0: "a", 5: "b", 20: "c"}), frames=4) == ["a"] * 4


def test_linear_blends_go_from_key_to_key():
    schedule = PromptSchedule.parse({2: "a --neg x", 6: "b --neg x", 16: "a"}, blend="linear")
    values = schedule.values(12)
    assert values[0] == values[2] == ((("a", 1.0),), (("x", 1.0),))
    assert values[3] == ((("a", 0.75), ("b", 0.25)), (("x", 1.0),))
    assert values[6] == ((("b", 1.0),), (("x", 1.0),))
    prompt, negative = values[11]
    assert dict(prompt) == pytest.approx({"a": 0.5, "b": 0.5})
    assert dict(negative) == pytest.approx({"x": 0.5, "": 0.5})


def test_eased_blends_are_smoothstep():
    values = PromptSchedule.parse({0: "a", 4: "b"}, blend="ease").values(5)
    assert [dict(prompt).get("b", 0.0) for prompt, _ in values] == [0, 0.15625, 0.5, 0.84375, 1]


def test_a_blend_of_the_same_text_is_the_text():
    assert texts(PromptSchedule.parse({0: "a", 9: "a"}, blend="linear")) == ["a"] * 11


def test_negatives_are_split_off_and_joined():
    assert at("a --neg b, c", negative="d") == ((("a", 1.0),), (("b, c, d", 1.0),))
    assert at("a", negative="d")[1] == (("d", 1.0),)
    assert at("a --neg b")[1] == (("b", 1.0),)
    assert at("a -- neg b")[1] == (("b", 1.0),)
    assert at("--neg b") == ((("", 1.0),), (("b", 1.0),))
    assert at("well--neg, --negative --nega") == ((("well--neg, --negative --nega", 1.0),), (("", 1.0),))
    prompt, negative = at("(a:1.5) b --neg c:1 d:3", negative="(e:.5) f")
    assert dict(prompt) == pytest.approx({"a b": 1.5, "b": -0.5})
    assert dict(negative) == pytest.approx({"c, e f": 0.125, "c, f": 0.125, "d, e f": 0.375, "d, f": 0.375})


@pytest.mark.parametrize(
    ("text", "blend"),
    [
        ("A:0.5 B:1.5", {"A": 0.25, "B": 0.75}),
        ("A:1 B:1 C:2", {"A": 0.25, "B": 0.25, "C": 0.5}),
        ("red cat:0.5, blue dog:.5", {"red cat": 0.5, "blue dog": 0.5}),
        ("A:3 B", {"A": 0.75, "B": 0.25}),
        ("A:1 A:1 B:2", {"A": 0.5, "B": 0.5}),
        ("A:0 B:2", {"B": 1.0}),
        ("only:0.3", {"only": 1.0}),
        ("a (red:1.3) car", {"a red car": 1.3, "a car": -0.3}),
        ("a (red:0.6) car", {"a red car": 0.6, "a car": 0.4}),
        ("a (red:0) car", {"a car": 1.0}),
        ("a (red:1) car", {"a red car": 1.0}),
        ("a (red:-1) car", {"a red car": -1.0, "a car": 2.0}),
        ("(big:1.2) (red:1.5) car", {"big red car": 1.7, "red car": -0.2, "big car": -0.5}),
        ("cat, (best quality:1.5), forest", {"cat, best quality, forest": 1.5, "cat, forest": -0.5}),
        ("(best quality:1.5), cat", {"best quality, cat": 1.5, "cat": -0.5}),
        ("cat, (best quality:1.5)", {"cat, best quality": 1.5, "cat": -0.5}),
        ("(cat:1.5)", {"cat": 1.5, "": -0.5}),
        ("( cat : 1.5 ) sat", {"cat sat": 1.5, "sat": -0.5}),
        ("(blade runner 2049:1.5)", {"blade runner 2049": 1.5, "": -0.5}),
        ("(an (old:1.5) car)", {"(an old car)": 1.5, "(an car)": -0.5}),
        ("a (red:1.5) car:1 sea:1", {"a red car": 0.75, "a car": -0.25, "sea": 0.5}),
        ("a (`b`:2) c", {"a `b` c": 2.0, "a c": -1.0}),
        ("  many \n spaces\t here ", {"many spaces here": 1.0}),
        ("", {"": 1.0}),
        ("a (red:`1+s`) car", {"a red car": 4.0, "a car": -3.0}),
        ("x:`1` y:`max(2, 3)`", {"x": 0.25, "y": 0.75}),
        ("year 2049:`1` y:`1`", {"year 2049": 0.5, "y": 0.5}),
    ],
)
def test_weights(text, blend):
    assert prompt(text) == pytest.approx(blend)


def test_weights_move_with_the_frame():
    assert prompt("(cat:`t/10`) sat", 5) == pytest.approx({"cat sat": 0.5, "sat": 0.5})
    assert prompt("a:`10-t` b:`t`", 3) == pytest.approx({"a": 0.7, "b": 0.3})
    assert prompt("a:`10-t` b:`t`", 10) == {"b": 1.0}
    beat, _ = PromptSchedule.parse("(cat:`beat`) sat").values(11, fps=10, bpm=60)[5]
    assert dict(beat) == pytest.approx({"cat sat": 0.5, "sat": 0.5})


@pytest.mark.parametrize(
    "text",
    [
        "ratio 16:9", "at 12:30", "at 12:30, noon", "1:1", "scale 1:2.5", "style: oil painting", "style:oil",
        "https://x.org/a:b", "http://localhost:8080 page", "iso:800", "f:11.5", "smile :)", "sad :(", "cat :3", ":0.5",
        "a::2 b", "a:",
        "a:b:c", "(an aside) here", "(16:9)", "(at 12:30)", "(note: 5)", "((really))", "a:0.5.", "v:1.2.3", "time:5pm",
        "a:1e3", "(unclosed", "closed)", "(a:)", "say `this`", "price:$5", "x:-", "x:+ y",
    ],
)  # fmt: skip
def test_ordinary_text_is_not_weighted(text):
    assert prompt(text) == {text: 1.0}


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (r"a\:0.5 b", "a:0.5 b"),
        (r"\(a:0.5\)", "(a:0.5)"),
        (r"miku \(vocaloid\) (red:1)", "miku (vocaloid) red"),
        (r"back\slash \o/", r"back\slash \o/"),
        (r"a:\`5\` b", "a:`5` b"),
    ],
)
def test_a_backslash_makes_plain_text(text, plain):
    assert prompt(text) == {plain: 1.0}


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("a --neg b --neg c", 11, "a second '--neg', expected one"),
        ("a:-1 b:2", 3, "the weight at frame 0 is negative: write what you do not want after --neg"),
        ("a:`t-1` b:2", 4, "the weight at frame 0 is negative: write what you do not want after --neg"),
        ("a:0 b:0", 3, "the weight at frame 0 leaves nothing: all weights are 0"),
        ("a:`abs(5-t)` b:0", 4, "the weight at frame 5 leaves nothing: all weights are 0"),
        (
            "a (b:`1/t`) c",
            7,
            "the weight at frame 0 is no number (division by zero, or the root of a negative number?)",
        ),
        ("a (b:`1e7`) c", 7, "the weight at frame 0 is more than 1e+06"),
        ("a (b:``) c", 7, "expected a number or maths"),
        ("a (b:`sinn(t)`) c", 7, "unknown function 'sinn', did you mean 'sin'?"),
        ("a (b:`t t`) c", 9, "expected an operator or the end"),
        ("a (b:`(t`) c", 9, "expected ')'"),
        ("((a:1.2) b:1.3)", 11, None),
        ("(a (b) c:1.2)", 9, None),
        ("a:0.5) b", 2, None),
        ("a (b:`1`) --neg (c:`t^2`)", 22, "'^' is xor in Deforum and a power elsewhere: write ** for a power"),
    ],
)
def test_errors_name_the_prompt_and_the_place(text, column, problem):
    said = error({"4-4": text})
    assert (said.column, said.problem) == (column, problem or NESTED)
    assert (said.text, said.name) == (text, "prompts['4-4']")


@pytest.mark.parametrize(
    ("prompts", "name", "text", "column", "problem"),
    [
        ({}, "prompts", None, None, "expected at least one prompt, such as {0: 'a forest'}"),
        ({"": "a"}, "prompts['']", "", 1, "expected a number or maths"),
        (
            {"soon": "a"},
            "prompts['soon']",
            "soon",
            1,
            "unknown variable 'soon', known are beat bpm e fps max_f pi s sec t",
        ),
        ({"1, 2": "a"}, "prompts['1, 2']", "1, 2", 2, "expected an operator or the end"),
        ({"t": "a"}, "prompts['t']", "t", 1, "a key stands still, it cannot use 't'"),
        ({-1: "a"}, "prompts['-1']", "-1", 1, "the key is frame -1, but frames count from 0"),
        ({"1.5": "a"}, "prompts['1.5']", "1.5", 1, "frame 1.5 is not whole, write 1 or 2"),
        ({0: "a", "10": "b", "max_f": "c"}, "prompts['max_f']", "max_f", 1, "two keys for frame 10, '10' and 'max_f'"),
        ({0: "a", "0": "b"}, "prompts['0']", "0", 1, "two keys for frame 0, '0' and '0'"),
        ({0: "a" * 20_001}, "prompts['0']", None, None, "20001 characters are too many, at most 20000 are read"),
    ],
)
def test_errors_name_the_key(prompts, name, text, column, problem):
    said = error(prompts)
    assert (said.name, said.text, said.column, said.problem) == (name, text, column, problem)


def test_the_films_negative_is_all_negative():
    with pytest.raises(
        ScheduleError, match="negative_prompt: '--neg' has no place here, all of it is negative at column 3"
    ):
        PromptSchedule.parse("a", negative="b --neg c")
    with pytest.raises(ScheduleError, match="negative_prompt: unknown variable 'q'"):
        PromptSchedule.parse("a", negative="(b:`q`)")


def test_blends_are_named():
    with pytest.raises(SettingsError, match="unknown prompt blend 'fade', known are hold, linear, ease"):
        PromptSchedule.parse("a", blend="fade")


def test_all_texts_of_a_film():
    schedule = PromptSchedule.parse({0: "a (b:1.5)", 5: "c --neg d", 50: "never"}, negative="n")
    assert schedule.texts(11) == (("a b", "a", "c"), ("n", "d, n"))
    assert PromptSchedule.parse({0: "a", 5: "b"}, blend="linear").texts(11) == (("a", "b"), ("",))


WORDS = st.text("ab1:.,()`\\- \n", max_size=25)


@given(
    st.dictionaries(st.integers(0, 12), WORDS, min_size=1, max_size=4),
    st.sampled_from(["hold", "linear", "ease"]),
    WORDS,
)
@settings(max_examples=100, deadline=None)
def test_weights_sum_to_one_whatever_is_typed(prompts, blend, negative):
    try:
        values = PromptSchedule.parse(prompts, blend, negative=negative).values(11)
    except ScheduleError:
        return
    assert len(values) == 11
    for pair in values:
        for side in pair:
            assert sum(weight for _, weight in side) == pytest.approx(1)
            assert len({text for text, _ in side}) == len(side)


@given(st.text("abc ,", max_size=20))
@settings(max_examples=50, deadline=None)
def test_words_without_weights_are_the_prompt(text):
    assert prompt(text) == {" ".join(text.split()): 1.0}

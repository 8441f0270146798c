"""Mask expressions: Deforum's precedence, columns of what is wrong, files, and which one holds at a frame."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.errors import KoshiError, ScheduleError, SettingsError
from koshi_flux.schedule.expression import Scope
from koshi_flux.schedule.masks import (
    MAX_NESTING,
    MAX_TEXT,
    MaskExpression,
    beside,
    files,
    leaves,
    mask_values,
    read_masks,
)

SETS = {"{video_mask}": {1, 2, 3}, "{mask}": {2, 3, 4}, "{alpha}": {3, 4, 5}, "{everywhere}": set(range(8))}


def meant(text: str) -> set[int]:
    """The expression of sets."""
    stack: list[set[int]] = []
    for step in MaskExpression.parse(text).steps:
        if step in SETS:
            stack.append(SETS[step])
        elif step == "!":
            stack.append(SETS["{everywhere}"] - stack.pop())
        else:
            right, left = stack.pop(), stack.pop()
            stack.append({"&": left & right, "|": left | right, "^": left ^ right, "\\": left - right}[step])
    assert len(stack) == 1
    return stack[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{video_mask}", {1, 2, 3}),
        ("{ Video_Mask }", {1, 2, 3}),
        ("{video_mask}&{mask}", {2, 3}),
        ("{video_mask} | {mask}", {1, 2, 3, 4}),
        ("{video_mask} ^ {mask}", {1, 4}),
        (r"{video_mask} \ {mask}", {1}),
        ("!{mask}", {0, 1, 5, 6, 7}),
        ("!!{mask}", {2, 3, 4}),
        ("!{video_mask} & {mask}", {4}),
        ("!({video_mask} & {mask})", {0, 1, 4, 5, 6, 7}),
        ("{video_mask} | {mask} & {alpha}", {1, 2, 3, 4}),
        ("({video_mask} | {mask}) & {alpha}", {3, 4}),
        ("{video_mask} ^ {mask} | {alpha}", {1, 4, 5}),
        ("({video_mask} ^ {mask}) | {alpha}", {1, 3, 4, 5}),
        (r"{everywhere} \ {mask} ^ {alpha}", {0, 1, 3, 4, 6, 7}),
        (r"({everywhere} \ {mask}) ^ {alpha}", {0, 1, 3, 4, 6, 7}),
        (r"{video_mask} \ {mask} \ {alpha}", {1}),
        (r"{video_mask} \ ({mask} \ {alpha})", {1, 3}),
    ],
)
def test_expressions_mean_what_deforums_do(text, expected):
    assert meant(text) == expected


def test_not_then_and_then_or_then_xor_then_without():
    steps = MaskExpression.parse(r"{mask} \ {mask} ^ {mask} | {mask} & !{mask}").steps
    assert "".join(step if len(step) == 1 else "m" for step in steps) == r"mmmmm!&|^" + "\\"


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("sky.png", "sky.png"),
        (" masks/my sky (2).png ", "masks/my sky (2).png"),
        (r"C:\masks\sky & sea.png", r"C:\masks\sky & sea.png"),
        ("[sky.png]", "sky.png"),
        (r"[ C:\masks\a {1}.png ]", r"C:\masks\a {1}.png"),
        ("['a]b.png']", "a]b.png"),
        ('[ "\'tis.png" ]', "'tis.png"),
        ("[it's.png]", "it's.png"),
    ],
)
def test_files_in_brackets_or_alone(text, file):
    expression = MaskExpression.parse(text)
    assert expression.steps == (f"[{file}]",)
    assert MaskExpression.parse(str(expression)) == expression


masks = st.recursive(
    st.sampled_from([*SETS, "[a.png]", "[b c.png]", "['d]e.png']"]),
    lambda inner: st.one_of(
        inner.map("!({})".format),
        inner.map(" !{}".format),
        st.builds("({}){}({})".format, inner, st.sampled_from("&|^\\"), inner),
        st.builds("{} {} {}".format, inner, st.sampled_from("&|^\\"), inner),
    ),
    max_leaves=8,
)


@given(text=masks)
def test_what_is_written_reads_back_as_the_same(text):
    expression = MaskExpression.parse(text)
    assert MaskExpression.parse(str(expression)) == expression


def test_parentheses_are_written_where_they_matter():
    assert str(MaskExpression.parse("(({mask})&(!{alpha}))|({mask})")) == "{mask} & !{alpha} | {mask}"
    assert str(MaskExpression.parse("!({mask}|{alpha})&{mask}")) == "!({mask} | {alpha}) & {mask}"


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("", 1, "expected a mask such as {video_mask} or [file.png]"),
        ("{mask} & ", 10, "expected a mask such as {video_mask} or [file.png]"),
        ("{mask} && {alpha}", 9, "expected a mask such as {video_mask} or [file.png]"),
        ("& {mask}", 1, "expected a mask such as {video_mask} or [file.png]"),
        ("()", 2, "expected a mask such as {video_mask} or [file.png]"),
        (")", 1, "expected a mask such as {video_mask} or [file.png]"),
        ("{mask} {alpha}", 8, r"expected & | ^ \ or the end"),
        ("{mask})", 7, r"expected & | ^ \ or the end"),
        ("({mask}", 8, r"expected & | ^ \ or ')'"),
        ("({mask} {alpha})", 9, r"expected & | ^ \ or ')'"),
        ("!{vidoe_mask}", 2, "unknown mask {vidoe_mask}, did you mean {video_mask}?"),
        ("{sky}", 1, "unknown mask {sky}, known are {video_mask} {mask} {alpha} {everywhere}"),
        ("{mask} & <the sky>", 10, "<the sky> needs CLIPSeg, which is not part of koshi-flux: paint that mask"),
        ("<sky>", 1, "<sky> needs CLIPSeg"),
        ("{mask", 1, "'{' begins no mask, write {video_mask} or [file.png]"),
        ("{mask} | [sky.png", 10, "'[' begins no mask, write {video_mask} or [file.png]"),
        ("[]", 1, "'[' begins no mask, write {video_mask} or [file.png]"),
        ("video_mask", 1, "the names of masks stand in braces: write {video_mask}"),
        ("{mask} & Alpha", 10, "the names of masks stand in braces: write {alpha}"),
        ("{mask} and {alpha}", 8, "'and' is not understood, write &"),
        ("{mask} - {alpha}", 8, r"'-' is not understood, write " + "\\"),
        (r"{mask} \ sky.png", 10, "expected no 'sky.png'; if it is a file, write [sky.png]"),
        ("!sky.png", 2, "expected no 'sky.png'; if it is a file, write [sky.png]"),
        ("{mask} ? {alpha}", 8, r"expected & | ^ \ or the end"),
        ("!" * MAX_NESTING + "!{mask}", MAX_NESTING + 1, "nested more than 50 deep"),
        ("(" * MAX_NESTING + "({mask}", MAX_NESTING + 1, "nested more than 50 deep"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_column(text, column, problem):
    with pytest.raises(ScheduleError) as told:
        MaskExpression.parse(text, "noise_mask")
    assert (told.value.column, told.value.name) == (column, "noise_mask")
    assert told.value.problem.startswith(problem)


def test_texts_without_end_are_refused():
    with pytest.raises(ScheduleError, match="are too many, at most"):
        MaskExpression.parse("!{mask}" * MAX_TEXT)


@given(
    text=st.lists(st.sampled_from([*SETS, *"!&|^\\()[]{}<>'\" ,:", "a.png", "0", "max_f"]), max_size=12).map("".join)
)
def test_whatever_is_typed_is_read_or_refused(text):
    try:
        table = read_masks(text)
        expressions = mask_values(table, Scope(5))
    except KoshiError:
        return
    assert len(expressions) == 5
    assert read_masks(table) == table


def test_one_expression_holds_for_the_whole_film():
    table = read_masks(" {video_mask}&![sky.png]")
    assert table == {"0": "{video_mask} & ![sky.png]"}
    assert mask_values(table, Scope(3)) == ["{video_mask} & ![sky.png]"] * 3


def test_no_mask():
    assert read_masks("  ") == read_masks({}) == {}
    assert mask_values({}, Scope(2)) == ["", ""]
    assert mask_values(read_masks({"0": "", 1: "a.png"}), Scope(3)) == ["", "[a.png]", "[a.png]"]


def test_masks_hold_from_key_to_key_in_any_order_and_keys_may_be_maths():
    table = read_masks({"max_f/2": "[b.png]", 1: "[a.png]"})
    assert mask_values(table, Scope(6)) == ["[a.png]"] * 2 + ["[b.png]"] * 4


@pytest.mark.parametrize("dialect", ["koshi", "deforum"])
def test_deforums_schedules_of_masks(dialect):
    table = read_masks('0: ("{video_mask}"), "max_f-1": ("!{everywhere}")', dialect=dialect)
    assert table == {"0": "{video_mask}", "max_f-1": "!{everywhere}"}
    assert mask_values(table, Scope(4)) == ["{video_mask}"] * 2 + ["!{everywhere}"] * 2


def test_parentheses_in_schedules_count_unless_read_deforums_way():
    text = '0: ("({mask} | {alpha}) & {video_mask}")'
    assert read_masks(text) == {"0": "({mask} | {alpha}) & {video_mask}"}
    assert read_masks(text, dialect="deforum") == {"0": "{mask} | {alpha} & {video_mask}"}


def test_what_the_masks_of_a_film_are_made_of():
    table = read_masks({"0": "{video_mask} & [a.png]", "5": "", "9": "[b.png] | [a.png]", "12": "{alpha}"})
    assert leaves(table) == ("{video_mask}", "[a.png]", "[b.png]", "{alpha}")
    assert files(table) == ("a.png", "b.png")


def test_files_are_found_beside_the_film_file(tmp_path):
    folder = tmp_path / "a]b"
    folder.mkdir()
    (folder / "sky.png").touch()
    placed = beside({"0": "{mask} & [sky.png]", "3": "[sea.png]", "4": ""}, folder)
    assert files(placed) == (str(folder / "sky.png"), "sea.png")
    assert placed["4"] == ""
    assert read_masks(placed) == placed


@pytest.mark.parametrize(
    ("given", "error", "expected"),
    [
        (7, SettingsError, "noise_mask: expected masks such as"),
        ({"0": 5}, SettingsError, "noise_mask: at frame 0 stands 5"),
        ({"-1": "a.png"}, ScheduleError, "frames count from 0"),
        ({"x": "a.png"}, ScheduleError, "unknown variable 'x'"),
        ({"0": "a.png", "0.0": "b.png"}, ScheduleError, "two keys for frame 0"),
        ({"60": "{mask"}, ScheduleError, r"noise_mask\['60'\]: '{' begins no mask"),
        ("0: ({mask}) 5: ({mask})", ScheduleError, "noise_mask: expected ','"),
    ],
)
def test_what_a_table_of_masks_cannot_be(given, error, expected):
    with pytest.raises(error, match=expected):
        read_masks(given, "noise_mask")


def test_keys_that_meet_in_a_film_are_told():
    with pytest.raises(ScheduleError, match="two keys for frame 4"):
        mask_values(read_masks({"max_f": "a.png", "4": "b.png"}), Scope(5))

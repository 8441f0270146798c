"""Text that people call JSON: what is forgiven, and where a message says that it broke."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.importing.text import MAX_DEPTH, Repeat, read_file, read_json

NUMBERS = st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_json_is_read_as_json(value):
    assert read_json(json.dumps({"held": value})).content == {"held": value}


@given(VALUES)
def test_the_forgiving_reader_agrees_with_the_strict_one(value):
    text = json.dumps({"held": value})
    assert read_json(f"{text[:-1]},}} // at the end").content == {"held": value}


@given(VALUES)
def test_what_python_prints_is_read(value):
    assert read_json(repr({"held": value, 7: (1, 2)})).content == {"held": value, "7": [1, 2]}


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ('\ufeff{"a": 1}', {"a": 1}),
        ('{"a": [1, 2,], "b": {"c": 3,},}', {"a": [1, 2], "b": {"c": 3}}),
        ('// film\n{"a": 1, # one\n /* two\n lines */ "b": "// kept # kept"}', {"a": 1, "b": "// kept # kept"}),
        ("{'a': True, 'b': None, 'c': False, \"d\": 'it\\'s'}", {"a": True, "b": None, "c": False, "d": "it's"}),
        ("{0: 'a', -1.5: \"b\", key: 1}", {"0": "a", "-1.5": "b", "key": 1}),
        ('{"a": """two\n"lines" here"""}', {"a": 'two\n"lines" here'}),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}),
        (r'{"a": "C:\Users\me\d.png", "b": "\u00e9\x41"}', {"a": r"C:\Users\me\d.png", "b": "éA"}),
        (r'{"a": "\ud83d\udc30 \ud83d"}', {"a": "\N{RABBIT FACE} \N{REPLACEMENT CHARACTER}"}),
        ('{"a": "one \\\ntwo",}', {"a": "one two"}),
        ("[1_000, +2, .5, 1e3, 7.]", [1000, 2, 0.5, 1000.0, 7.0]),
        ('{"a": "",}', {"a": ""}),
        ("{'a': ''}", {"a": ""}),
    ],
)
def test_what_is_forgiven(text, content):
    assert read_json(text).content == content


@pytest.mark.parametrize(
    ("text", "said", "line", "column"),
    [
        ('{"a": 1,\n "b": [1, 2', "the text ends here, but the '[' of line 2, column 7 is still open", 2, 12),
        ('{"a": 1', "the text ends here, but the '{' of line 1, column 1 is still open", 1, 8),
        ('{"a": "open', 'the text ends here, but the " of line 1, column 7 is still open', 1, 12),
        ('{"a":', "the text ends here, expected a value", 1, 6),
        ('{"a"', "the text ends here, expected ':'", 1, 5),
        ('{"a" 1}', "expected ':' after the key 'a'", 1, 6),
        ('{"a": 1\n "b": 2}', "expected ',' or '}'", 2, 2),
        ('{"a": 1} more', "expected nothing after the last bracket", 1, 10),
        ('{"a":\n NaN}', "NaN is no number that a film can have: write the number that is meant", 2, 2),
        ('{"a": -Infinity}', "-Infinity is no number that a film can have: write the number that is meant", 1, 7),
        ('{"a": 1e999}', "this number is too large", 1, 7),
        ('{"a": ' + "9" * 5000 + "}", "this number is too large", 1, 7),
        ('{"a": forest}', "expected a value, not 'forest': texts stand in quotes", 1, 7),
        ('{"a": ?}', "expected a value", 1, 7),
        ("{?: 1}", "expected a key in quotes", 1, 2),
        ('{"a": 1,, "b": 2}', "expected a key in quotes", 1, 9),
        ("[1}", "expected ',' or ']'", 1, 3),
        ("/* open", "expected a value", 1, 1),
    ],
)
def test_where_it_broke(text, said, line, column):
    with pytest.raises(SettingsError) as caught:
        read_json(text, "film.txt")
    message, quoted, caret = str(caught.value).split("\n")
    assert message == f"film.txt: {said} at line {line}, column {column}"
    assert len(caret.rstrip("^")) - 4 <= len(quoted)


def test_the_caret_stands_below_the_fault():
    with pytest.raises(SettingsError) as caught:
        read_json('{"zoom": 0:(1)}')
    _, quoted, caret = str(caught.value).split("\n")
    assert quoted[caret.index("^")] == ":"


@pytest.mark.parametrize("bracket", ["[", '{"a":', "("])
def test_a_bomb_of_brackets_is_refused_soon(bracket):
    started = time.process_time()
    with pytest.raises(
        SettingsError, match=f"more than {MAX_DEPTH} deep at line 1, column {MAX_DEPTH * len(bracket) + 1}"
    ):
        read_json(bracket * 500_000)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "text", ["[" + "9" * 300_000 + "x]", "[" + " " * 300_000 + "x]", "/*" * 100_000, '["' + "\\a" * 300_000]
)
def test_long_runs_are_refused_soon(text):
    started = time.process_time()
    with pytest.raises(SettingsError, match="line 1, column"):
        read_json(text)
    assert time.process_time() - started < 5


def test_brackets_may_be_as_deep_as_the_limit():
    assert read_json("[" * MAX_DEPTH + "]" * MAX_DEPTH + " # odd").content


@pytest.mark.parametrize("end", ["}", ",}"])  # the strict reader, and the forgiving one
def test_of_a_key_that_is_given_twice_the_last_counts_and_the_first_is_told(end):
    read = read_json('{"a": 1, "p": {"0": "x", "0": "y"}, "a": 2' + end)
    assert read.content == {"a": 2, "p": {"0": "y"}}
    assert read.repeats == (Repeat("0", "x"), Repeat("a", 1))


@pytest.mark.parametrize("broken", ["", ",}"])
def test_ten_megabytes_are_read_soon(broken):
    started = time.process_time()
    words = ("many words without a break " * 20 + 'and "quotes" \\ \n') * 20_000
    text = json.dumps({"prompts": {"0": words}})
    assert read_json(text[:-1] + broken if broken else text).content["prompts"]["0"] == words
    assert time.process_time() - started < 10


def test_files_with_byte_order_marks(tmp_path):
    file = tmp_path / "film.txt"
    for coding in ("utf-8", "utf-8-sig", "utf-16"):
        file.write_text("{'Höhe': 1}", encoding=coding)
        assert read_json(read_file(file)).content == {"Höhe": 1}


def test_files_that_are_none(tmp_path):
    with pytest.raises(SettingsError, match=r"no file at .*gone"):
        read_file(tmp_path / "gone")
    with pytest.raises(SettingsError, match="cannot be read"):
        read_file(tmp_path)
    (tmp_path / "picture").write_bytes(b"{\n\x89PNG\xff")
    with pytest.raises(SettingsError, match="is no text in UTF-8: byte 0x89 at line 2, column 1"):
        read_file(tmp_path / "picture")


def test_files_that_are_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr("koshi_flux.schedule.importing.text.MAX_BYTES", 2_000_000)
    (tmp_path / "film").write_bytes(b" " * 2_000_001)
    with pytest.raises(SettingsError, match="more than 2 MB"):
        read_file(tmp_path / "film")
    with pytest.raises(SettingsError, match="more than 2 million characters"):
        read_json(" " * 2_000_001)

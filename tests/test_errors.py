import pytest

from koshi_flux import errors
from koshi_flux.errors import KoshiError, ScheduleError


def test_a_schedule_error_shows_where_it_broke():
    error = ScheduleError("expected ','", text="0:(1.0) 30:(1.05)", column=9, name="zoom")
    message, shown, caret = str(error).splitlines()
    assert message == "zoom: expected ',' at column 9 of '0:(1.0) 30:(1.05)'"
    assert shown[caret.index("^")] == "3"


def test_the_caret_points_right_in_a_long_text_and_past_its_end():
    text = "0:(1), " * 200
    for column in (1, 700, len(text) + 1):
        message, shown, caret = str(ScheduleError("oops", text=text, column=column)).split("\n")
        assert message == f"schedule: oops at column {column} of a text of 1,400 characters"
        assert len(shown) <= 84
        if column <= len(text):
            assert shown[caret.index("^")] == text[column - 1]


def test_line_breaks_do_not_move_the_caret():
    error = ScheduleError("oops", text="0:(1),\n5:x", column=10)
    _, shown, caret = str(error).split("\n")
    assert shown[caret.index("^")] == "x"


def test_messages_without_a_place_or_text():
    assert str(ScheduleError("is empty", text="", name="zoom")) == "zoom: is empty in ''"
    assert str(ScheduleError("is no number", name="zoom")) == "zoom: is no number"


@pytest.mark.parametrize("name", ["ScheduleError", "SettingsError", "ModelError", "OutputError", "RunError"])
def test_all_our_errors_are_one_family_and_drawn_in_the_tree(name):
    assert issubclass(getattr(errors, name), KoshiError)
    assert name in errors.__doc__

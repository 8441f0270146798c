import logging
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.weights.text import give_memory_back, say_what_was_cut, words_from


@pytest.mark.parametrize(
    ("cut", "lost"),
    [
        (0, "a fog and rain"),
        (1, "fog and rain"),  # between words
        (2, "fog and rain"),  # at the start of "fog"
        (3, "fog and rain"),  # within "fog"
        (5, "and rain"),
        (12, "rain"),
        (14, ""),  # after all words
    ],
)
def test_words_that_are_cut_in_two_count_as_lost(cut: int, lost: str):
    assert words_from("a fog and rain", cut) == lost


@given(text=st.text(alphabet="ab \n", max_size=20), cut=st.integers(0, 20))
def test_what_is_lost_is_whole_words_from_the_end_and_all_after_the_cut(text: str, cut: int):
    lost = words_from(text, cut).split()
    words = text.split()
    assert lost == words[len(words) - len(lost) :]
    assert len(lost) >= len(text[cut:].split())


def test_many_lost_words_are_shortened_to_a_line(caplog: pytest.LogCaptureFixture):
    say_what_was_cut(logging.getLogger("koshi_flux.any"), "dragon\n" * 100, 64)
    (record,) = caplog.records
    words = " ".join(["dragon"] * 28)
    assert record.getMessage() == f"a prompt is longer than the 64 tokens that this model reads; cut off: {words} ..."


def test_memory_is_given_back_even_if_parts_point_in_a_circle():
    part = torch.nn.Linear(1, 1)
    part.__dict__["itself"] = part
    dropped = weakref.ref(part)
    del part
    assert dropped() is not None
    give_memory_back([dropped], torch.device("cpu"))
    assert dropped() is None

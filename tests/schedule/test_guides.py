"""Guided images: which one guides a frame, and how much of it is blended in."""

import math

import pytest

from koshi_flux.errors import ScheduleError, SettingsError
from koshi_flux.schedule.expression import Scope
from koshi_flux.schedule.guides import HOLD, Guide, Guides, beside, deforum_blend, files, read_guides

FILM = Scope(101)


def test_a_guide_holds_to_the_next_key_and_knows_how_far_that_is():
    guides = Guides.of(read_guides({"0": "a.png", "60": "b.png"}), FILM)
    assert guides.at(0) == Guide("a.png", since=0, until=60)
    assert guides.at(59) == Guide("a.png", since=59, until=1)
    assert guides.at(60) == Guide("b.png", since=0, until=None)
    assert guides.at(100) == Guide("b.png", since=40, until=None)


def test_keys_come_in_any_order_and_may_be_maths():
    guides = Guides.of(read_guides({"max_f-10": "c.png", 7: "a.png", "max_f/2": "b.png"}), FILM)
    assert guides.frames == (7, 50, 90)
    assert guides.pictures == ("a.png", "b.png", "c.png")


def test_the_first_guide_also_guides_before_its_key_without_a_tween():
    early = Guides.of(read_guides({20: "a.png"}), FILM).at(15)
    assert early == Guide("a.png", since=-5, until=None)
    assert early.blend() == HOLD


def test_a_key_beyond_the_film_is_never_reached():
    guides = Guides.of(read_guides({0: "a.png", 500: "b.png"}), FILM)
    assert guides.at(100) == Guide("a.png", since=100, until=400)


def test_one_picture_guides_the_whole_film_and_none_is_none():
    assert Guides.of(read_guides(" a.png "), FILM).at(33) == Guide("a.png", since=33, until=None)
    assert Guides.of(read_guides(""), FILM).at(33) is None
    assert read_guides({}) == {}


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (0, 0.35 - 0.25),
        (5, 0.35 - 0.25 * math.cos(0.5)),
        (10, 0.35 - 0.25 * math.cos(1)),
        (20, 0.35 - 0.25 * math.cos(2)),
        (21, 0.07),
        (-1, 0.07),
    ],
)
def test_the_blend_of_deforums_defaults(since, expected):
    assert Guide("a.png", since, None).blend() == pytest.approx(expected)


def test_the_blend_counts_from_the_key_where_deforum_counts_from_frame_0():
    guides = Guides.of(read_guides({0: "a.png", 50: "b.png", 90: "c.png"}), FILM)
    ours = [guides.at(frame).blend() for frame in range(90, 101)]
    assert ours == pytest.approx([0.35 - 0.25 * math.cos(since / 10) for since in range(11)])
    theirs = {frame: deforum_blend(frame, distance=40) for frame in (50, 60, 61, 79, 80)}
    middle, first = 0.35 - 0.25 * math.cos(1), 0.35 - 0.25
    assert theirs == pytest.approx(
        {50: middle, 60: first, 61: HOLD, 79: HOLD, 80: first}
    )  # 50 % 40 is 10, 80 % 40 is 0


def test_where_keys_are_evenly_spaced_both_ways_of_counting_agree_but_for_the_end_of_the_tween():
    guides = Guides.of(read_guides({0: "a.png", 40: "b.png", 80: "c.png"}), FILM)
    differ = [frame for frame in range(80) if guides.at(frame).blend() != pytest.approx(deforum_blend(frame, 40))]
    assert differ == [20, 60]  # the tween's last frame is its first to Deforum: 20 % 20


@pytest.mark.parametrize(("frame", "distance", "tween"), [(3, 0, 20), (3, 40, 0), (39, 40, 20)])
def test_deforums_way_holds_where_deforum_would_divide_by_zero(frame, distance, tween):
    assert deforum_blend(frame, distance, tween=tween) == HOLD


def test_blends_stay_within_0_and_1():
    assert Guide("a.png", 0, None).blend(most=0.2, slope=0.9) == 0
    assert Guide("a.png", 20, None).blend(most=0.9, slope=0.9) == 1
    assert deforum_blend(0, 40, most=0.2, slope=0.9) == 0


def test_a_tween_of_no_frames_is_the_key_alone():
    assert Guide("a.png", 0, None).blend(tween=0) == pytest.approx(0.1)
    assert Guide("a.png", 1, None).blend(tween=0) == HOLD


def test_pictures_are_found_beside_the_film_file(tmp_path):
    (tmp_path / "a.png").touch()
    placed = beside({"0": "a.png", "max_f/2": "b.png", "9": "a.png"}, tmp_path)
    assert placed == {"0": str(tmp_path / "a.png"), "max_f/2": "b.png", "9": str(tmp_path / "a.png")}
    assert files(placed) == (str(tmp_path / "a.png"), "b.png")


@pytest.mark.parametrize(
    ("given", "error", "expected"),
    [
        (5, SettingsError, "guides: expected pictures such as"),
        ({"0": 5}, SettingsError, "guides: at frame 0 stands 5, expected a picture"),
        ({"8": " "}, SettingsError, "guides: at frame 8 stands ' ', expected a picture"),
        ({"-3": "a.png"}, ScheduleError, "frames count from 0"),
        ({"t": "a.png"}, ScheduleError, "a key stands still, it cannot use 't'"),
        ({"max_g": "a.png"}, ScheduleError, r"guides\['max_g'\]: unknown"),
        ({"5": "a.png", "5.0": "b.png"}, ScheduleError, "two keys for frame 5"),
    ],
)
def test_what_cannot_be_read_is_told(given, error, expected):
    with pytest.raises(error, match=expected):
        read_guides(given)


def test_keys_that_meet_in_a_film_are_told():
    with pytest.raises(ScheduleError, match="two keys for frame 100"):
        Guides.of(read_guides({"max_f": "a.png", "100": "b.png"}), FILM)

"""Deforum's cameras: 2D stays, 3D is converted so that the old look stays."""

import math
from dataclasses import replace

import numpy as np
import pytest

from koshi_flux.motion.deforum import pinhole_of_deforum
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.importing.reshaped import baked, mapped, scaled
from koshi_flux.shared.parameters import FrameParameters
from tests.schedule.importing.deforum_files import film, imported_file, said, settings_of

MOVES = ("translation_x", "translation_y", "translation_z", "rotation_3d_x", "rotation_3d_y", "rotation_3d_z")
LENS = ("fov", "aspect", "near", "far")


def assert_pinhole(animation, held, distance, frames, fov=70.0, aspect=1.0):
    """Every frame's camera is what the motion's own conversion makes of Deforum's numbers."""
    clock = {"frames": animation.frames, "seed": animation.seed}
    old = {name: Schedule.parse(held.get(name, "0:(0)"), name, "deforum").values(**clock) for name in MOVES}
    width, height = animation.size
    for frame in frames:
        deforum = FrameParameters(**{name: float(old[name][frame]) for name in MOVES}, fov=fov, aspect=aspect)
        expected = pinhole_of_deforum(deforum, height, width, distance)
        for name in (*MOVES, *LENS):
            assert animation.scheduled(name)[frame] == pytest.approx(getattr(expected, name), abs=1e-6), (name, frame)


def test_a_real_films_camera_at_its_keys():
    held = settings_of("user_3d_300f.txt")
    assert_pinhole(imported_file("user_3d_300f.txt").animation, held, 1.5, (0, 60), fov=120.0)


def test_between_keys_forward_travel_is_off_by_a_hundredth_at_most():
    held = settings_of("user_3d_300f.txt")
    travel = imported_file("user_3d_300f.txt").animation.scheduled("translation_z")
    old = Schedule.parse(held["translation_z"], "z", "deforum").values(300)
    gain = 1 / math.tan(math.radians(60)) / 1.5
    assert np.abs(travel - gain * old / (1 - old / 300)).max() < 0.01 * travel.max()


def test_maths_stays_maths():
    keys = {name: f"0:({n + 1}*sin(t/3)), 5:({n}), 9:(-2.5)" for n, name in enumerate(MOVES)}
    imported = film(animation_mode="3D", max_frames=12, W=1024, H=576, fov_schedule="0:(40)", **keys)
    assert_pinhole(imported.animation, keys, 1.5, (*range(6), 9, 10, 11), fov=40.0)
    assert imported.animation.rotation_3d_z.text.startswith("0:((6*sin(t/3))*")
    assert "cot(fov/2)" in said(imported, "rotation_3d_z").why


def test_a_lens_that_changes_is_met_frame_by_frame():
    keys = {"rotation_3d_z": "0:(5)", "translation_z": "0:(0)", "rotation_3d_y": "0:(t)"}
    imported = film(animation_mode="3D", max_frames=5, fov_schedule="0:(40), 4:(120)", **keys).animation
    gains = [1 / math.tan(math.radians(fov) / 2) / 1.5 for fov in (40, 60, 80, 100, 120)]
    assert imported.scheduled("rotation_3d_z") == pytest.approx([5 * gain for gain in gains], abs=1e-6)
    assert imported.scheduled("rotation_3d_y") == pytest.approx([t * gain for t, gain in enumerate(gains)], abs=1e-6)
    assert imported.scheduled("fov") == pytest.approx([67.380135] * 5)


def test_without_depth_everything_is_one_unit_away():
    keys = {"translation_z": "0:(10)", "rotation_3d_z": "0:(5)"}
    imported = film(animation_mode="3D", use_depth_warping=False, max_frames=3, W=512, H=512, **keys)
    assert imported.animation.depth == "plane"
    assert_pinhole(imported.animation, keys, 1.0, range(3))
    assert imported.animation.scheduled("fov")[0] == pytest.approx(90)


def test_aspects_of_deforum_divide_sideways_moves():
    keys = {"translation_x": "0:(10)", "rotation_3d_y": "0:(5)", "translation_y": "0:(4)"}
    wide = film(animation_mode="3D", max_frames=2, W=1024, H=512, aspect_ratio_schedule="0:(1.25)", **keys).animation
    assert_pinhole(wide, keys, 1.5, (1,), aspect=1.25)
    old = film(animation_mode="3D", max_frames=2, W=1024, H=512, aspect_ratio_use_old_formula=True, **keys).animation
    assert_pinhole(old, keys, 1.5, (1,), aspect=2.0)


def test_forges_depth_lies_farther_away():
    imported = film(animation_mode="3D", depth_algorithm="Depth-Anything-V2-Small", rotation_3d_z="0:(9)", max_frames=2)
    p = FrameParameters(rotation_3d_z=9.0)
    expected = replace(pinhole_of_deforum(p, 512, 512, 1.8), near=260.0, far=460.0)
    for name in ("rotation_3d_z", *LENS):
        assert imported.animation.scheduled(name)[1] == pytest.approx(getattr(expected, name), abs=1e-6), name


def test_the_notebooks_lens_is_40_degrees_where_it_does_not_say():
    imported = film(near_plane=200, animation_mode="3D", rotation_3d_z="0:(1)", max_frames=2).animation
    assert imported.scheduled("rotation_3d_z")[1] == pytest.approx(2.7474774 / 1.5, abs=1e-6)


def test_very_long_steps_are_only_multiplied():
    imported = film(animation_mode="3D", translation_z="0:(400)", max_frames=2).animation
    assert imported.scheduled("translation_z")[0] == pytest.approx(400 * 1.4281480 / 1.5, abs=1e-4)


def test_moves_of_the_other_camera_have_no_meaning():
    flat = film(animation_mode="2D", rotation_3d_z="0:(5)", angle="0:(3)", translation_x="0:(2)")
    assert flat.animation.scheduled("rotation_3d_z")[0] == 0
    assert flat.animation.scheduled("translation_x")[0] == 2
    assert said(flat, "rotation_3d_z").fate == "meaningless"
    space = film(animation_mode="3D", zoom="0:(2)", angle="0:(3)")
    assert space.animation.scheduled("zoom")[0] == 1
    assert said(space, "zoom").fate == "meaningless"
    assert flat.animation.scheduled("fov")[0] == 70
    assert said(film(animation_mode="2D", fov_schedule="0:(5)"), "fov_schedule").why == "counts only in 3D films"


def test_the_perspective_flip_counts_where_it_is_on_and_then_loses_2d_translation():
    keys = {"perspective_flip_theta": "0:(4)", "translation_x": "0:(9)"}
    off, on = film(**keys), film(enable_perspective_flip=True, **keys)
    assert off.animation.scheduled("perspective_flip_theta")[0] == 0
    assert off.animation.scheduled("translation_x")[0] == 9
    assert on.animation.scheduled("perspective_flip_theta")[0] == 4
    assert on.animation.scheduled("translation_x")[0] == 0
    assert "loses the translation" in said(on, "translation_x").why
    space = film(enable_perspective_flip=True, animation_mode="3D", **keys)
    assert space.animation.scheduled("translation_x")[0] > 0


def test_borders():
    assert film(border="wrap", padding_mode="reflection").animation.border == "wrap"
    for word, ours in {"border": "replicate", "reflection": "reflect", "zeros": "replicate"}.items():
        assert film(animation_mode="3D", border="wrap", padding_mode=word).animation.border == ours
    assert "drawn anew" in said(film(animation_mode="3D", padding_mode="zeros"), "padding_mode").why
    assert film(animation_mode="3D", sampling_mode="bilinear").animation.kernel == "bilinear"
    assert film(sampling_mode="bilinear").animation.kernel == "spline"


@pytest.mark.parametrize(
    ("word", "network"),
    [("Midas-3-Hybrid", "midas"), ("Zoe", "depth-anything"), ("AdaBins", "depth-anything"), ("Leres", "depth-anything"),
     ("Midas+AdaBins (old)", "midas"), ("Depth-Anything-V2-Small", "depth-anything")],
)  # fmt: skip
def test_depth_networks_are_those_of_the_old_film_only_where_something_is_downloaded_anyway(word, network):
    assert film(animation_mode="3D", depth_algorithm=word).animation.depth == "nano"
    assert film("snr", "flux.1-dev", animation_mode="3D", depth_algorithm=word).animation.depth == network
    assert film("snr", "flux.1-dev", depth_algorithm=word).animation.depth == "nano"


@pytest.mark.parametrize(
    ("word", "ours"),
    [("INVESTIGATION", "handheld"), ("Walk to the Store", "walk"), ("BIKE_ON_GRAVEL_2D", "vehicle"),
     ("Bike On Gravel (2D)", "vehicle"), ("None", "none")],
)  # fmt: skip
def test_shakes_of_forge(word, ours):
    imported = film(animation_mode="3D", shake_name=word, shake_intensity=2.0, shake_speed=0.5)
    assert imported.animation.shake == ours
    if ours != "none":
        assert imported.animation.shake_speed == 2
        assert imported.animation.at(0) is not None
    assert film(animation_mode="2D", shake_name=word).animation.shake == "none"


def test_scaled_schedules_keep_keys_and_dialect():
    schedule = Schedule.parse("0:(1), 'max_f':(-3.5), 4:(t**2), (5):( 2 )", "x", "deforum")
    twice = scaled(schedule, 2.0)
    assert twice.text == "0:(2), 'max_f':(-7), 4:((t**2)*2), (5):(( 2 )*2)"
    assert twice.values(9) == pytest.approx(2 * schedule.values(9))
    ours = Schedule.parse("0:(1), 8:(3) @ ease-in")
    assert scaled(ours, 3.0).values(9) == pytest.approx(3 * ours.values(9))
    notebook = Schedule.parse("0:(where(t<5,1,2)), 7: (4)", "x", "notebook")
    assert scaled(notebook, 0.5).values(9) == pytest.approx(0.5 * notebook.values(9))
    assert mapped(schedule, lambda x: 1 - x, "1-{0}").values(9) == pytest.approx(1 - schedule.values(9))


def test_baked_schedules_have_keys_where_values_bend():
    assert baked(np.array([20.0, 4, 4, 4]), "steps", "deforum").text == "0:(20), 1:(4)"
    assert baked(np.full(5, 1e-7), "x", "deforum").text == "0:(0.0000001)"
    values = np.sin(np.arange(50) / 7)
    assert baked(values, "x", "notebook").values(50) == pytest.approx(values, abs=1e-8)

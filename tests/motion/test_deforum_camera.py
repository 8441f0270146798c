"""Deforum's own numbers: where sd-webui-deforum's 3D camera carries a blob, and how near a pinhole comes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from koshi_flux.motion import move
from koshi_flux.motion.deforum import deforum_camera, deforum_distances, deforum_reads, pinhole_of_deforum
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.resample import warp
from tests.motion.blobs import blob_at, centroid

GOLDEN = Path(__file__).parents[2] / "../shared/corpus/golden/warps.json"
RAMP = "linear ramp left0..right1"
TURNS = ("rotation_3d_x", "rotation_3d_y", "rotation_3d_z")


def golden_rows(*, depth=True):
    if not GOLDEN.is_file():
        return [pytest.param(None, marks=pytest.mark.skip(f"the golden warps are not here: {GOLDEN}"))]
    rows = [row for row in json.loads(GOLDEN.read_text())["rows"] if row["mode"].startswith("3D")]
    return [row for row in rows if depth or RAMP not in row["mode"]]


def distances_of(row):
    height, width = row["H"], row["W"]
    if RAMP not in row["mode"]:
        return torch.ones(height, width)
    return deforum_distances(torch.linspace(0, 1, width).expand(height, width))


@pytest.mark.parametrize("row", golden_rows(), ids=str)
def test_a_blob_goes_where_deforum_carries_it(row):
    p = FrameParameters(**row["params"])
    grid, _ = deforum_reads(deforum_camera(p), p, distances_of(row))
    found = centroid(warp(blob_at(*row["blob"], row["H"], row["W"]), grid, "bilinear"))
    assert found == pytest.approx(row["centroid"], abs=0.1)


@pytest.mark.parametrize("row", golden_rows(depth=False), ids=str)
def test_a_pinhole_comes_near_to_it_in_films_without_depth(row):
    # what remains is of second order in the motion: it shows in turns by 5 degrees a frame only
    p = pinhole_of_deforum(FrameParameters(**row["params"]), row["H"], row["W"])
    found, _ = move(blob_at(*row["blob"], row["H"], row["W"]), p, mode="3d")
    allowed = 1.4 if max(abs(getattr(p, turn)) for turn in TURNS) > 5 else 0.5
    assert centroid(found) == pytest.approx(row["centroid"], abs=allowed)


@pytest.mark.parametrize("view", [40, 70, 110])
@pytest.mark.parametrize("size", [(128, 128), (96, 192)])
def test_the_pinhole_agrees_with_deforums_camera_in_small_moves(view, size):
    height, width = size
    travel = {"translation_x": 0.5, "translation_y": -0.4, "translation_z": 0.6}
    turn = dict(zip(TURNS, (0.1, -0.2, 0.3), strict=True))
    p = FrameParameters(**travel, **turn, fov=view)
    for distance in (1.0, 1.6):
        theirs, _ = deforum_reads(deforum_camera(p), p, torch.full(size, distance))
        ours = pinhole_of_deforum(p, height, width, distance)
        blob = blob_at(0.7 * width, 0.3 * height, height, width)
        depth = torch.full(size, (1 / distance - 0.5) / 0.5)  # of a film whose near is 200 and far 400
        found, expected = centroid(move(blob, ours, "3d", depth)[0]), centroid(warp(blob, theirs))
        moved = np.abs(np.subtract(expected, centroid(blob))).max()
        assert found == pytest.approx(expected, abs=0.05 * moved)


def test_a_turn_in_the_plane_is_multiplied_by_the_cotangent_of_half_the_fov():
    turn = FrameParameters(rotation_3d_z=2, fov=40)
    assert pinhole_of_deforum(turn, 64, 64).rotation_3d_z == pytest.approx(2 * 2.7475, abs=1e-3)
    assert pinhole_of_deforum(replace(turn, fov=90), 64, 64).rotation_3d_z == pytest.approx(2)


def test_the_distances_are_one_to_two_and_evenly_spread():
    depth = torch.rand(64, 64, generator=torch.Generator().manual_seed(0)) ** 3 * 7 - 2
    found = deforum_distances(depth)
    assert found.min() == 1
    assert found.max() < 2
    assert found.quantile(0.5) == pytest.approx(1.5, abs=0.01)
    order = depth.flatten().argsort()
    assert found.flatten()[order].diff().max() <= 0  # the greater the depth (inverse distance), the nearer


def test_a_flat_depth_is_one_away():
    assert torch.equal(deforum_distances(torch.full((4, 6), 0.3)), torch.ones(4, 6))


def test_a_deforum_camera_that_stands_still_reads_the_picture_itself():
    picture = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0))
    p = FrameParameters()
    grid, uncovered = deforum_reads(deforum_camera(p), p, torch.ones(20, 30))
    assert (warp(picture, grid) - picture).abs().max() < 1e-4
    assert not uncovered.any()


def test_what_deforums_camera_has_passed_is_a_hole():
    p = FrameParameters(translation_z=300)
    grid, uncovered = deforum_reads(deforum_camera(p), p, torch.ones(20, 30))
    assert uncovered.all()
    assert grid.isfinite().all()

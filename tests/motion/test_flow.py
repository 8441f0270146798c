import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from koshi_flux.errors import ModelError, SettingsError
from koshi_flux.motion import flow as room
from koshi_flux.motion.flow import (
    agreement,
    bend,
    between,
    blend,
    check_flow_method,
    estimate_flow,
    find_flows,
    follow,
    grid_from_flow,
    meeting,
)
from koshi_flux.shared.resample import warp
from koshi_flux.shared.transforms import about, grid_from_matrix, scale, shift, turn
from tests.motion.waves import Waves, with_square

HEIGHT, WIDTH = 144, 240
WITH_OPENCV = ["dis", "dis-fine", "farneback"]
TEXTURE, OTHER = Waves(0), Waves(1)
STILL = TEXTURE.seen(HEIGHT, WIDTH)


def level_difference(found, expected, margin=0):
    inside = slice(margin, -margin or None)
    return 255 * (found - expected).abs()[:, inside, inside]


def everywhere(x, y, height=6, width=10):
    return torch.tensor([x, y], dtype=torch.float32).expand(height, width, 2).contiguous()


def squares_at(*lefts):
    return [with_square(STILL, OTHER.seen(60, 60), left, 40) for left in lefts]


@pytest.mark.parametrize("method", WITH_OPENCV)
def test_the_flow_of_a_shifted_texture_is_its_shift(method):
    moved = TEXTURE.seen(HEIGHT, WIDTH, shift(6.5, -3.25))
    flow = estimate_flow(STILL, moved, method)[20:-20, 20:-20]
    assert (flow - torch.tensor([6.5, -3.25])).norm(dim=2).quantile(0.99) < 0.15


@pytest.mark.parametrize("method", WITH_OPENCV)
@pytest.mark.parametrize("way", [(3.3, -1.7), (20.0, 5.0)], ids=str)
def test_a_texture_moved_along_the_flow_misses_20_decibels_less(method, way):
    moved = TEXTURE.seen(HEIGHT, WIDTH, shift(*way))
    found, uncovered = follow(STILL, find_flows(STILL, moved, method).backward)
    before, after = ((picture - moved)[:, ~uncovered].square().mean() for picture in (STILL, found))
    assert 10 * torch.log10(before / after) > 20


@pytest.mark.parametrize("method", WITH_OPENCV)
def test_the_same_pictures_give_the_same_bits(method):
    moved = TEXTURE.seen(HEIGHT, WIDTH, turn(2))
    assert torch.equal(estimate_flow(STILL, moved, method), estimate_flow(STILL, moved, method))


@pytest.mark.parametrize("method", WITH_OPENCV)
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (16, 16), (16, 200)], ids=str)
def test_flows_are_found_in_pictures_of_any_size(method, size):
    flow = estimate_flow(STILL[:, : size[0], : size[1]], torch.rand(3, *size), method)
    assert flow.shape == (*size, 2)
    assert flow.isfinite().all()


@pytest.mark.parametrize("method", WITH_OPENCV)
def test_nothing_moves_between_black_pictures(method):
    black = torch.zeros(3, 48, 64)
    assert find_flows(black, black, method).forward.abs().max() < 1e-3


def test_pictures_of_two_sizes_have_no_flow():
    with pytest.raises(SettingsError, match="these are 240 x 144 and 64 x 48"):
        estimate_flow(STILL, torch.zeros(3, 48, 64))


def test_an_unknown_method_names_those_that_are_known():
    with pytest.raises(SettingsError, match="unknown flow method 'lucas': known are dis, dis-fine, farneback, raft"):
        estimate_flow(STILL, STILL, "lucas")


def test_no_flow_is_the_grid_that_moves_nothing():
    assert torch.allclose(grid_from_flow(torch.zeros(6, 10, 2)), grid_from_matrix(np.eye(3), 6, 10), atol=1e-6)


@given(x=st.floats(-20, 20), y=st.floats(-20, 20))
def test_a_flow_that_is_the_same_everywhere_is_a_shift_the_other_way(x, y):
    assert torch.allclose(grid_from_flow(everywhere(x, y)), grid_from_matrix(shift(-x, -y), 6, 10), atol=1e-5)


def test_following_whole_pixels_moves_whole_pixels_and_tells_what_came_from_outside():
    picture = torch.rand(3, 6, 10)
    found, uncovered = follow(picture, everywhere(-3, 1), kernel="bilinear")  # each pixel came from 3 left, 1 below
    assert torch.allclose(found[:, :5, 3:], picture[:, 1:, :7], atol=1e-6)
    outside = torch.zeros(6, 10, dtype=torch.bool)
    outside[:, :3], outside[5] = True, True
    assert torch.equal(uncovered, outside)


def test_a_bent_grid_is_the_camera_first_and_the_flow_after_it():
    camera = about(120, 72, turn(5) @ scale(1.1))
    grid = bend(grid_from_matrix(camera, HEIGHT, WIDTH), everywhere(4.5, -2, HEIGHT, WIDTH))
    both = grid_from_matrix(shift(-4.5, 2) @ camera, HEIGHT, WIDTH)
    assert torch.allclose(grid[5:-5, 5:-5], both[5:-5, 5:-5], atol=1e-5)


@given(x=st.floats(-20, 20), y=st.floats(-20, 20))
def test_where_the_camera_stands_still_a_bent_grid_is_that_of_the_flow(x, y):
    still, flow = grid_from_matrix(np.eye(3), 6, 10), everywhere(x, y)
    assert torch.allclose(bend(still, flow), grid_from_flow(flow), atol=1e-5)  # also outside the frame


def test_a_bent_grid_resamples_once():
    camera = about(120, 72, turn(5))
    once = warp(STILL, bend(grid_from_matrix(camera, HEIGHT, WIDTH), everywhere(4.5, -2, HEIGHT, WIDTH)))
    together = warp(STILL, grid_from_matrix(shift(-4.5, 2) @ camera, HEIGHT, WIDTH))
    assert level_difference(once, together, margin=5).max() < 0.05


@pytest.mark.parametrize(("there", "back", "agree"), [(3, -3, True), (0.70, 0, True), (0.72, 0, False), (3, 3, False)])
def test_agreement_is_that_of_sundaram_brox_and_keutzer(there, back, agree):
    # 0.70: 0.4900 < 0.01 * 0.4900 + 0.5; 0.72: 0.5184 > 0.01 * 0.5184 + 0.5
    found = agreement(everywhere(there, 0), everywhere(back, 0))
    assert bool(found[:, :7].all()) is agree
    assert bool(found[:, :7].any()) is agree


def test_what_leaves_the_frame_agrees_with_nothing():
    found = agreement(everywhere(3, -2), everywhere(-3, 2))
    assert found[2:, :7].all()
    assert not found[:2].any()
    assert not found[:, 7:].any()


def test_agreement_finds_what_a_moving_square_covers_and_uncovers():
    flows = find_flows(*squares_at(80, 100))
    covered, uncovered = (torch.zeros(HEIGHT, WIDTH, dtype=torch.bool) for _ in range(2))
    covered[40:100, 140:160], uncovered[40:100, 80:100] = True, True
    assert (flows.stays[covered]).float().mean() < 0.05
    assert (flows.known[uncovered]).float().mean() < 0.05
    assert (flows.stays == ~covered).float().mean() > 0.96
    assert (flows.known == ~uncovered).float().mean() > 0.96


def test_what_cannot_be_followed_moves_as_what_is_around_it():
    flow = everywhere(5, -2, 20, 30).clone()
    reliable = torch.ones(20, 30, dtype=torch.bool)
    flow[4:12, 20:], reliable[4:12, 20:] = 99, False
    assert torch.allclose(room._filled(flow, reliable), everywhere(5, -2, 20, 30), atol=1e-4)
    assert not room._filled(flow, torch.zeros(20, 30, dtype=torch.bool)).any()


def test_half_way_a_texture_has_gone_half_the_way():
    moved, half = (TEXTURE.seen(HEIGHT, WIDTH, shift(x, 0)) for x in (20, 10))
    difference = level_difference(between(STILL, moved, 0.5), half)
    assert difference[:, :, 20:-20].max() < 1
    assert difference.quantile(0.995) < 5  # beside what enters and leaves, whose motion nobody has seen
    assert level_difference(torch.lerp(STILL, moved, 0.5), half).mean() > 50 * difference.mean()


@pytest.mark.parametrize("share", [0.2, 0.75])
def test_on_the_way_a_turn_is_a_share_of_the_turn(share):
    moved, part = (TEXTURE.seen(HEIGHT, WIDTH, about(120, 72, turn(a) @ shift(a, 0))) for a in (3, 3 * share))
    assert level_difference(between(STILL, moved, share), part, margin=25).mean() < 0.6


def test_what_only_one_picture_shows_comes_from_that_one():
    before, after = squares_at(80, 100)
    half = squares_at(90)[0]
    found, faded = between(before, after, 0.5), torch.lerp(before, after, 0.5)
    assert level_difference(found, half).mean() < 0.4 * level_difference(faded, half).mean()
    assert level_difference(found, half)[:, 55:85, 105:135].max() < 2
    share = meeting(find_flows(before, after), 0.5).share
    assert share[48:92, 83:87].min() > 0.99  # uncovered: the square stood here
    assert share[48:92, 153:157].max() < 0.01  # about to be covered


def test_the_ends_are_the_pictures_themselves():
    moved = TEXTURE.seen(HEIGHT, WIDTH, shift(4, 0))
    assert between(STILL, moved, 0) is STILL
    assert between(STILL, moved, 1) is moved


@given(share=st.floats(0.01, 0.99))
@settings(max_examples=10, deadline=None)
def test_pictures_that_are_alike_stay(share):
    assert level_difference(between(STILL, STILL, share), STILL).max() < 0.01


def test_without_motion_pictures_only_fade():
    before, after = squares_at(80, 100)
    assert torch.allclose(between(before, after, 0.3, factor=0), torch.lerp(before, after, 0.3), atol=1e-5)


def test_time_runs_both_ways():
    before, after = squares_at(80, 100)
    assert level_difference(between(before, after, 0.3), between(after, before, 0.7)).max() < 0.01


def random_field(seed, reach):
    return (torch.rand(9, 12, 2, generator=torch.Generator().manual_seed(seed)) * 2 - 1) * reach


@given(seed=st.integers(0, 2**32), reach=st.floats(0, 50), share=st.floats(0.01, 0.99))
@settings(max_examples=30, deadline=None)
def test_any_flow_makes_a_picture(seed, reach, share):
    flow = random_field(seed, reach)
    flows = room.Flows(flow, flow.flip(0), flow[..., 0] > 0, flow[..., 1] > 0)
    met = meeting(flows, share)
    assert met.share.min() >= 0
    assert met.share.max() <= 1
    assert blend(STILL[:, :9, :12], STILL[:, 9:18, :12], flows, share).isfinite().all()


@given(seed=st.integers(0, 2**32), reach=st.floats(0, 50))
@settings(max_examples=30, deadline=None)
def test_torch_and_opencv_agree(seed, reach):
    x, y = room._reads(random_field(seed, reach))
    field = random_field(seed + 1, 5)
    assert torch.allclose(room._at_with_torch(field, x, y), room._at_with_opencv(field, x, y), atol=1e-4)


def test_raft_says_what_it_needs(monkeypatch):
    monkeypatch.setattr(room, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="'raft' needs torchvision: pip install torchvision, or choose 'dis'"):
        check_flow_method("raft")


def test_raft_without_its_weights_says_so(monkeypatch):
    def raft_large(weights):
        raise OSError("no route to host")

    torchvision = SimpleNamespace(raft_large=raft_large, Raft_Large_Weights=SimpleNamespace(DEFAULT=None))
    monkeypatch.setitem(sys.modules, "torchvision.models.optical_flow", torchvision)
    with pytest.raises(ModelError, match=r"weights cannot be fetched \(no route to host\): choose flow method 'dis'"):
        room._raft_network.__wrapped__(torch.device("cpu"))


def test_raft_gets_pictures_in_its_own_range_and_sizes():
    shown = []

    def network(before, after):
        shown.append((before, after))
        x = torch.arange(before.shape[3]).expand(before.shape[2], -1)
        return [torch.zeros(1, 2, *before.shape[2:]), torch.stack((x, -x))[None].float()]

    dark, bright = torch.zeros(3, 131, 90), torch.ones(3, 131, 90)
    flow = room._raft(dark, bright, network)
    before, after = shown[0]
    assert before.shape == after.shape == (1, 3, 136, 128)
    assert before.unique().tolist() == [-1]
    assert after.unique().tolist() == [1]  # also where the edge is repeated
    assert flow.shape == (131, 90, 2)
    assert flow[7, 40].tolist() == [40, -40]

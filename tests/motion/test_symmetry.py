import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from koshi_flux.errors import SettingsError
from koshi_flux.motion.symmetry import _folded, _mirrors, _shown_wedge, fold, through
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.resample import warp
from koshi_flux.shared.transforms import about, grid_from_matrix, holes, identity, scale, shift, turn

folds = st.fixed_dictionaries(
    {
        "symmetry": st.sampled_from(["mirror", "quad", "kaleidoscope"]),
        "symmetry_segments": st.floats(0.6, 12),
        "symmetry_angle": st.floats(-400, 400),
        "symmetry_center_x": st.floats(0.2, 0.8),
        "symmetry_center_y": st.floats(0.2, 0.8),
    }
)
sizes = st.tuples(st.integers(12, 60), st.integers(12, 60))


def folded(height, width, symmetry, **settings):
    options = {f"symmetry_{name}": value for name, value in settings.items()}
    return fold(FrameParameters(symmetry=symmetry, **options), height, width)


def places(grid):
    """(x, y) in pixels that each pixel reads."""
    height, width = grid.shape[:2]
    return (grid[..., 0].double() + 1) * width / 2, (grid[..., 1].double() + 1) * height / 2


def centres(height, width):
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return x.double(), y.double()


def folded_point(point, size, options):
    """The place that a point of the plane shows."""
    parameters = FrameParameters(**options)
    height, width = size
    centre = width * parameters.symmetry_center_x, height * parameters.symmetry_center_y
    x, y = (torch.tensor([[float(value)]]) for value in point)
    x, y = _folded(x, y, list(_mirrors(*_shown_wedge(parameters))), centre, size)
    return x.item(), y.item()


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def smooth(height, width):
    """A picture without any symmetry and without fine detail."""
    x, y = centres(height, width)
    return torch.stack((torch.sin(x / 9 + y / 13), torch.cos(x / 17 - y / 7), x / width + y * y / height**2)).float()


def drawn(picture, grid):
    return warp(picture, grid, "bilinear")


def test_no_symmetry_folds_nothing():
    assert fold(FrameParameters(), 8, 8) is None
    assert folded(8, 8, "kaleidoscope", segments=0.4) is None


def test_a_mirror_shows_the_left_half():
    picture = noise(3, 6, 8)
    expected = torch.cat((picture[..., :4], picture[..., :4].flip(-1)), dim=-1)
    assert (drawn(picture, folded(6, 8, "mirror")) - expected).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("angle", "shown", "flipped"),
    [
        (90, (slice(None), slice(4, 8)), -2),  # turned counter-clockwise from the left: the lower half
        (180, (slice(4, 8), slice(None)), -1),
        (-90, (slice(None), slice(0, 4)), -2),
        (270, (slice(None), slice(0, 4)), -2),
    ],
)
def test_the_angle_turns_the_mirror_counter_clockwise(angle, shown, flipped):
    picture = noise(3, 8, 8)
    found = drawn(picture, folded(8, 8, "mirror", angle=angle))
    columns, rows = shown
    assert torch.allclose(found[:, rows, columns], picture[:, rows, columns], atol=1e-4)
    assert torch.allclose(found, found.flip(flipped), atol=1e-4)


def test_a_quad_shows_the_top_left_quarter():
    picture = noise(3, 6, 8)
    found = drawn(picture, folded(6, 8, "quad"))
    assert (found[:, :3, :4] - picture[:, :3, :4]).abs().max() < 1e-5
    assert (found - found.flip(-1)).abs().max() < 1e-5
    assert (found - found.flip(-2)).abs().max() < 1e-5


@pytest.mark.parametrize("size", [(6, 8), (9, 5)])
def test_two_segments_are_a_quad_and_one_is_a_mirror_on_its_side(size):
    assert torch.allclose(folded(*size, "kaleidoscope", segments=2), folded(*size, "quad"), atol=1e-5)
    assert torch.allclose(folded(*size, "kaleidoscope", segments=1), folded(*size, "mirror", angle=-90), atol=1e-5)


def test_segments_are_rounded():
    assert torch.equal(folded(20, 30, "kaleidoscope", segments=4.6), folded(20, 30, "kaleidoscope", segments=5))


@settings(max_examples=60, deadline=None)
@given(size=sizes, middle=st.floats(0, 1), angle=st.sampled_from([0, 180]))
def test_an_upright_mirror_anywhere_makes_both_sides_equal(size, middle, angle):
    x, y = places(folded(*size, "mirror", center_x=middle, angle=angle))
    own_x, own_y = centres(*size)
    partner = torch.round(2 * middle * size[1] - own_x - 0.5).long()
    within = (partner >= 0) & (partner < size[1]) & ((2 * middle * size[1]) % 1 == 0)
    other = x.gather(1, partner.clamp(0, size[1] - 1))
    assert torch.allclose(y, own_y, atol=1e-3)
    assert torch.allclose(x[within], other[within], atol=1e-3)


@pytest.mark.parametrize("middle", [0.25, 0.375, 0.5, 0.8125])
def test_a_picture_mirrored_off_its_middle_is_symmetric_about_the_mirror(middle):
    picture, at = noise(3, 8, 16), int(middle * 16)
    found = drawn(picture, folded(8, 16, "mirror", center_x=middle))
    reach = min(at, 16 - at)
    right, left = found[..., at : at + reach], found[..., at - reach : at]
    assert torch.allclose(right, left.flip(-1), atol=1e-5)
    assert torch.allclose(found[..., :at], picture[..., :at], atol=1e-5)


@settings(max_examples=100, deadline=None)
@given(size=sizes, options=folds, point=st.tuples(st.floats(-30, 90), st.floats(-30, 90)), turns=st.integers(1, 12))
def test_points_a_segment_apart_show_the_same_place(size, options, point, turns):
    segments = {"mirror": 1, "quad": 2}.get(options["symmetry"], round(options["symmetry_segments"]))
    height, width = size
    centre = width * options["symmetry_center_x"], height * options["symmetry_center_y"]
    turned = (about(*centre, turn(360 * turns / segments)) @ (*point, 1))[:2]
    assert folded_point(point, size, options) == pytest.approx(folded_point(turned, size, options), abs=0.02)


@settings(max_examples=100, deadline=None)
@given(size=sizes, options=folds, point=st.tuples(st.floats(-30, 90), st.floats(-30, 90)))
def test_folding_twice_is_folding_once(size, options, point):
    once = folded_point(point, size, options)
    assert 0 <= once[0] <= size[1]
    assert 0 <= once[1] <= size[0]
    assert folded_point(once, size, options) == pytest.approx(once, abs=0.05)


@pytest.mark.parametrize("segments", [3, 5, 6])
def test_a_kaleidoscope_turned_by_a_segment_is_itself(segments):
    size = (96, 160)
    found = drawn(smooth(*size), folded(*size, "kaleidoscope", segments=segments, angle=17))
    again = grid_from_matrix(about(80, 48, turn(360 / segments)), *size)
    x, y = centres(*size)
    difference = (warp(found, again) - found).abs().amax(0)[torch.hypot(x - 80, y - 48) < 46]
    assert difference.median() < 2e-3
    assert difference.max() < 0.05  # at the seams, where the picture has a crease


@pytest.mark.parametrize("segments", [3, 6])
def test_the_wedge_of_a_kaleidoscope_lies_above_the_line_to_the_left(segments):
    x, y = centres(60, 60)
    inside = torch.rad2deg(torch.atan2(y - 30, 30 - x))  # clockwise from the left, below positive
    shown = (inside < -0.5) & (inside > -180 / segments + 0.5)
    assert shown.sum() > 100
    read_x, read_y = places(folded(60, 60, "kaleidoscope", segments=segments))
    assert torch.allclose(read_x[shown], x[shown], atol=1e-4)
    assert torch.allclose(read_y[shown], y[shown], atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(size=sizes, options=folds)
def test_all_places_lie_in_the_frame_and_those_of_the_shown_wedge_stay_where_they_are(size, options):
    x, y = places(fold(FrameParameters(**options), *size))
    assert min(x.min(), y.min()) >= -1e-4
    assert x.max() <= size[1] + 1e-4
    assert y.max() <= size[0] + 1e-4
    own_x, own_y = centres(*size)
    same = torch.hypot(x - own_x, y - own_y)
    if options["symmetry_segments"] < 3.4:  # a wide wedge about a centre within the frame holds some pixels
        assert (same < 1e-4).any()


@pytest.mark.parametrize("centre", [(0, 0), (0, 1), (1, 0.5), (-0.3, 0.5), (4, -7)])
@pytest.mark.parametrize("symmetry", ["mirror", "quad", "kaleidoscope"])
def test_a_wedge_outside_the_frame_still_shows_the_picture(symmetry, centre):
    x, y = places(folded(16, 24, symmetry, center_x=centre[0], center_y=centre[1]))
    assert ((x >= 0) & (x <= 24) & (y >= 0) & (y <= 16)).all()


def test_unfolded_reads_pass_through_and_still_cameras_show_the_fold_itself():
    shown = folded(12, 20, "kaleidoscope", segments=5, angle=3)
    still = grid_from_matrix(identity(), 12, 20)
    grid, lost = through(still, holes(still), shown)
    assert torch.allclose(grid, shown, atol=1e-6)
    assert not lost.any()


@settings(max_examples=60, deadline=None)
@given(
    size=sizes,
    options=folds,
    angle=st.floats(-180, 180),
    zoom=st.floats(0.5, 2),
    right=st.floats(-30, 30),
    down=st.floats(-30, 30),
)
def test_plane_cameras_are_composed_exactly(size, options, angle, zoom, right, down):
    height, width = size
    grid = fold(FrameParameters(**options), height, width)
    matrix = shift(right, down) @ about(width / 2, height / 2, turn(angle) @ scale(zoom))
    reads = grid_from_matrix(matrix, height, width)
    found, _ = through(reads, torch.zeros(height, width, dtype=torch.bool), grid)
    x, y = places(grid)
    back = torch.linalg.inv(torch.from_numpy(matrix))
    expected = torch.stack([row[0] * x + row[1] * y + row[2] for row in back[:2]])
    assert torch.allclose(torch.stack(places(found)), expected, atol=2e-3)


def test_moved_then_folded_is_symmetric_with_one_resample():
    reads = grid_from_matrix(about(16, 12, turn(20) @ scale(1.3)), 24, 32)
    grid, _ = through(reads, holes(reads), folded(24, 32, "quad"))
    found = warp(noise(3, 24, 32), grid, "spline")
    assert (found - found.flip(-1)).abs().max() < 1e-4
    assert (found - found.flip(-2)).abs().max() < 1e-4


def test_what_shows_an_uncovered_place_is_uncovered():
    reads = grid_from_matrix(shift(3, 0), 6, 16)  # the three leftmost columns have no source
    _, lost = through(reads, holes(reads), folded(6, 16, "mirror"))
    expected = torch.zeros(6, 16, dtype=torch.bool)
    expected[:, :3] = expected[:, -3:] = True
    assert torch.equal(lost, expected)


def test_law_1_a_still_film_with_symmetry_settles_at_once():
    grid = folded(24, 40, "kaleidoscope", segments=6, angle=11)
    still = grid_from_matrix(identity(), 24, 40)
    grid, _ = through(still, holes(still), grid)
    first = drawn(smooth(24, 40), grid)
    film = first
    for _ in range(300):
        film = warp(film, grid, "spline").clamp(-2, 2)
    change = (film - first).abs()
    assert change.mean() < 1 / 255
    assert math.isclose(film.mean(), first.mean(), abs_tol=1 / 255)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 2)])
def test_tiny_pictures_are_folded_too(size):
    reads = grid_from_matrix(shift(1, 0), *size)
    grid, lost = through(reads, holes(reads), folded(*size, "kaleidoscope", segments=3))
    assert grid.isfinite().all()
    assert lost.shape == size


def test_large_frames_are_folded_in_strips_without_seams():
    whole, part = folded(1200, 128, "quad"), folded(1200, 2, "quad")
    assert torch.allclose(whole[:, 0, 1], part[:, 0, 1], atol=1e-6)


def test_an_unknown_symmetry_names_the_known_ones():
    with pytest.raises(SettingsError, match="unknown symmetry 'star': known are none, mirror, quad, kaleidoscope"):
        folded(4, 4, "star")

"""Each mode's film, drawn by models that tests can predict."""

import cv2
import numpy as np
import pytest
import torch

from koshi_flux.pipeline.render import render
from koshi_flux.shared.noise import frame_noise, subseeded
from koshi_flux.toy.model import ToyModel


def pictures(film):
    return [frame.image for frame in render(film, ToyModel())]


def texture(height=96, width=128, seed=3):
    """Smooth random colours, uint8 (h, w, 3)."""
    noise = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255).round().astype(np.uint8)


@pytest.fixture
def panning(tmp_path):
    """A guide video whose camera moves so that content goes 3 px right and 2 px down a frame, 64x48."""
    folder = tmp_path / "guide"
    folder.mkdir()
    whole = texture()
    for i in range(8):
        x, y = 32 - 3 * i, 24 - 2 * i
        cv2.imwrite(str(folder / f"{i}.png"), whole[y : y + 48, x : x + 64, ::-1])
    return str(folder)


@pytest.fixture
def still(tmp_path):
    """An init image, 64x48."""
    path = tmp_path / "start.png"
    cv2.imwrite(str(path), texture()[:48, :64, ::-1])
    return str(path)


KEPT = {"denoise": 0, "color_coherence": "none", "uncovered": "border"}


def test_going_towards_a_wall_is_a_zoom(film_of):
    """20 of 200 units nearer to what is one depth unit away: 1 / 0.9 as large."""
    in_space = pictures(film_of(frames=3, mode="3d", depth="plane", translation_z=20, **KEPT))
    in_plane = pictures(film_of(frames=3, zoom=1 / 0.9, **KEPT))
    for one, other in zip(in_space, in_plane, strict=True):
        assert (one - other).abs().max() < 2e-3


def test_turning_about_the_line_of_sight_is_an_angle_whatever_the_depth(film_of):
    in_space = pictures(film_of(frames=3, mode="3d", rotation_3d_z=5, **KEPT))
    in_plane = pictures(film_of(frames=3, angle=5, **KEPT))
    for one, other in zip(in_space, in_plane, strict=True):
        assert (one - other).abs()[:, 4:-4, 4:-4].max() < 5e-3


def test_deforums_lens_turns_by_more_than_was_set(film_of):
    """By cot(fov / 2): 1.428 for 70 degrees, at the distance 1 of a film without depth."""
    square = {"frames": 2, "size": (64, 64), **KEPT}
    quirk = pictures(film_of(mode="3d", lens="deforum", depth="plane", rotation_3d_z=5, **square))[1]
    angle = pictures(film_of(angle=5 * 1.428, **square))[1]
    true = pictures(film_of(angle=5, **square))[1]
    middle = slice(20, 44)
    assert (quirk - angle)[:, middle, middle].abs().mean() < 0.5 * (quirk - true)[:, middle, middle].abs().mean()


def test_frames_of_a_3d_film_know_their_depth_and_others_do_not(film_of):
    for mode, known in (("3d", True), ("2d", False)):
        for frame in render(film_of(frames=2, mode=mode), ToyModel()):
            assert (frame.depth is not None) == known
            if known:
                assert frame.depth.shape == frame.image.shape[1:]


def test_a_3d_film_draws_what_came_into_sight_out_of_noise(film_of, identity_model):
    film = film_of(frames=2, mode="3d", depth="plane", translation_x=40, steps=4, denoise=0.5)
    _, moved = render(film, identity_model)
    assert moved.sigmas[0] == 1.0
    assert 0.5 in moved.sigmas
    (_, kept) = render(film.replaced(uncovered="border"), identity_model)
    assert kept.sigmas[0] == 0.5
    assert moved.sigmas[-len(kept.sigmas) :] == kept.sigmas, "the rest is drawn as if there were no holes"


def test_a_ransac_film_moves_as_its_guide_does(film_of, panning):
    guided = pictures(film_of(frames=5, mode="ransac", video=panning, **KEPT))
    by_hand = pictures(film_of(frames=5, translation_x=3, translation_y=2, **KEPT))
    for one, other in zip(guided, by_hand, strict=True):
        assert (one - other).abs().mean() < 0.01
        assert (one - guided[0]).abs().mean() > 0.02 or one is guided[0]


@pytest.mark.parametrize("kind", ["affine", "perspective", "flow"])
def test_hybrid_motion_adds_the_guides_to_the_films_own(film_of, panning, still, kind):
    film = film_of(frames=2, init_image=still, hybrid_motion=kind, video=panning, translation_x=2, **KEPT)
    first, second = pictures(film)
    assert (second[:, 4:, 7:] - first[:, 2:-2, 2:-5]).abs().mean() < 0.01


def test_a_video_film_starts_from_the_videos_frames(film_of, panning):
    frames = pictures(film_of(frames=8, mode="video", video=panning, **KEPT))
    for i, frame in enumerate(frames):
        shown = cv2.imread(f"{panning}/{i}.png")[..., ::-1]
        assert (frame - torch.from_numpy(shown.copy()).permute(2, 0, 1) / 255).abs().max() < 1e-3


def test_video_frames_are_chosen_by_start_and_step(film_of, panning):
    every_second = pictures(film_of(frames=3, mode="video", video=panning, video_start=1, video_step=2, **KEPT))
    every = pictures(film_of(frames=8, mode="video", video=panning, **KEPT))
    assert all(torch.equal(one, every[1 + 2 * i]) for i, one in enumerate(every_second))


def test_coherence_carries_the_last_frame_along_the_videos_flow(film_of, panning):
    """With coherence 1 the pan is drawn from frame 0 alone, wherever that shows what the video does."""
    film = film_of(frames=3, mode="video", video=panning, video_coherence=1, **KEPT)
    carried, shown = pictures(film), pictures(film.replaced(video_coherence=0))
    assert (carried[2] - shown[2]).abs()[:, 8:, 10:].mean() < 0.01
    assert not torch.equal(carried[2], shown[2])


def test_interpolation_draws_every_frame_from_a_walk_through_noise(film_of):
    film = film_of(frames=5, mode="interpolation", prompts={"0": "a misty sea", "4": "a forest at night"}, seed=7)

    class Blind(ToyModel):
        """Decodes what it was given to start from."""

        def velocity(self, latent, sigma, prompt, negative, guidance):
            return torch.zeros_like(latent)

    frames = list(render(film, Blind()))
    assert all(frame.sigmas[0] == 1 for frame in frames)
    here, there = (frame_noise((192, 6, 8), seed) for seed in (7, 8))
    for i, frame in enumerate(frames):
        assert torch.allclose(frame.latent, subseeded(here, there, i / 4), atol=1e-6)
    assert film.at(1).prompt == (("a misty sea", 0.75), ("a forest at night", 0.25))


def test_a_looping_interpolation_returns_to_its_first_frame(film_of):
    prompts = {"0": "a misty sea", "4": "a forest at night"}
    frames = pictures(film_of(frames=8, mode="interpolation", prompts=prompts, loop=True))
    steps = [float((one - other).abs().mean()) for one, other in zip(frames, [*frames[1:], frames[0]], strict=True)]
    assert max(steps) < 3 * min(steps)
    film = film_of(frames=8, mode="interpolation", prompts=prompts, loop=True)
    assert dict(film.at(7).prompt) == {"a misty sea": 0.75, "a forest at night": 0.25}


def test_the_last_segment_walks_too(film_of):
    film = film_of(frames=9, mode="interpolation", prompts={"0": "a sea", "4": "a forest", "8": "a city"})
    assert dict(film.at(6).prompt) == {"a forest": 0.5, "a city": 0.5}
    assert film.at(8).prompt == (("a city", 1.0),)
    assert (film.at(6).seed, film.at(6).subseed, film.at(6).subseed_strength) == (1, 2, 0.5)


@pytest.mark.parametrize("mode", ["2d", "3d", "ransac", "video", "interpolation"])
@pytest.mark.parametrize("flow", ["none", "dis"])
def test_every_mode_has_its_in_betweens(film_of, panning, mode, flow):
    given = {"video": panning} if mode in ("video", "ransac") else {}
    film = film_of(frames=6, mode=mode, cadence=3, cadence_flow=flow, translation_x=1, **given)
    frames = list(render(film, ToyModel()))
    assert [frame.index for frame in frames] == list(range(6))
    assert [frame.drawn for frame in frames] == [True, False, False, True, False, True]
    assert all(frame.image.isfinite().all() for frame in frames)
    assert all(frame.image.min() >= 0 and frame.image.max() <= 1 for frame in frames)


def test_in_betweens_in_space_lie_on_the_cameras_way(film_of):
    film = film_of(frames=5, mode="3d", depth="plane", translation_z=10, cadence=4, **KEPT)
    drawn = pictures(film.replaced(cadence=1))
    moved = pictures(film)
    for one, other in zip(moved, drawn, strict=True):
        assert (one - other).abs().mean() < 0.01


def test_frames_with_prompts_can_be_the_drawn_ones(film_of):
    film = film_of(frames=9, prompts={"0": "a sea", "5": "a forest"}, keyframe_distribution="prompts")
    assert [frame.index for frame in render(film, ToyModel()) if frame.drawn] == [0, 5, 8]


def test_symmetry_folds_each_frame(film_of):
    frames = pictures(film_of(frames=3, symmetry="mirror", zoom=1.05, **KEPT))
    for frame in frames[1:]:
        assert (frame - frame.flip(2)).abs().max() < 1e-4


def test_a_fixed_seed_draws_the_same_noise_and_iter_another(film_of):
    for behavior, same in (("fixed", True), ("iter", False)):
        film = film_of(frames=3, seed_behavior=behavior, denoise=1, color_coherence="none")
        frames = list(render(film, ToyModel()))
        assert torch.equal(frames[1].latent, frames[2].latent) == same


def test_where_nothing_is_redrawn_only_holes_pass_the_autoencoder(film_of):
    film = film_of(frames=2, mode="3d", depth="plane", translation_x=40, denoise=0, color_coherence="none")
    _, drawn = render(film, ToyModel())
    _, kept = render(film.replaced(uncovered="border"), ToyModel())
    assert drawn.sigmas[0] == 1.0
    same = (drawn.image == kept.image).all(0)
    assert same[:, :40].all()
    assert not same[:, -4:].any()

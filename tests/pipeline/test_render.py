import pytest
import torch

from koshi_flux.errors import SettingsError
from koshi_flux.motion import move
from koshi_flux.pipeline.render import render
from koshi_flux.shared.noise import frame_noise
from koshi_flux.shared.types import FluxModel, History, Reference
from koshi_flux.toy.model import ToyModel


def psnr(a, b):
    return float(-10 * torch.log10(((a - b) ** 2).mean().clamp(min=1e-12)))


def test_law_1_a_still_film_that_redraws_nothing_stays_its_first_frame_for_300_frames(film_of):
    frames = list(render(film_of(frames=300, denoise=0), ToyModel()))
    assert torch.equal(frames[299].image, frames[0].image)


def test_law_1_an_identity_model_with_feedback_on_does_not_drift_in_300_frames(film_of, identity_model):
    first = last = None
    for frame in render(film_of(frames=300, denoise=0.5, steps=2), identity_model):
        first, last = first or frame, frame
    assert identity_model.velocities == 2 * 300
    assert (last.image - first.image).abs().max() < 1 / 255
    assert psnr(last.image, first.image) > 48


def test_law_2_frames_are_float_and_a_path_is_resampled_once(film_of):
    animation = film_of(frames=4, denoise=0, zoom=1.02, angle=3, color_coherence="none", cadence=3)
    frames = list(render(animation, ToyModel()))
    path = [animation.at(1), animation.at(2), animation.at(3)]
    once, _ = move(frames[0].image, path)
    assert frames[3].image.dtype == torch.float32
    assert torch.equal(frames[3].image, once.clamp(0, 1))


def test_law_3_the_noise_of_a_frame_is_that_of_seed_plus_frame(film_of):
    class Blind(ToyModel):
        """Shows its first latent: decodes what it was given to start from."""

        def velocity(self, latent, sigma, prompt, negative, guidance):
            return torch.zeros_like(latent)

    (frame,) = render(film_of(frames=1, seed=41), Blind())
    assert torch.equal(frame.latent, frame_noise((192, 6, 8), seed=41, frame=0))
    assert torch.equal(frame_noise((3, 2), seed=41, frame=2), frame_noise((3, 2), seed=43, frame=0))


def test_law_6_denoise_is_the_sigma_that_drawing_starts_from(film_of):
    frames = list(render(film_of(frames=3, denoise="0:(0.9), 1:(0.35), 2:(0.123)", steps=3), ToyModel()))
    assert [frame.sigmas[0] for frame in frames] == [1.0, 0.35, 0.123]
    assert all(len(frame.sigmas) == 4 and frame.sigmas[-1] == 0 for frame in frames)


def test_law_6_deforums_strength_becomes_a_start_sigma(film_of):
    frames = list(render(film_of(frames=2, strength_schedule="0:(0.65)"), ToyModel()))
    assert frames[1].sigmas[0] == pytest.approx(0.496, abs=0.001)


def test_law_6_denoise_can_be_a_share_of_the_steps(film_of, identity_model):
    film = list(render(film_of(frames=2, steps=4, denoise=0.5, denoise_mode="steps"), identity_model))
    assert film[1].sigmas == film[0].sigmas[2:]
    kept = list(render(film_of(frames=2, steps=4, strength_schedule=0.75, denoise_mode="steps"), identity_model))
    assert kept[1].sigmas == kept[0].sigmas[3:]


def test_the_same_film_is_the_same_twice(film_of):
    animation = film_of(zoom=1.03, angle=2, denoise=0.4, noise=0.05, sharpen=0.2, contrast=1.02)
    for one, other in zip(render(animation, ToyModel()), render(animation, ToyModel()), strict=True):
        assert torch.equal(one.image, other.image)


def test_another_seed_is_another_film(film_of):
    (one,), (other,) = (list(render(film_of(frames=1, seed=seed), ToyModel())) for seed in (1, 2))
    assert not torch.equal(one.image, other.image)


def test_going_on_from_a_history_equals_not_having_stopped(film_of):
    animation = film_of(frames=7, zoom=1.03, cadence=2, noise=0.02)
    whole = list(render(animation, ToyModel()))
    stopped = History(Reference(whole[0].image), whole[4])
    rest = list(render(animation, ToyModel(), stopped))
    assert [frame.index for frame in rest] == [5, 6]
    assert all(torch.equal(frame.image, whole[frame.index].image) for frame in rest)


@pytest.mark.parametrize("cadence", range(1, 12))
def test_every_cadence_yields_every_frame_once_in_order(film_of, cadence):
    frames = list(render(film_of(frames=10, cadence=cadence), ToyModel()))
    assert [frame.index for frame in frames] == list(range(10))
    drawn = [frame.index for frame in frames if frame.drawn]
    assert drawn == sorted({*range(0, 10, cadence), 9})


def test_in_betweens_move_evenly_between_two_drawn_frames(film_of):
    animation = film_of(size=(64, 64), frames=5, cadence=4, translation_x=4, denoise=0, color_coherence="none")
    frames = list(render(animation, ToyModel()))
    for frame in frames[1:4]:
        moved = frames[0].image[:, :, : 64 - 4 * frame.index]
        assert not frame.drawn
        assert (frame.image[:, :, 4 * frame.index :] - moved).abs().max() < 2e-3


def test_a_camera_that_ends_edge_on_leaves_the_in_betweens_to_the_first_picture(film_of):
    film = film_of(frames=3, cadence=2, denoise=0, perspective_flip_gamma="0:(0), 2:(90) @ step")
    frames = list(render(film, ToyModel()))
    assert torch.equal(frames[1].image, frames[0].image)


def test_each_distinct_text_is_read_once_and_the_encoder_is_released_before_drawing(film_of, identity_model):
    prompts = {"0": "a sea", "2": "a forest", "4": "a sea"}
    frames = render(film_of(prompts=prompts, prompt_blend="linear"), identity_model)
    next(frames)
    assert sorted(identity_model.texts) == ["a forest", "a sea"]
    assert identity_model.releases == 1
    list(frames)
    assert len(identity_model.texts) == 2


def test_negatives_are_read_only_where_they_matter(film_of, identity_model):
    list(render(film_of(frames=1, negative_prompt="fog"), identity_model))
    assert identity_model.texts == ["a misty sea at dawn"]


def test_a_blend_lies_between_its_prompts(film_of):
    prompts = {"0": "night", "4": "snow"}
    film = film_of(prompts=prompts, prompt_blend="linear", frames=5, denoise=1, steps=8)
    brightness = [float(frame.image.mean()) for frame in render(film, ToyModel())]
    assert brightness == sorted(brightness)
    assert brightness[4] > brightness[0] + 0.2


def test_feedback_keeps_colours_to_the_first_frame(film_of):
    prompts = {"0": "red desert", "1": "blue sea"}
    kept, free = (
        list(render(film_of(prompts=prompts, frames=8, denoise=0.3, color_coherence=mode), ToyModel()))
        for mode in ("lab", "none")
    )
    redness = [float((frame.image[0] - frame.image[2]).mean()) for frame in (kept[0], kept[7], free[7])]
    assert redness[0] > redness[1] > redness[2]


def test_the_toy_satisfies_the_protocol():
    assert isinstance(ToyModel(), FluxModel)


def test_a_film_without_a_size_takes_the_models(film_of):
    with pytest.raises(SettingsError, match="leaves its size"):
        film_of(size=None).picture_size  # noqa: B018
    (frame,) = render(film_of(size=None, frames=1), ToyModel())
    assert frame.image.shape == (3, 512, 512)

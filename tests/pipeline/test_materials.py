"""What is said of a film's pictures and videos before anything is drawn."""

import re

import cv2
import numpy as np
import pytest

from koshi_flux.errors import KoshiError, ModelError, SettingsError
from koshi_flux.pipeline.materials import look_over
from koshi_flux.pipeline.render import render
from koshi_flux.toy.model import ToyModel


@pytest.fixture
def footage(tmp_path):
    folder = tmp_path / "guide"
    folder.mkdir()
    for i in range(3):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((48, 64, 3), 40 * i, np.uint8))
    return str(folder)


def said(film):
    return " ".join(look_over(film))


def test_nothing_is_said_of_a_film_that_names_nothing(film_of):
    assert said(film_of()) == ""


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"mode": "3d", "zoom": 1.02}, "mode '3d' has no use for zoom: it changes nothing"),
        ({"mode": "2d", "translation_z": 5, "fov": 40}, "'2d' has no use for translation_z, fov: they change nothing"),
        ({"mode": "interpolation", "denoise": 0.4}, "has no use for denoise"),
        ({"frames": 4, "cadence": 9}, "cadence 9 is more than the film's 4 frames"),
        ({"loop": True}, "only mode 'interpolation' ends where it began"),
    ],
)
def test_schedules_that_do_nothing_are_named(film_of, settings, says):
    assert says in said(film_of(**settings))


def test_neutral_schedules_are_not_complained_about(film_of):
    assert said(film_of(mode="3d", zoom=1, angle="0:(0)")) == ""


def test_a_short_video_is_said_aloud_and_held_or_looped(film_of, footage):
    film = film_of(frames=7, mode="video", video=footage, denoise=0, color_coherence="none")
    assert "gives 3 frames, the film has 7: its last one is held from frame 3 on" in said(film)
    assert "it starts over every 3 frames" in said(film.replaced(video_short="loop"))
    levels = [
        [round(float(f.image.mean()) * 255) for f in render(film.replaced(video_short=short), ToyModel())]
        for short in ("hold", "loop")
    ]
    assert levels == [[0, 40, 80, 80, 80, 80, 80], [0, 40, 80, 0, 40, 80, 0]]


@pytest.mark.parametrize(
    ("setting", "more"),
    [
        ("init_image", {}),
        ("mask_image", {"mask": "{mask}"}),
        ("mask", {}),
        ("noise_mask", {}),
        ("guides", {}),
        ("video", {"mode": "video"}),
        ("mask_video", {"mask": "{video_mask}"}),
        ("depth", {"mode": "3d"}),
    ],
)
@pytest.mark.parametrize("content", [None, b"", b"this is no picture"])
def test_law_10_missing_empty_and_broken_files_are_named_before_anything_starts(
    film_of, tmp_path, setting, more, content
):
    file = tmp_path / "there.mp4"
    if content is not None:
        file.write_bytes(content)
    named = {"guides": {"0": str(file)}}.get(setting, str(file))
    with pytest.raises(SettingsError, match=r"there\.mp4") as refused:
        said(film_of(**{setting: named, **more}))
    assert setting in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"mode": "video"}, "mode = 'video' needs `video`: say which, for example video = 'dance.mp4'"),
        ({"mode": "ransac"}, "mode = 'ransac' needs `video`"),
        ({"hybrid_motion": "flow"}, "hybrid_motion needs `video`"),
        ({"hybrid_composite": "normal"}, "hybrid_composite needs `video`"),
        ({"alpha_mask": True}, "alpha_mask needs `init_image`"),
        ({"mask": "{mask}"}, "{mask} needs `mask_image`"),
        ({"mask": "!{video_mask}"}, "{video_mask} needs `mask_video`"),
        ({"noise_mask": "{alpha}"}, "{alpha} needs `init_image`"),
        ({"guide_denoise": 0.5}, "guide_denoise needs `guides`"),
        ({"init_denoise": 0.5}, "init_denoise needs `init_image`"),
        ({"mode": "3d", "lens": "deforum", "hybrid_motion": "affine", "video": "a.mp4"}, "cannot be led by a video's"),
        ({"seed_behavior": "schedule"}, "needs seed_schedule"),
        ({"near": 300, "far": "0:(10000), 5:(200)"}, "near 300 must be less than far 200 at frame 5"),
        ({"mask": "{nosuch}"}, "nosuch"),
        (
            {"hybrid_mask_low": "0:(0), 5:(100)", "hybrid_mask_high": 60},
            "hybrid_mask_low 60 must be less than hybrid_mask_high 60 at frame 3",
        ),
        ({"init_image": "a.png", "video_init": True, "video": "b.mp4"}, "`init_image` or `video_init`, not both"),
    ],
)
def test_law_10_settings_that_need_another_say_which(film_of, settings, says):
    with pytest.raises(KoshiError, match=re.escape(says)):
        film_of(**settings)


def test_a_flow_method_that_is_not_installed_is_refused(film_of, footage, monkeypatch):
    monkeypatch.setattr("koshi_flux.motion.flow.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="torchvision"):
        said(film_of(cadence=2, cadence_flow="raft"))
    with pytest.raises(ModelError, match="torchvision"):
        said(film_of(hybrid_motion="flow", flow_method="raft", video=footage))
    assert said(film_of(flow_method="raft")) == ""


def test_an_unknown_depth_model_is_named(film_of):
    with pytest.raises(SettingsError, match="did you mean 'nano'"):
        said(film_of(mode="3d", depth="nanno"))


def test_an_init_image_without_transparency_is_no_mask(film_of, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    film = film_of(init_image=str(tmp_path / "a.png"), alpha_mask=True)
    with pytest.raises(SettingsError, match="has no transparency"):
        said(film)

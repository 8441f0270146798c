"""Law 4 in every mode: a film stopped at each of its drawn frames and taken up again is the same to the byte."""

import json

import cv2
import numpy as np
import pytest

from koshi_flux.pipeline.animation import film
from koshi_flux.toy.model import ToyModel
from tests.input.videos import video

FRAMES = 6


def texture(height=112, width=144, seed=3):
    """Smooth random colours, uint8 (h, w, 3)."""
    noise = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255).round().astype(np.uint8)


def half(shift=0):
    """A mask whose right half is white, pushed to the right."""
    mask = np.zeros((48, 64, 3), np.uint8)
    mask[:, 32 + shift :] = 255
    return mask


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """Paths of what films are made from, by name."""
    folder = tmp_path_factory.mktemp("material")
    views = [np.ascontiguousarray(texture()[40 - 2 * i :, 60 - 3 * i :][:48, :64]) for i in range(9)]
    clear = [np.dstack((view, half()[..., 0])) for view in views]
    video(folder / "pan.mp4", views, options={"bf": "2", "g": "4"})
    video(folder / "short.mp4", views[:3])
    video(folder / "clear.mov", clear, codec="png", layout="rgba")
    video(folder / "masks.mp4", [half(4 * i) for i in range(4)])
    video(folder / "depths.mp4", [np.full((30, 40, 3), 20 * i, np.uint8) for i in range(9)])
    for name, pixels in (("half", half()), ("start", texture(seed=4)), ("guide", texture(seed=5)), ("cut", clear[0])):
        cv2.imwrite(str(folder / f"{name}.png"), pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]])
    return {file.stem: str(file) for file in folder.iterdir()}


PROMPTS = {"0": "a misty sea", "4": "a forest at night"}
FILMS = {
    "2d under masks, seeds at random": {
        "zoom": 1.03,
        "noise": 0.1,
        "noise_mask": "![{half}]",
        "mask": {"0": "{half}", "3": "{video_mask} | [{half}]", "5": "{everywhere}"},
        "mask_video": "{masks}",
        "seed_behavior": "random",
        "subseed": "0:(3), 4:(9)",
        "subseed_strength": "0:(0), 5:(0.8)",
    },
    "2d with echoes and folds, seeds on a ladder": {
        "angle": 3,
        "echo": "0:(0), 5:(0.7)",
        "symmetry": "kaleidoscope",
        "symmetry_angle": "0:(0), 5:(40)",
        "shake": "handheld",
        "seed_behavior": "ladder",
    },
    "2d between guides, every other frame": {
        "init_image": "{cut}",
        "init_denoise": 0.2,
        "alpha_mask": True,
        "guides": {"0": "{start}", "3": "{guide}"},
        "guide_denoise": "0:(0.3), 5:(0.6)",
        "cadence": 2,
        "seed_iter": 2,
    },
    "2d along a video's flow, composited by difference": {
        "video": "{pan}",
        "hybrid_motion": "flow",
        "hybrid_composite": "normal",
        "hybrid_mask": "difference",
        "hybrid_alpha": 0.4,
        "seed_behavior": "alternate",
    },
    "2d towards a video's perspective, composited before": {
        "video": "{pan}",
        "video_init": True,
        "hybrid_motion": "perspective",
        "hybrid_motion_source": "previous",
        "hybrid_composite": "before-motion",
        "cadence": 3,
    },
    "3d by nano's depth, in-betweens by flow": {
        "mode": "3d",
        "translation_z": 8,
        "rotation_3d_y": "0:(0), 5:(2)",
        "shake": "walk",
        "save_depth": True,
        "cadence": 3,
        "cadence_flow": "dis",
        "seed_behavior": "schedule",
        "seed_schedule": "0:(5), 3:(-1), 5:(8)",
    },
    "3d by a video of depths, folded": {
        "mode": "3d",
        "depth": "{depths}",
        "translation_x": 20,
        "symmetry": "mirror",
        "echo": 0.3,
        "video": "{pan}",
        "hybrid_motion": "affine",
        "hybrid_composite": "after-generation",
        "hybrid_mask": "video-depth",
    },
    "3d by a plane, frames with prompts": {
        "mode": "3d",
        "depth": "plane",
        "translation_z": "0:(0), 5:(30)",
        "prompts": PROMPTS,
        "keyframe_distribution": "prompts",
        "uncovered": "border",
    },
    "ransac with more frames for prompts": {
        "mode": "ransac",
        "video": "{pan}",
        "cadence": 3,
        "prompts": PROMPTS,
        "keyframe_distribution": "additive",
    },
    "ransac by flow of a video that starts over": {
        "mode": "ransac",
        "video": "{short}",
        "video_short": "loop",
        "hybrid_motion": "flow",
        "flow_method": "farneback",
        "zoom": 1.02,
    },
    "video with coherence": {
        "mode": "video",
        "video": "{pan}",
        "video_coherence": "0:(0.9), 5:(0.3)",
        "guides": "{guide}",
        "cadence": 2,
        "cadence_flow": "dis",
    },
    "video with alpha, drawn anew where it is clear": {
        "mode": "video",
        "video": "{clear}",
        "video_coherence": 0.6,
        "uncovered": "redraw",
        "color_strength": 0.5,
        "cadence": 4,
        "prompts": PROMPTS,
        "keyframe_distribution": "redistributed",
    },
    "interpolation in a loop": {
        "mode": "interpolation",
        "loop": True,
        "prompts": {**PROMPTS, "2": "a desert at noon"},
        "embedding_blend": "slerp",
        "cadence": 2,
        "cadence_flow": "farneback",
    },
}


def placed(setting, material):
    """A setting with the paths of its material: a film names it as {name}."""
    if isinstance(setting, dict):
        return {key: placed(value, material) for key, value in setting.items()}
    if isinstance(setting, str):
        for name, path in material.items():
            setting = setting.replace(f"{{{name}}}", path)
    return setting


def go_on(animation, path, stop, resume):
    """Render until a frame for which `stop` is true is done, as after Ctrl-C; the frames that were made."""
    frames = film(animation, ToyModel(), path, resume)
    made = []
    for frame in frames:
        made.append(frame.index)
        if stop(frame):
            break
    frames.close()
    return made


@pytest.mark.parametrize("name", FILMS)
def test_law_4_a_film_stopped_at_every_drawn_frame_is_the_same_to_the_byte(film_of, material, tmp_path, digest, name):
    animation = film_of(**{"frames": FRAMES, "noise": 0.02, **placed(FILMS[name], material)})
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert go_on(animation, whole / "film.mp4", lambda frame: False, False) == list(range(FRAMES))
    made = go_on(animation, cut / "film.mp4", lambda frame: frame.drawn, False)
    for here, there in zip(animation.drawn[:-1], animation.drawn[1:], strict=True):
        if there - here > 1:
            lost = go_on(animation, cut / "film.mp4", lambda frame: not frame.drawn, True)
            assert lost == [here + 1], "stopped among in-betweens, the film goes back to its last drawn frame"
        assert made[-1] == here
        made += go_on(animation, cut / "film.mp4", lambda frame: frame.drawn, True)
    assert made == list(range(FRAMES))
    frames = digest(whole)
    assert len(set(frames.values())) == FRAMES, "every frame differs from every other one"
    assert digest(cut) == frames
    assert (cut / "film.mp4").read_bytes() == (whole / "film.mp4").read_bytes()
    depths = [{file.name: file.read_bytes() for file in (run / "depth").glob("*")} for run in (whole, cut)]
    assert depths[0] == depths[1]
    assert len(depths[0]) == (len(animation.drawn) if animation.save_depth else 0)
    lines = [json.loads(line)["frame"] for line in (cut / "run.jsonl").read_text().splitlines()]
    assert lines == list(range(FRAMES))

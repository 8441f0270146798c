"""Pictures and videos of Deforum films: init image, guide video, hybrid, masks, guided images."""

import json

import pytest

from tests.schedule.importing.deforum_files import film, said

HYBRID = {"hybrid_motion": "Optical Flow", "hybrid_composite": "Normal", "video_init_path": "dance.mp4"}


def test_a_guide_video_and_which_of_its_frames():
    imported = film(
        animation_mode="Video Input", video_init_path="dance.mp4",
        extract_nth_frame=2, extract_from_frame="10", extract_to_frame=-1, diffusion_cadence=5,
    ).animation  # fmt: skip
    assert (imported.mode, imported.video) == ("video", "dance.mp4")
    assert (imported.video_step, imported.video_start, imported.video_end) == (2, 10, -1)
    assert imported.cadence == 1
    unused = film(video_init_path="dance.mp4", extract_nth_frame=2)
    assert unused.animation.video == ""
    assert said(unused, "video_init_path").why == "no mode, hybrid or sound uses the video"


@pytest.mark.parametrize(
    ("word", "motion"),
    [("None", "none"), ("Optical Flow", "flow"), ("Perspective", "perspective"), ("Affine", "affine")],
)
def test_hybrid_motion(word, motion):
    imported = film(hybrid_motion=word, video_init_path="d.mp4", hybrid_motion_use_prev_img=True).animation
    assert imported.hybrid_motion == motion
    assert imported.hybrid_motion_source == ("video" if motion == "none" else "previous")


@pytest.mark.parametrize(
    ("word", "ours"),
    [("None", "none"), (False, "none"), (True, "normal"), ("Normal", "normal"), ("Before Motion", "before-motion"),
     ("After Generation", "after-generation")],
)  # fmt: skip
def test_hybrid_composite(word, ours):
    assert film(hybrid_composite=word, video_init_path="d.mp4").animation.hybrid_composite == ours


def test_everything_hybrid():
    imported = film(
        **HYBRID, hybrid_flow_method="DIS Fine", hybrid_flow_factor_schedule="0:(2)", hybrid_comp_mask_type="Blend",
        hybrid_comp_mask_inverse=True, hybrid_comp_mask_equalize="Both", hybrid_comp_mask_auto_contrast=True,
        hybrid_comp_alpha_schedule="0:(0.7)", hybrid_comp_mask_blend_alpha_schedule="0:(0.3)",
        hybrid_comp_mask_contrast_schedule="0:(2)", hybrid_comp_mask_auto_contrast_cutoff_high_schedule="0:(90)",
        hybrid_comp_mask_auto_contrast_cutoff_low_schedule="0:(10)", hybrid_use_first_frame_as_init_image=True,
        strength=0.65,
    ).animation  # fmt: skip
    assert (imported.flow_method, imported.hybrid_mask, imported.hybrid_mask_equalize) == ("dis-fine", "blend", "both")
    assert imported.hybrid_mask_inverse
    assert imported.hybrid_mask_auto_contrast
    assert imported.video_init
    assert imported.init_denoise == pytest.approx(0.497, abs=2e-3)
    p = imported.at(0)
    assert (p.hybrid_flow_factor, p.hybrid_alpha, p.hybrid_mask_blend) == (2, 0.7, 0.3)
    assert (p.hybrid_mask_contrast, p.hybrid_mask_low, p.hybrid_mask_high) == (2, 10, 90)


def test_without_its_video_nothing_is_hybrid():
    imported = film(**{**HYBRID, "video_init_path": "https://example.org/V1.mp4"}, hybrid_comp_alpha_schedule="0:(0.7)")
    assert (imported.animation.hybrid_motion, imported.animation.hybrid_composite) == ("none", "none")
    assert said(imported, "hybrid_motion").why.endswith("then write hybrid_motion = 'flow'")
    assert said(imported, "hybrid_comp_alpha_schedule").fate == "meaningless"


def test_percentiles_count_where_the_stretch_is_on():
    low = {"hybrid_comp_mask_auto_contrast_cutoff_low_schedule": "0:(10)", "hybrid_comp_mask_type": "Depth"}
    assert film(**HYBRID, **low).animation.at(0).hybrid_mask_low == 0
    assert film(**HYBRID, **low, hybrid_comp_mask_auto_contrast=True).animation.at(0).hybrid_mask_low == 10


def test_the_init_image_as_video():
    keys = {"use_init": True, "init_image": "start.png", "hybrid_use_init_image": True}
    assert film(**{**HYBRID, **keys}).animation.video == "start.png"


def test_the_video_comes_before_the_init_image():
    imported = film(**HYBRID, use_init=True, init_image="start.png", hybrid_use_first_frame_as_init_image=True)
    assert imported.animation.video_init
    assert imported.animation.init_image == ""


@pytest.mark.parametrize(("word", "sound"), [("None", False), (False, False), ("Init Video", True), ("File", False)])
def test_sound(word, sound):
    imported = film(add_soundtrack=word, video_init_path="dance.mp4", soundtrack_path="song.mp3")
    assert imported.animation.video_audio == sound
    assert imported.animation.video == ("dance.mp4" if sound else "")
    assert imported.animation.soundtrack == ("song.mp3" if word == "File" else "")
    assert said(imported, "soundtrack_path").fate == ("kept" if word == "File" else "meaningless")


def test_masks():
    imported = film(
        use_mask=True, mask_file="mask.png", invert_mask=True, mask_contrast_adjust=2, mask_brightness_adjust=0.5,
        overlay_mask=False, mask_overlay_blur=9, fill="latent noise",
    )  # fmt: skip
    film_of_it = imported.animation
    assert (film_of_it.mask_image, film_of_it.mask_invert, film_of_it.mask_overlay) == ("mask.png", True, False)
    assert (film_of_it.mask_blur, film_of_it.mask_contrast, film_of_it.mask_brightness) == (9, 0.5, 2)
    assert "swapped" in said(imported, "mask_contrast_adjust").why
    assert said(imported, "fill").why.startswith("latent noise: ")
    assert film_of_it.at(0).mask == "{mask}"


@pytest.mark.parametrize("held", [1, "1", "original", "Original"])
def test_what_masked_areas_start_from_in_every_spelling(held):
    assert said(film(use_mask=True, mask_file="m.png", fill=held), "fill").to == "the picture (original)"


def test_masks_that_are_off_or_elsewhere():
    off = film(use_mask=False, mask_file="mask.png", invert_mask=True)
    assert off.animation.mask_image == ""
    assert not off.animation.mask_invert
    assert "never fetched" in said(film(use_mask=True, mask_file="http://example.org/m.png"), "mask_file").why


def test_expressions_of_masks():
    both = {"use_mask": True, "mask_file": "m.png", "use_mask_video": True, "video_mask_path": "v.mp4"}
    assert film(**both, mask_schedule='0: ("{video_mask}")').animation.at(0).mask == "{video_mask}"
    still = film(use_mask=True, mask_file="m.png", mask_schedule='0: ("{video_mask}"), 60: ("!{video_mask}")')
    assert (still.animation.at(0).mask, still.animation.at(60).mask) == ("{mask}", "!{mask}")
    grain = film(**both, use_noise_mask=True, noise_mask_schedule='0: ("{video_mask}&[sky.png]")').animation
    assert grain.at(0).noise_mask == "{video_mask} & [sky.png]"
    words = film(**both, mask_schedule='0: ("<sky>")')
    assert "left out: " in said(words, "mask_schedule").why
    missing = film(use_noise_mask=True, noise_mask_schedule='0: ("{video_mask}")')
    assert said(missing, "noise_mask_schedule").why == "{video_mask} cannot be had"
    usual = film(use_mask=True, mask_file="m.png", mask_schedule='0: ("{video_mask}")')
    assert usual.animation.mask == {}


def test_transparency_as_mask():
    keys = {"use_alpha_as_mask": True, "init_image": "cut.png"}
    assert film(**keys, use_init=True).animation.alpha_mask
    assert not film(**keys).animation.alpha_mask


def test_guided_images_from_json_in_a_text():
    pictures = {"0": "a.png", "max_f/2": "b.png", "60": "https://example.org/c.png"}
    imported = film(
        use_looper=True, init_images=json.dumps(pictures, indent=4), image_strength_schedule="0:(0.65)",
        blendFactorMax="0:(0.4)", blendFactorSlope="0:(0.2)", tweening_frames_schedule="0:(10)",
        color_correction_factor="0:(0.1)", strength_schedule="0:(0.9)", seed_schedule="0:(3)", seed_behavior="iter",
    )  # fmt: skip
    guided = imported.animation
    assert guided.guides == {"0": "a.png", "max_f/2": "b.png"}
    assert "60: an address on the web" in said(imported, "init_images").why
    assert guided.values("denoise") == pytest.approx([0.497] * 120, abs=2e-3)
    assert guided.seeds.tolist() == [3] * 120
    assert [guided.at(0).guide, guided.at(80).guide] == ["a.png", "b.png"]
    values = [guided.values(f"guide_{name}")[0] for name in ("blend_max", "blend_slope", "tween", "color")]
    assert values == [0.4, 0.2, 10, 0.1]
    assert said(imported, "strength_schedule").fate == "meaningless"


def test_guided_images_that_are_off_or_elsewhere():
    pictures = '{"0": "https://example.org/a.png"}'
    assert film(init_images=pictures).animation.guides == {}
    away = film(use_looper=True, init_images=pictures, strength_schedule="0:(0.65)", image_strength_schedule="0:(0.9)")
    assert away.animation.guides == {}
    assert away.animation.strength_schedule is not None
    assert said(away, "image_strength_schedule").why == "no pictures guide this film"


def test_paths_whose_backslashes_were_not_doubled():
    imported = film(use_init=True, init_image="pictures\temp\new.png")
    assert imported.animation.init_image == "pictures\\temp\\new.png"

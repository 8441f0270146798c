"""Odd films at the command line: what `koshi check`, `render`, `preview` and `plot` make of them, and what they say."""

import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from koshi_flux import cli
from koshi_flux.output.png import read_png
from tests.input.videos import video

HEAD = 'koshi = 1\nmodel = "toy"\nprompts = "a misty sea"\n'


def texture(height=112, width=144):
    noise = np.random.default_rng(3).random((height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """A folder of what films are made from."""
    folder = tmp_path_factory.mktemp("material")
    views = [np.ascontiguousarray(texture()[40 - 2 * i :, 60 - 3 * i :][:48, :64]) for i in range(8)]
    half = np.zeros((20, 30, 3), np.uint8)
    half[:, 15:] = 255
    video(folder / "pan.mp4", views)
    video(folder / "short.mp4", views[:3])
    video(folder / "masks.mp4", [half.repeat(2, 0).repeat(2, 1)] * 9)
    for name, pixels in (("half", half), ("start", views[0]), ("guide", views[7])):
        cv2.imwrite(str(folder / f"{name}.png"), pixels[..., ::-1])
    cv2.imwrite(str(folder / "cut.png"), np.dstack((views[0], cv2.resize(half, (64, 48))[..., 0])))
    (folder / "torn").mkdir()
    for i, view in enumerate(views):
        cv2.imwrite(str(folder / f"torn/{i}.png"), view)
    (folder / "torn/3.png").write_bytes(b"torn")
    (folder / "junk.mp4").write_bytes(b"junk" * 100)
    return folder


@pytest.fixture
def koshi(monkeypatch, capsys, tmp_path, material):
    """Run a command on a film of some settings, in a folder with its material; exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    (tmp_path / "m").symlink_to(material)

    def run(command, settings, *words):
        Path("film.toml").write_text(HEAD + settings)
        monkeypatch.setattr(sys, "argv", ["koshi", command, "film.toml", *words])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        said = capsys.readouterr()
        return stopped.value.code or 0, said.out, said.err

    return run


FILMS = {
    "folds, space, cadence, masks and a lead at once": """
        mode = "3d"
        depth = "plane"
        frames = 7
        size = [96, 48]
        symmetry = "kaleidoscope"
        cadence = 3
        translation_z = 4
        rotation_3d_y = "0:(0), 6:(3)"
        mask = "{video_mask} & ![m/half.png]"
        mask_video = "m/masks.mp4"
        video = "m/pan.mp4"
        hybrid_motion = "flow"
        hybrid_composite = "after-generation"
        hybrid_mask = "difference"
        shake = "walk"
    """,
    "one frame, upright": "frames = 1\nsize = [48, 96]\nzoom = 1.1\ncadence = 4",
    "one frame in space, as small as can be": """
        mode = "3d"
        depth = "plane"
        frames = 1
        size = [16, 16]
        shake = "vehicle"
    """,
    "a wide video with bars": """
        mode = "video"
        frames = 5
        size = [80, 32]
        video = "m/short.mp4"
        video_fit = "contain"
        video_coherence = 0.7
        uncovered = "redraw"
        symmetry = "quad"
        echo = 0.3
    """,
    "an upright loop": """
        mode = "interpolation"
        frames = 8
        size = [32, 64]
        loop = true
        cadence = 2
        cadence_flow = "dis"
        embedding_blend = "slerp"
    """,
    "a shaking ransac from a cut-out": """
        mode = "ransac"
        frames = 7
        size = [64, 48]
        video = "m/pan.mp4"
        video_step = 2
        video_short = "loop"
        shake = "handheld"
        keyframe_distribution = "redistributed"
        cadence = 4
        alpha_mask = true
        init_image = "m/cut.png"
    """,
    "guides, seeds and a perspective of the last picture": """
        frames = 5
        size = [64, 80]
        seed_behavior = "schedule"
        seed_schedule = "0:(7), 4:(9)"
        subseed = 3
        subseed_strength = "0:(0), 4:(1)"
        guides = "m/guide.png"
        guide_denoise = 0.4
        hybrid_motion = "perspective"
        hybrid_motion_source = "previous"
        video = "m/pan.mp4"
        zoom = 1.02
        cadence = 2
    """,
    "a still as a video": 'mode = "video"\nframes = 2\nsize = [16, 48]\nvideo = "m/half.png"\nvideo_fit = "stretch"',
    "a lens that changes, mixed by depth": """
        mode = "3d"
        depth = "m/half.png"
        frames = 4
        size = [48, 64]
        hybrid_composite = "before-motion"
        hybrid_mask = "depth"
        hybrid_mask_equalize = "both"
        video = "m/pan.mp4"
        video_init = true
        init_denoise = 0.2
        fov = "0:(70), 3:(30)"
        translation_z = 10
        save_depth = true
    """,
    "nothing moves and nothing is drawn": """
        frames = 3
        size = [32, 32]
        denoise = 0
        noise_mask = "m/half.png"
    """,
}


def said_of(name):
    """The film's settings, its frames and its size."""
    text = "\n".join(line.strip() for line in FILMS[name].strip().splitlines())
    lines = dict(line.split(" = ", 1) for line in text.splitlines())
    width, height = (int(side) for side in lines["size"].strip("[]").split(","))
    return text + "\n", int(lines["frames"]), (width, height)


@pytest.mark.parametrize("name", FILMS)
def test_odd_films_are_checked_rendered_and_previewed(koshi, name):
    settings, frames, (width, height) = said_of(name)
    counted = f"{frames} frame{'s' * (frames != 1)} of {width}x{height} at 24 fps"
    code, said, _ = koshi("check", settings)
    assert (code, counted in said) == (0, True)
    code, out, _ = koshi("render", settings)
    assert (code, out.strip().endswith("runs/film/film.mp4")) == (0, True)
    assert said.splitlines()[:-1] == out.splitlines()[: len(said.splitlines()) - 1], "both say the same of the film"
    files = sorted(Path("runs/film/frames").iterdir())
    assert [read_png(file).shape for file in files] == [(height, width, 3)] * frames
    code, out, _ = koshi("preview", settings)
    assert (code, "film-preview.mp4" in out) == (0, True)
    with av.open("film-preview.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == frames
    code, out, _ = koshi("render", settings, "--resume")
    assert (code, "Every frame was there already" in out) == (0, True)


SMALL = "frames = 6\nsize = [64, 48]\n"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ('mode = "video"\nvideo = "gone.mp4"', "video: there is no file gone.mp4; name a video that is there"),
        ('mode = "video"\nvideo = "m/junk.mp4"', "junk.mp4 cannot be read as a video"),
        ('mode = "ransac"', "mode = 'ransac' needs `video`: say which, for example video = 'dance.mp4'"),
        ('mask = "gone.png"', "mask: there is no picture gone.png"),
        ('[guides]\n0 = "m/guide.png"\n3 = "gone.png"', "guides: there is no picture gone.png"),
        ('init_image = "m/start.png"\nalpha_mask = true', "has no transparency that could be a mask"),
        ('mode = "3d"\ndepth = "gone.mp4"', "depth: there is no file gone.mp4"),
        ('mode = "3d"\ndepth = "midass"', "depth: there is no 'midass', did you mean 'midas'?"),
        ('mask = "{sky} & {mask}"', "unknown mask {sky}"),
        ('video = "m/pan.mp4"\nvideo_start = 99\nmode = "video"', "video_start = 99 lies beyond the end"),
    ],
)
@pytest.mark.parametrize("command", ["check", "render"])
def test_law_10_bad_material_is_one_paragraph_before_anything_starts(koshi, command, settings, says):
    code, _, err = koshi(command, SMALL + settings + "\n")
    assert code == 2
    assert says in err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            'mode = "video"\nvideo = "m/short.mp4"',
            "video: short.mp4 gives 3 frames, the film has 6: its last one is held from frame 3 on",
        ),
        ('mode = "video"\nvideo = "m/short.mp4"\nvideo_short = "loop"', "it starts over every 3 frames"),
        ("cadence = 9", "cadence 9 is more than the film's 6 frames"),
        ('mode = "3d"\ndepth = "plane"\nzoom = 1.1', "mode '3d' has no use for zoom: it changes nothing"),
        (
            'mode = "video"\nvideo = "m/pan.mp4"\nshake = "walk"',
            "mode 'video' has no use for shake: it changes nothing",
        ),
        ('mode = "interpolation"\ndenoise = 0.5', "mode 'interpolation' has no use for denoise: it changes nothing"),
        ('shake = "walk"', "moving: angle, translation_x, translation_y"),
    ],
)
def test_what_a_user_should_hear_is_said(koshi, settings, says):
    code, out, _ = koshi("check", SMALL + settings + "\n")
    assert code == 0
    assert says in out


def test_nothing_is_said_of_what_the_user_did_not_write(koshi):
    code, out, _ = koshi("check", SMALL + 'mode = "interpolation"\n')
    assert code == 0
    assert len(out.splitlines()) == 2


def test_a_plot_draws_the_new_schedules_and_the_shaking(koshi):
    settings = """
        symmetry_angle = "0:(0), 5:(90)"
        echo = "0:(0), 5:(0.5)"
        subseed_strength = "0:(0), 5:(1)"
        shake = "handheld"
        video_coherence = "0:(0), 5:(1)"
        fov = 60
    """
    code, out, _ = koshi("plot", SMALL + "\n".join(line.strip() for line in settings.splitlines()))
    assert code == 0
    drawn = out[out.index("(") + 1 : out.rindex(")")].split(", ")
    shaken = {"angle", "translation_x", "translation_y"}
    assert set(drawn) == {"symmetry_angle", "echo", "subseed_strength", "video_coherence", *shaken}


def test_a_video_that_breaks_on_the_way_is_one_paragraph_and_the_frames_are_kept(koshi):
    code, _, err = koshi("render", SMALL + 'mode = "video"\nvideo = "m/torn"\n')
    assert code == 2
    assert "3.png cannot be read as a picture" in err
    assert [file.name for file in sorted(Path("runs/film/frames").iterdir())] == [f"{i:06d}.png" for i in range(3)]
    with av.open("runs/film/film.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == 3


def test_motion_that_cannot_be_told_is_said_aloud_and_the_film_goes_on(koshi):
    """16 pixels are too few to find the same corners twice."""
    code, _, err = koshi("render", 'frames = 2\nsize = [16, 16]\nmode = "ransac"\nvideo = "m/pan.mp4"\n')
    assert code == 0
    assert "guide video, frame 1: only" in err
    assert "the camera holds still there" in err

"""Whatever is done to a settings file, it is imported or one of our errors says why not. Nothing else, and soon.

300 cases are tried; `KOSHI_FUZZ_CASES=10000 pytest tests/schedule/importing/test_fuzz.py` tries more. A case is its
number: it makes the same file every time.
"""

import json
import os
import random
import time
from functools import cache
from pathlib import Path
from typing import Any

from koshi_flux.errors import KoshiError
from koshi_flux.schedule.files import dump_film, parse_film
from koshi_flux.schedule.importing import import_film
from tests.schedule.importing.deforum_files import FILES, corpus

CASES = int(os.environ.get("KOSHI_FUZZ_CASES", "300"))
LIMIT = 20.0
"""Seconds of processor time that a case may take, with every call's types checked."""

SOURCES = (*(f"settings/{file}" for file in FILES), "parseq/webui_test_manifest.json")
PIECES = [
    *("{", "}", "[", "]", ",", ":", '"', "'", "\\", "//", "/*", "#", "\n", "\ufeff", "\x00", '"""', "NaN", "Infinity"),
    *("-", "1e999", "None", "True", "0:(", ")", "0: (", "--neg", "max_f", "s", "t", "\\u12", "\\ud800", "é", "🐰"),
    *("`", "@", "^", "(a:1.2)", '"zoom": "0:(2)",', "9" * 400, "{" * 60, "://", "C:\\", "/0", "**9**9", "deforum"),
]
VALUES: list[Any] = [
    *(None, True, False, "", "None", "null", 0, -1, 1, 2, 0.5, -0.5, 1e300, 10**30, 10_000, "0", "1.5", "x", "0:(1)"),
    *("0:(t)", "0:(1/t)", "5:(3)", "0:(1), 50:(2),", "0:(-99)", "0:(99999)", "0:(where(t<5,1,2))", "0:(log(-1))"),
    *([], {}, [1, "a"], {"0": "a"}, {"-3": "b"}, {"max_f/0": "c"}, {"0": None}, {"0": 3}, "{'0': 'x.png'}", '{"0": 5}'),
    *("3D", "Video Input", "Interpolation", "video.mp4", "https://example.org/v.mp4", "C:\\a.png", "RAFT", "Normal"),
    *("Optical Flow", "Depth", "Additive", "schedule", "a " * 11_000, "a:1 b:-1", "((a:1.2):1.3)", "\ud800", "a\x00b"),
]
SWITCHES = [
    *("use_init", "use_mask", "use_mask_video", "use_looper", "use_noise_mask", "use_alpha_as_mask"),
    *("enable_perspective_flip", "enable_steps_scheduling", "enable_subseed_scheduling", "hybrid_use_init_image"),
    *("animation_mode", "hybrid_motion", "hybrid_composite", "hybrid_comp_mask_type", "seed_behavior", "init_images"),
    *("init_image", "video_init_path", "video_mask_path", "mask_file", "keyframe_distribution", "parseq_manifest"),
    *("max_frames", "fps", "W", "H", "seed", "prompts", "strength_schedule", "fov_schedule", "interpolate_x_frames"),
]
"""Keys that let others count, so that these are tried too."""


@cache
def source(name: str) -> str:
    return corpus(name).read_text(encoding="utf-8")


def mutated(case: int) -> str:
    """The file of a case: characters or values of a real one, changed in one to four places."""
    chance = random.Random(case)
    text = source(chance.choice(SOURCES))
    if chance.random() < 0.95:
        held = json.loads(text)
        some = set(chance.sample(list(held), k=min(15, len(held)))).union(SWITCHES)
        text = json.dumps({key: value for key, value in held.items() if key in some}, indent=4)
    changes = chance.choice((1, 1, 2, 4))
    return _other_values(text, changes, chance) if chance.random() < 0.6 else _other_text(text, changes, chance)


def _other_values(text: str, changes: int, chance: random.Random) -> str:
    held = json.loads(text)
    for _ in range(changes):
        key = chance.choice(SWITCHES if chance.random() < 0.5 else list(held))
        held[key] = chance.choice(VALUES)
    return json.dumps(held)


def _other_text(text: str, changes: int, chance: random.Random) -> str:
    for _ in range(changes):
        start = chance.randrange(len(text) + 1)
        stop = start + chance.choice((0, 1, 1, 3, 20, 400))
        piece = chance.choice((*PIECES, "", text[start:stop] * 2))
        text = text[:start] + piece + text[stop:]
        if chance.random() < 0.1:
            text = text[: chance.randrange(len(text) + 1)]
    return text


def imported(file: Path) -> bool:
    """Whether a file is imported, into a film that is the same from its film file."""
    try:
        film = import_film(file)
    except KoshiError:
        return False
    assert film.markdown()
    assert parse_film(dump_film(film.animation)) == film.animation
    return True


def test_mutated_files_are_imported_or_refused_in_our_words(tmp_path):
    file = tmp_path / "settings.txt"
    read = 0
    for case in range(CASES):
        file.write_text(mutated(case), encoding="utf-8")
        started = time.process_time()
        try:
            read += imported(file)
        except Exception as error:
            raise AssertionError(f"case {case}: {error!r}") from error
        assert time.process_time() - started < LIMIT, case
    assert read > CASES / 4  # not all are refused, so that what lies behind reading is tried

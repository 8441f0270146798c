"""Every example of docs/schedules.md."""

import contextlib
import io
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from koshi_flux.errors import ScheduleError
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.expression import CONSTANTS, FILM_VARIABLES, FRAME_VARIABLES
from koshi_flux.schedule.functions import BINARY, KOSHI, PREFIX
from koshi_flux.schedule.prompts import PromptSchedule
from koshi_flux.shared.parameters import PromptBlend

PAGE = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text(encoding="utf-8")
FRAMES, SEED = 25, 7


def cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def tables() -> Iterator[tuple[list[str], list[list[str]]]]:
    for block in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE):
        header, _, *rows = block.splitlines()
        yield cells(header), [cells(row) for row in rows]


def rows_of(first: str) -> list[tuple[str, dict[str, str]]]:
    """(code, other cells by header) of all tables whose first column is headed `first`."""
    return [
        (
            row[0].strip("`").strip() if "``" in row[0] else row[0].strip("`"),
            dict(zip(header[1:], row[1:], strict=True)),
        )
        for header, rows in tables()
        if header[0] == first
        for row in rows
    ]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def shown(blend: PromptBlend) -> str:
    return " + ".join(f"{weight:.4g} \N{MULTIPLICATION SIGN} {text}" for text, weight in blend).strip()


@pytest.mark.parametrize(("code", "row"), rows_of("write"))
def test_a_schedule_has_the_values_the_page_says(code, row):
    for header, cell in row.items():
        if (place := re.fullmatch(r"(?:(\w+), )?frame (\d+)", header)) is None:
            continue
        dialect, frame = place.groups(default="koshi")
        if cell == "error":
            with pytest.raises(ScheduleError):
                Schedule.parse(code, dialect=dialect).values(FRAMES, seed=SEED)
        else:
            value = Schedule.parse(code, dialect=dialect).values(FRAMES, seed=SEED)[int(frame)]
            assert value == pytest.approx(float(cell), rel=5e-4, abs=1e-12), header


@pytest.mark.parametrize(("code", "row"), rows_of("prompt"))
def test_a_prompt_is_the_blend_the_page_says(code, row):
    values = PromptSchedule.parse(code).values(FRAMES, seed=SEED)
    assert {header: shown(values[int(header.removeprefix("frame "))][0]) for header in row} == row


@pytest.mark.parametrize("block", blocks("error"))
def test_an_error_reads_as_the_page_says(block):
    first, message = block.split("\n", 1)
    name, text = first.split(" = ")
    with pytest.raises(ScheduleError) as caught:
        Schedule.parse(text, name).values(FRAMES)
    assert str(caught.value) == message.rstrip("\n")


def test_the_films_of_the_page_have_the_prompts_it_says():
    films = [film for block in blocks("toml") if "prompts" in (film := tomllib.loads(block))]
    expected = [rows for header, rows in tables() if header == ["frame", "prompt", "negative"]]
    for film, rows in zip(films, expected, strict=True):
        schedule = PromptSchedule.parse(
            film["prompts"], film.get("prompt_blend", "hold"), negative=film.get("negative_prompt", "")
        )
        values = schedule.values(FRAMES)
        assert [[frame, *map(shown, values[int(frame)])] for frame, *_ in rows] == rows


def test_the_first_example_is_a_film():
    for name, value in tomllib.loads(blocks("toml")[0]).items():
        assert Schedule.parse(value, name).values(FRAMES).shape == (FRAMES,)


def test_every_name_and_sign_has_an_example():
    words = {word for code, _ in rows_of("write") for word in re.findall(r"[a-z_0-9]+|\W+?", code.replace(" ", ""))}
    codes = " ".join(code for code, _ in rows_of("write"))
    assert words >= KOSHI.keys() | FILM_VARIABLES | FRAME_VARIABLES | CONSTANTS.keys()
    assert all(sign in codes for sign in BINARY.keys() | PREFIX.keys())


def test_the_python_of_the_page_prints_what_its_comments_say():
    (code,) = blocks("python")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, {})
    assert printed.getvalue().splitlines() == re.findall(r"# (.*)$", code, re.MULTILINE)

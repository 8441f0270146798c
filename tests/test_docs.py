"""The examples of the documentation work as printed (with fewer frames)."""

import re
from pathlib import Path

import pytest

from koshi_flux import load_film
from koshi_flux.schedule.files import parse_film

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_film_file_in_the_documentation_is_valid(page):
    for text in blocks(page, "toml"):
        if text.startswith("koshi = 1"):
            parse_film(text)


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs/extending.md"], ids=lambda page: page.stem)
def test_the_python_lines_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = blocks(page, "python")[0].replace("frames=72", "frames=2")
    exec(compile(code, str(page), "exec"), {})
    assert capsys.readouterr().out


def test_the_python_lines_of_the_readme_are_valid_films():
    from koshi_flux.schedule.animation import Animation

    for code in blocks(ROOT / "README.md", "python"):
        call = code[code.index("KoshiFlux(") :]
        given = eval("dict" + call[call.index(".animate") + len(".animate") :].split("\nprint")[0])
        Animation(prompts=given.pop("prompt"), **given)


@pytest.mark.parametrize("film", sorted((ROOT / "examples").glob("*.toml")), ids=lambda film: film.stem)
def test_every_example_is_a_film(film):
    assert load_film(film).frames > 1


def test_links_in_the_documentation_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"

"""What is said before a film begins."""

import pytest

from koshi_flux.pipeline.factory import SPECS
from koshi_flux.pipeline.notes import notes
from koshi_flux.schedule.animation import Animation


@pytest.mark.parametrize("name", ["flux.2-klein-4b", "flux.1-dev", "flux.2-dev"])
def test_negative_prompts_that_do_nothing_are_named(name):
    spec = SPECS[name]
    film = Animation(prompts={"0": "a lake --neg people", "5": "a city"}, negative_prompt="blur", frames=6).resolved(
        spec
    )
    (note,) = notes(film, spec)
    assert note.startswith(f"{name} cannot be told what to avoid, so negative prompts do nothing: ")
    assert "blur" in note
    assert "people" in note


def test_negative_prompts_that_work_and_none_at_all_need_no_word():
    base, klein = SPECS["flux.2-klein-base-4b"], SPECS["flux.2-klein-4b"]
    assert list(notes(Animation(prompts={"0": "a lake"}, negative_prompt="blur").resolved(base), base)) == []
    assert list(notes(Animation(prompts={"0": "a lake"}).resolved(klein), klein)) == []

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.schedule.prompts import PromptSchedule
from koshi_flux.schedule.walk import Step, looped, prompt_keys, walk

FILM = PromptSchedule.parse({0: "a", 4: "b", 8: "c"}, blend="linear")


def texts(prompts, frames):
    return [dict(prompt) for prompt, _ in prompts.values(frames)]


def test_the_walk_stays_at_the_last_prompt():
    steps = walk((0, 4, 8), 12, seed=50)
    assert [(step.start, step.end, step.share) for step in steps] == [
        (0, 0, 0), (0, 1, 0.25), (0, 1, 0.5), (0, 1, 0.75),
        (1, 1, 0), (1, 2, 0.25), (1, 2, 0.5), (1, 2, 0.75),
        (2, 2, 0), (2, 2, 0), (2, 2, 0), (2, 2, 0),
    ]  # fmt: skip
    assert steps[5] == Step(1, 2, 0.25, (51, 52))


def test_a_loop_walks_back_to_the_first_prompt_in_its_last_segment():
    steps = walk((0, 4, 8), 12, seed=50, loop=True)
    assert [(step.start, step.end, step.share) for step in steps[8:]] == [
        (2, 2, 0), (2, 0, 0.25), (2, 0, 0.5), (2, 0, 0.75),
    ]  # fmt: skip
    assert steps[11].seeds == (52, 50)


def test_before_its_key_the_first_prompt_holds_and_a_key_after_the_end_is_moved_towards():
    assert [step.share for step in walk((2, 10), 7)] == [0, 0, 0, 0.125, 0.25, 0.375, 0.5]


def test_a_loop_leaves_out_what_comes_after_its_end():
    assert walk((0, 5, 20), 10, loop=True) == walk((0, 5), 10, loop=True)
    assert [step.share for step in walk((20, 30), 3, loop=True)] == [0, 0, 0]


def test_eased_steps_are_smoothstep():
    assert [step.share for step in walk((0, 4), 5, blend="ease")] == [0, 0.15625, 0.5, 0.84375, 0]


def test_seeds_wrap_at_32_bits():
    assert walk((0, 4), 5, seed=2**32 - 1)[2].seeds == (2**32 - 1, 0)


def test_looped_prompts_blend_back_to_the_first():
    assert texts(looped(FILM, 12), 12)[8:] == [
        {"c": 1},
        {"c": 0.75, "a": 0.25},
        {"c": 0.5, "a": 0.5},
        {"c": 0.25, "a": 0.75},
    ]
    assert texts(looped(FILM, 12), 12)[:8] == texts(FILM, 12)[:8]
    assert looped(FILM, 12).texts(12)[0] == ("a", "b", "c")


def test_looped_prompts_know_keys_that_are_maths():
    prompts = PromptSchedule.parse({"max_f/2": "b --neg x", 0: "a", 99: "z"}, blend="linear")
    values = looped(prompts, 11).values(11)
    assert dict(values[8][0]) == pytest.approx({"b": 0.5, "a": 0.5})
    assert dict(values[8][1]) == pytest.approx({"x": 0.5, "": 0.5})
    assert "z" not in looped(prompts, 11).texts(11)[0]


def test_a_single_prompt_loops_to_itself():
    assert texts(looped(PromptSchedule.parse("a", blend="linear"), 5), 5) == [{"a": 1}] * 5
    late = PromptSchedule.parse({50: "a"}, blend="linear")
    assert texts(looped(late, 5), 5) == [{"a": 1}] * 5


def test_the_keys_of_prompts_are_frames():
    prompts = PromptSchedule.parse({"max_f": "c", 0: "a", "fps/2": "b", 99: "z"})
    assert prompt_keys(prompts, 25) == (0, 12, 24, 99)
    assert prompt_keys(prompts, 25, fps=30.0) == (0, 15, 24, 99)


@given(
    keys=st.sets(st.integers(0, 30), min_size=1, max_size=6),
    frames=st.integers(1, 40),
    loop=st.booleans(),
    blend=st.sampled_from(["linear", "ease"]),
)
def test_noise_walks_in_step_with_the_prompts(keys, frames, loop, blend):
    keys = sorted(keys)
    prompts = PromptSchedule.parse({key: f"prompt {i}" for i, key in enumerate(keys)}, blend=blend)
    prompts = looped(prompts, frames) if loop else prompts
    steps = walk(keys, frames, loop=loop, blend=blend)
    assert len(steps) == frames
    for step, blended in zip(steps, texts(prompts, frames), strict=True):
        expected = {f"prompt {step.start}": 0.0, f"prompt {step.end}": 0.0}
        expected[f"prompt {step.start}"] += 1 - step.share
        expected[f"prompt {step.end}"] += step.share
        found = {text: blended.get(text, 0.0) for text in expected}
        assert found == pytest.approx(expected, abs=1e-9)

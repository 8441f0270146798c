"""ComfyUI graphs: the settings that reach the iterator are the film, and no node is left out of the report."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koshi_flux.errors import KoshiError, ScheduleError, SettingsError
from koshi_flux.schedule.files import dump_film, parse_film
from koshi_flux.schedule.importing.comfy import is_comfy, read_comfy
from koshi_flux.schedule.importing.comfy_nodes import LAYOUTS, named
from koshi_flux.schedule.importing.report import Entry, Imported, Options
from koshi_flux.schedule.strength import denoise_from_strength
from tests.schedule.importing.graphs import BASE, CAMERA, DIFFUSION, OLD_BASE, api, beside, node, saved, xmyx


def read(graph: dict, **options: object) -> Imported:
    assert is_comfy(graph)
    return read_comfy(graph, Options(**options))


def entry(imported: Imported, key: str) -> Entry:
    (found,) = [entry for entry in imported.entries if entry.key == key]
    return found


def test_a_saved_graph_becomes_a_film():
    film = read(xmyx()).animation
    assert film.prompts == {"0": "a planet in space, explosion", "30": "a desert --neg people"}
    assert (film.mode, film.frames, film.size, film.border) == ("2d", 48, (512, 448), "wrap")
    assert (film.seed, film.seed_behavior) == (478403467058392 % 2**32, "iter")
    assert film.values("angle")[9] == 0.5
    assert film.values("zoom")[20] == pytest.approx(1.02)
    assert film.values("translation_x")[9] == 2


def test_of_stable_diffusion_denoise_is_1_less_strength():
    film = read(xmyx()).animation
    keep = 1 - np.interp(np.arange(48), [0, 20], [0.5, 0.6])
    assert film.values("strength_schedule") == pytest.approx(keep, abs=1e-9)
    assert film.values("denoise") == pytest.approx(denoise_from_strength(keep), abs=1e-9)


def test_of_flux_denoise_is_a_time_on_comfyuis_curve():
    imported = read(api())
    e = math.exp(1.15)
    assert imported.animation.values("denoise")[1] == pytest.approx(e / (e + 1 / 0.65 - 1), abs=1e-6)
    assert imported.animation.values("steps")[1] == 25
    assert entry(imported, "DeforumDiffusionParamsNode.strength_schedule").to.startswith("denoise = 0.854")


@pytest.mark.parametrize(("strength", "mode"), [("steps", "steps"), ("direct", "sigma")])
def test_what_fluxs_denoise_becomes_can_be_chosen(strength, mode):
    film = read(api(), strength=strength).animation
    assert (film.values("denoise")[1], film.denoise_mode) == (pytest.approx(0.65), mode)


def test_a_schedule_of_maths_is_turned_round_as_maths():
    diffusion = DIFFUSION.copy()
    diffusion[1] = "0: (0.5+0.1*sin(t)), 30: (0.4)"
    graph = saved(node("DeforumPromptNode", "0: a"), node("DeforumDiffusionParamsNode", *diffusion))
    kept = read(graph).animation.values("strength_schedule")
    t = np.arange(30)
    assert kept[:29] == pytest.approx(1 - (0.5 + 0.1 * np.sin(t[:29])), abs=1e-9)
    assert kept[30:] == pytest.approx(0.6)


def test_every_value_and_node_is_reported():
    imported = read(xmyx())
    assert not imported.of("unknown")
    keys = [entry.key for entry in imported.entries]
    assert len(keys) == len(set(keys))
    assert keys[:4] == [
        *("DeforumPromptNode.prompts", "DeforumAnimParamsNode.animation_mode"),
        *("DeforumAnimParamsNode.max_frames", "DeforumAnimParamsNode.border"),
    ]
    for kind, values in (("Base", BASE), ("Translation", CAMERA), ("Diffusion", DIFFUSION)):
        assert sum(key.startswith(f"Deforum{kind}ParamsNode.") for key in keys) == len(values)
    assert entry(imported, "CheckpointLoaderSimple.ckpt_name").fate == "meaningless"
    assert entry(imported, "VAEDecode 8").fate == "meaningless"
    assert entry(imported, "DeforumIteratorNode.control_after_generate").to == "seed_behavior = iter"


def test_an_older_base_node_has_its_own_order():
    graph = saved(node("DeforumPromptNode", "0: a"), node("DeforumBaseParamsNode", *OLD_BASE))
    film = read(graph).animation
    assert (film.size, film.seed_behavior) == ((1024, 1024), "fixed")


def test_a043_writes_its_switches_last():
    values = ["0:(0.02)", "0:(0.65)", "0:(1.0)", "0:(3.5)", "0:(0)", "0:(1)", False, "0:(25)", False, False]
    assert named("DeforumDiffusionParamsNode", values)["steps_schedule"] == "0:(25)"
    assert named("DeforumDiffusionParamsNode", DIFFUSION)["ddim_eta_schedule"] == "0:(0)"


def test_no_two_orders_of_a_node_can_be_mistaken():
    for layouts in LAYOUTS.values():
        for layout in layouts:
            assert len(set(layout)) == len(layout)


def test_a_node_of_an_unknown_version_says_how_it_can_be_read():
    graph = saved(node("DeforumPromptNode", "0: a"), node("DeforumAnimParamsNode", 1, 2))
    (unread,) = read(graph).of("unknown")
    assert (unread.key, unread.value) == ("DeforumAnimParamsNode 2", [1, 2])
    assert "save the graph in the API format" in unread.why


def test_newer_graphs_name_their_widgets():
    named_node = node("DeforumPromptNode")
    named_node["widgets_values"] = {"prompts": "0: a | 9: b"}
    assert read(saved(named_node)).animation.prompts == {"0": "a", "9": "b"}


def test_nodes_that_are_switched_off_do_not_count():
    graph = xmyx(beside("DeforumHybridMotionNode", "RAFT", mode=4))
    graph["nodes"][2]["mode"] = 4  # the camera is bypassed: the chain goes on before it
    imported = read(graph)
    assert not imported.animation.values("angle").any()
    assert imported.animation.frames == 48
    assert entry(imported, "DeforumTranslationParamsNode 3").why == "switched off in the graph"
    assert entry(imported, "DeforumHybridMotionNode 9").why == "switched off in the graph"


def test_settings_that_reach_no_iterator_do_not_count():
    imported = read(xmyx(beside("DeforumAnimParamsNode", "3D", 99, "wrap")))
    assert imported.animation.frames == 48
    assert entry(imported, "DeforumAnimParamsNode 9").why == "its settings reach no node that uses them"


def test_of_two_nodes_in_a_chain_the_later_counts():
    graph = saved(
        node("DeforumPromptNode", "0: a"),
        node("DeforumAnimParamsNode", "2D", 10, "wrap"),
        node("DeforumAnimParamsNode", "2D", 20, "wrap"),
        node("DeforumSingleSampleNode"),
    )
    assert read(graph).animation.frames == 20


def test_the_chain_goes_through_reroutes():
    graph = saved(
        node("DeforumPromptNode", "0: a cave"),
        {"type": "Reroute", "chained": False, "inputs": [{"name": "", "link": 77}]},
        node("DeforumIteratorNode", "stable_diffusion", 3, "fixed", 0, 0.8, 0.1, False, False),
    )
    graph["links"].append([77, 1, 0, 2, 0, "*"])
    assert read(graph).animation.prompts == {"0": "a cave"}


def test_a_chain_that_bites_its_tail_ends():
    graph = api()
    graph["5"]["inputs"]["deforum_data"] = ["1", 0]
    assert read(graph).animation.size == (512, 448)


def test_a_group_node_holds_the_values_of_its_nodes():
    inner = [
        {"type": "DeforumAnimParamsNode", "widgets_values": ["2D", 150, "wrap"], "index": 0},
        {"type": "DeforumTranslationParamsNode", "widgets_values": CAMERA, "index": 1},
    ]
    graph = saved(
        node("DeforumPromptNode", "0: a"),
        node("workflow/Deforum Parameters", "2D", 33, "replicate", *CAMERA),
        node("DeforumIteratorNode", "stable_diffusion", 3, "fixed", 0, 0.8, 0.1, False, False),
        extra={"groupNodes": {"Deforum Parameters": {"nodes": inner}}},
    )
    film = read(graph).animation
    assert (film.prompts, film.frames, film.values("angle")[1]) == ({"0": "a"}, 33, 0.5)


def test_a_subgraph_holds_nodes():
    inner = [node("DeforumAnimParamsNode", "2D", 44, "wrap", id=7)]
    graph = saved(
        node("DeforumPromptNode", "0: a"),
        node("0b0e-uuid"),
        node("DeforumIteratorNode", "stable_diffusion", 3, "fixed", 0, 0.8, 0.1, False, False),
        definitions={"subgraphs": [{"id": "0b0e-uuid", "nodes": inner}]},
    )
    assert read(graph).animation.frames == 44


def test_a_value_that_another_node_holds_is_followed():
    held = {"class_type": "PrimitiveInt", "inputs": {"value": 24}}
    animation = {"class_type": "DeforumAnimParamsNode", "inputs": {"animation_mode": "2D", "max_frames": ["20", 0]}}
    graph = api(**{"20": held, "21": animation})
    graph["5"]["inputs"]["deforum_data"] = ["21", 0]
    assert read(graph).animation.frames == 24


def test_a_value_that_is_computed_while_the_graph_runs_is_unknown():
    graph = api(**{"20": {"class_type": "DeforumAmplitudeToString", "inputs": {"amplitude": ["21", 0]}}})
    graph["4"]["inputs"]["zoom"] = ["20", 0]
    (unknown,) = read(graph).of("unknown")
    assert unknown.key == "DeforumTranslationParamsNode.zoom"
    assert "node 20 (DeforumAmplitudeToString) while the graph runs" in unknown.why


def test_prompts_at_intervals_and_in_areas():
    lines = node("DeforumUnformattedPromptNode", "a cave\na hall\n\na sea", 20)
    assert read(saved(lines)).animation.prompts == {"0": "a cave", "20": "a hall", "60": "a sea"}
    areas = saved(
        node("DeforumAreaPromptNode", 0, "default", "stars", 1024, 1024, 0, 0, 0.7),
        node("DeforumAreaPromptNode", 0, "default", "a ship", 64, 64, 512, 512, 0.7),
        node("DeforumAreaPromptNode", 50, "default", "dust", 64, 64, 512, 512, 0.7),
    )
    imported = read(areas)
    assert imported.animation.prompts == {"0": "stars, a ship", "50": "dust"}
    (keyframe, *_) = [entry for entry in imported.entries if "keyframe" in entry.key]
    assert "each stands for the whole picture" in keyframe.why


def test_without_a_prompt_node_the_encoded_text_is_the_prompt():
    graph = api(**{"8": {"class_type": "CLIPTextEncode", "inputs": {"text": "a quiet lake"}}})
    del graph["5"]
    assert read(graph).animation.prompts == {"0": "a quiet lake"}


@pytest.mark.parametrize(("method", "blend"), [("linear", "linear"), ("sigmoidal", "ease"), ("none", "hold")])
def test_how_prompts_are_blended(method, blend):
    blending = {"class_type": "DeforumConditioningBlendNode", "inputs": {"blend_method": method, "clip": ["9", 0]}}
    assert read(api(**{"8": blending})).animation.prompt_blend == blend


def test_frames_per_second_and_the_video_stand_beside_the_chain():
    graph = xmyx(
        beside(
            "DeforumVideoSaveNode", "Deforum", 18, "libx265", "yuv420p", "mp4", 10, "max_frames", 0, *[True] * 6, {}
        ),
        beside("DeforumLoadVideo", "dance.mp4", "image"),
        beside("LoraLoader", "ink.safetensors", 0.8, 1.0),
    )
    imported = read(graph)
    assert imported.animation.fps == 18
    assert entry(imported, "DeforumVideoSaveNode.fps").to == "fps = 18"
    assert entry(imported, "DeforumVideoSaveNode.codec").fate == "meaningless"
    assert "--set lora.NAME=FILE" in entry(imported, "LoraLoader.lora_name").why
    assert entry(imported, "DeforumLoadVideo.video").key


def test_the_prompt_of_the_server_may_be_wrapped():
    assert read({"client_id": "x", "prompt": api()}).animation.size == (512, 448)


def test_a_film_in_space():
    graph = saved(
        node("DeforumPromptNode", "0: a canyon"),
        node("DeforumAnimParamsNode", "3D", 24, "wrap"),
        node("DeforumTranslationParamsNode", *CAMERA[:4], "0:(1.75)", *CAMERA[5:]),
        node("DeforumDepthParamsNode", True, "Zoe", 0.2, "reflection", "bicubic", False),
        node("DeforumCadenceParamsNode", 4, "None", "0: (1)", "None", "0: (1)", "0"),
    )
    film = read(graph).animation
    assert (film.mode, film.cadence, film.border) == ("3d", 4, "reflect")
    assert (film.values("translation_z") > 0).all()


@pytest.mark.parametrize("graph", [xmyx(), api()], ids=["saved", "api"])
def test_the_film_can_be_written_read_and_begun(graph):
    from koshi_flux.pipeline.render import render
    from koshi_flux.toy.model import ToyModel

    film = read(graph).animation
    assert parse_film(dump_film(film)) == film
    assert len(list(render(film.replaced(model="toy", size=(64, 48), frames=8, steps=1), ToyModel()))) == 8


@pytest.mark.parametrize(
    ("graph", "error", "message"),
    [
        (
            saved(node("DeforumAnimParamsNode", "2D", 0, "wrap")),
            SettingsError,
            "ComfyUI graph with Deforum nodes: max_f",
        ),
        (
            saved(node("DeforumTranslationParamsNode", "0:(sinn(t))", *CAMERA[1:])),
            ScheduleError,
            "angle: .*unknown function 'sinn'",
        ),
        (
            saved(node("DeforumDiffusionParamsNode", "0:(0)", "none", *DIFFUSION[2:])),
            ScheduleError,
            "strength_schedule: ",
        ),
        (
            {"1": {"class_type": "DeforumPromptNode", "inputs": ["a"]}},
            SettingsError,
            "node 1: inputs: expected a table",
        ),
    ],
)
def test_what_is_wrong_is_said(graph, error, message):
    with pytest.raises(error, match=message):
        read_comfy(graph, Options())


@pytest.mark.parametrize(
    "content",
    [
        *({}, [], "nodes", {"nodes": 3}, {"nodes": [1]}, {"nodes": []}, {"prompts": {"0": "a"}}),
        {"1": {"class_type": "KSampler", "inputs": {}}},
    ],
)
def test_other_files_are_not_taken_for_graphs(content):
    assert not is_comfy(content)


ANY = st.recursive(
    st.sampled_from([None, True, False, float("nan"), float("inf"), 2.5, -1, 7, 10**30]) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_a_graph_holds_only_our_errors_come_of_it(data):
    graph = data.draw(st.sampled_from([xmyx, api]))()
    nodes = graph["nodes"] if "nodes" in graph else list(graph.values())
    for _ in range(data.draw(st.integers(1, 4))):
        table = data.draw(st.sampled_from(nodes))
        key = data.draw(st.sampled_from(sorted(table)))
        inner = table[key]
        if isinstance(inner, list) and inner and data.draw(st.booleans()):
            inner[data.draw(st.integers(0, len(inner) - 1))] = data.draw(ANY)
        elif isinstance(inner, dict) and inner and data.draw(st.booleans()):
            inner[data.draw(st.sampled_from(sorted(inner)))] = data.draw(ANY)
        else:
            table[key] = data.draw(ANY)
    try:
        if is_comfy(graph):
            read_comfy(graph, Options())
    except KoshiError:
        pass

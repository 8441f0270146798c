"""ComfyUI graphs for tests, written as the screen saves them and in the API format."""

from typing import Any

CAMERA = ["0:(0.5)", "0:(1.01), 40:(1.03)", "0:(2)", "0:(0)", "0:(0)", "0:(0.5)", "0:(0.5)", "0:(0)", "0:(0)", "0:(0)"]
DIFFUSION = [
    "0: (0.03)",
    "0: (0.50), 20: (0.60)",
    "0: (1.0)",
    "0: (5)",
    False,
    "0: (25)",
    False,
    "0:(0)",
    False,
    "0:(1)",
]
BASE = [512, 448, "0: (-1)", "random", "euler", "normal", True, True, False]
OLD_BASE = [1024, 1024, "euler", "normal", 15, 6, 1, "Deforum_{timestring}", "fixed", 1, "output", 0.4] + [True] * 5
PROMPTS = "0:'a planet in space, explosion'\n30:'a desert --neg people'"


def saved(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Nodes with their settings handed from each to the next, as the screen saves them."""
    placed, links = [], []
    for number, node in enumerate(nodes, start=1):
        inputs = list(node.get("inputs", []))
        if number > 1 and node.pop("chained", True):
            inputs.insert(0, {"name": "deforum_data", "type": "deforum_data", "link": number})
            links.append([number, number - 1, 0, number, 0, "deforum_data"])
        placed.append({"id": number, "order": number, "mode": 0, **node, "inputs": inputs})
    return {"last_node_id": len(nodes), "nodes": placed, "links": links, "version": 0.4, **more}


def node(kind: str, *values: Any, **more: Any) -> dict[str, Any]:
    """A node with the values of its widgets."""
    return {"type": kind, "widgets_values": list(values), **more}


def beside(kind: str, *values: Any, **more: Any) -> dict[str, Any]:
    """A node that no settings come to."""
    return node(kind, *values, chained=False, **more)


def xmyx(*more: dict[str, Any], **also: Any) -> dict[str, Any]:
    """A graph of XmYx's pack as its present version saves it."""
    return saved(
        node("DeforumPromptNode", PROMPTS),
        node("DeforumAnimParamsNode", "2D", 48, "wrap"),
        node("DeforumTranslationParamsNode", *CAMERA),
        node("DeforumDiffusionParamsNode", *DIFFUSION),
        node("DeforumBaseParamsNode", *BASE),
        node("DeforumIteratorNode", "stable_diffusion", 478403467058392, "increment", 0, 0.8, 0.1, True, False, True),
        beside("CheckpointLoaderSimple", "realismXL.safetensors"),
        beside("VAEDecode"),
        *more,
        **also,
    )


def api(**changes: Any) -> dict[str, Any]:
    """The same film in the API format, for FLUX."""
    names = ("angle", "zoom", "translation_x", "translation_y", "translation_z")
    names += ("transform_center_x", "transform_center_y", "rotation_3d_x", "rotation_3d_y", "rotation_3d_z")
    return {
        "5": {"class_type": "DeforumPromptNode", "inputs": {"prompts": PROMPTS}},
        "4": {
            "class_type": "DeforumTranslationParamsNode",
            "inputs": dict(zip(names, CAMERA, strict=True)) | _from("5"),
        },
        "3": {
            "class_type": "DeforumBaseParamsNode",
            "inputs": {"width": 512, "height": 448, "seed_behavior": "fixed", "steps": 25} | _from("4"),
        },
        "2": {
            "class_type": "DeforumDiffusionParamsNode",
            "inputs": {"strength_schedule": "0:(0.65)", "noise_schedule": "0:(0)"} | _from("3"),
        },
        "1": {"class_type": "DeforumIteratorNode", "inputs": {"latent_type": "flux", "seed": 7} | _from("2")},
        "9": {"class_type": "KSampler", "inputs": {"latent": ["1", 1], "steps": 20}},
        **changes,
    }


def _from(place: str) -> dict[str, Any]:
    return {"deforum_data": [place, 0]}

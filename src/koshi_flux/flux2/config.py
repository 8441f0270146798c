"""The published FLUX.2 models, and the noise curve they share. Imports no torch.

Default denoise: where image-to-image by counting steps, as in diffusers, starts for the strength that practitioners
use, written as a noise level at 1024 x 1024. Of N even levels 1, 1 - 1/N, ... it skips int(N * (1 - strength)), and
the next one is bent by `empirical_mu(4096, N)`: strength 0.20 of Klein's 4 steps starts at 1/4, bent to 0.767, the
lowest level that it was distilled on; strength 0.30 of 28 steps starts at 9/28, bent to 0.803.
"""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Literal

from koshi_flux.shared.spec import FluxSpec

KLEIN_4B = FluxSpec(
    name="flux.2-klein-4b",
    family="flux2",
    aliases=(
        "klein",
        "klein-4b",
        "klein4b",
        "flux-2-klein",
        "flux2-klein",
        "flux.2-klein",
        "flux-2-klein-4b",
        "flux2-klein-4b",
        "flux_2_klein_4b",
    ),
    hub_id="black-forest-labs/FLUX.2-klein-4B",
    licence="Apache-2.0",
    channels=32,
    default_steps=4,
    default_denoise=0.767,
    default_guidance=1.0,
    guidance="none",
    text_encoder="Qwen3-4B",
    text_layers=(9, 18, 27),
    references=True,
    memory_gb=(7.2, 7.5),
)
"""Text layers: OUTPUT_LAYERS_QWEN3 of BFL's flux2."""

KLEIN_9B = replace(
    KLEIN_4B,
    name="flux.2-klein-9b",
    aliases=("klein-9b", "klein9b", "flux-2-klein-9b", "flux2-klein-9b", "flux_2_klein_9b"),
    hub_id="black-forest-labs/FLUX.2-klein-9B",
    licence="FLUX Non-Commercial License",
    text_encoder="Qwen3-8B",
    memory_gb=(16.9, 15.3),
)

KLEIN_9B_KV = replace(
    KLEIN_9B,
    name="flux.2-klein-9b-kv",
    aliases=(
        "klein-kv",
        "klein-9b-kv",
        "klein9b-kv",
        "flux-2-klein-9b-kv",
        "flux2-klein-9b-kv",
        "flux_2_klein_9b_kv",
    ),
    hub_id="black-forest-labs/FLUX.2-klein-9b-kv",
    reference_cache=True,
)
"""A 9B that looks at reference pictures once and remembers them; without any it draws as the 9B does."""

KLEIN_BASE_4B = replace(
    KLEIN_4B,
    name="flux.2-klein-base-4b",
    aliases=(
        "klein-base",
        "klein-base-4b",
        "klein-4b-base",
        "flux-2-klein-base-4b",
        "flux2-klein-base-4b",
        "flux_2_klein_base_4b",
    ),
    hub_id="black-forest-labs/FLUX.2-klein-base-4B",
    default_steps=28,
    default_denoise=0.803,
    default_guidance=4.0,
    guidance="true",
)

KLEIN_BASE_9B = replace(
    KLEIN_BASE_4B,
    name="flux.2-klein-base-9b",
    aliases=(
        "klein-base-9b",
        "klein-9b-base",
        "flux-2-klein-base-9b",
        "flux2-klein-base-9b",
        "flux_2_klein_base_9b",
    ),
    hub_id="black-forest-labs/FLUX.2-klein-base-9B",
    licence=KLEIN_9B.licence,
    text_encoder=KLEIN_9B.text_encoder,
    memory_gb=KLEIN_9B.memory_gb,
)

FLUX_2_DEV = FluxSpec(
    name="flux.2-dev",
    family="flux2",
    aliases=(
        "flux.2",
        "flux2",
        "flux-2",
        "flux_2",
        "flux2-dev",
        "flux2.dev",
        "flux-2-dev",
        "flux_2_dev",
    ),
    hub_id="black-forest-labs/FLUX.2-dev",
    licence="FLUX Non-Commercial License",
    channels=32,
    default_steps=28,
    default_denoise=0.803,
    default_guidance=4.0,
    guidance="embedded",
    text_encoder="Mistral-Small-3.2-24B",
    text_layers=(10, 20, 30),
    references=True,
    memory_gb=(60.0, 44.7),
)
"""Text layers: OUTPUT_LAYERS_MISTRAL of BFL's flux2. Text encoder: 24 billion parameters of 2 bytes."""

SPECS: dict[str, FluxSpec] = {
    spec.name: spec for spec in (KLEIN_4B, KLEIN_9B, KLEIN_9B_KV, KLEIN_BASE_4B, KLEIN_BASE_9B, FLUX_2_DEV)
}
"""The published models by name."""

Kind = Literal["klein", "klein-base", "klein-kv", "dev"]
"""What a folder says it holds: a distilled Klein, an undistilled one, one with a memory for references, or a dev."""

LIKE: dict[Kind, FluxSpec] = {
    "klein": KLEIN_4B,
    "klein-base": KLEIN_BASE_4B,
    "klein-kv": KLEIN_9B_KV,
    "dev": FLUX_2_DEV,
}
"""The published model whose facts hold for any of that kind."""

PUBLISHED: dict[tuple[Kind, int, int, int], FluxSpec] = {
    ("klein", 5, 20, 24): KLEIN_4B,
    ("klein", 8, 24, 32): KLEIN_9B,
    ("klein-kv", 8, 24, 32): KLEIN_9B_KV,
    ("klein-base", 5, 20, 24): KLEIN_BASE_4B,
    ("klein-base", 8, 24, 32): KLEIN_BASE_9B,
    ("dev", 8, 48, 48): FLUX_2_DEV,
}
"""How to recognise them: (kind, double blocks, single blocks, attention heads)."""


def empirical_mu(tokens: int, steps: int) -> float:
    """How far FLUX.2 bends an even spacing of noise levels towards noise, for `shift` in shared/flow_matching.py.

    Two straight lines fitted at 10 and 200 steps, blended by the number of steps; above 4300 tokens only the second.
    Source: compute_empirical_mu in black-forest-labs/flux2 src/flux2/sampling.py and in diffusers' FLUX.2 pipelines.

    Args:
        tokens: image tokens, (width / 16) * (height / 16).
        steps: Euler steps from pure noise to the picture.
    """
    at_200_steps = 0.00016927 * tokens + 0.45666666
    if tokens > 4300:
        return at_200_steps
    at_10_steps = 8.73809524e-05 * tokens + 1.89833333
    return at_200_steps + (at_200_steps - at_10_steps) / 190 * (steps - 200)


def static_mu(scheduler: Path) -> float | None:
    """How far a model with a shift of its own bends noise levels; None where the bend follows size and steps.

    Args:
        scheduler: the model's scheduler_config.json; one that is absent or unreadable leaves the family's rule.
    """
    try:
        settings = json.loads(scheduler.read_text(encoding="utf-8"))
        return None if settings.get("use_dynamic_shifting", False) else math.log(settings.get("shift", 1.0))
    except (OSError, ValueError):
        return None

"""The published FLUX.2 Klein models, and the noise curve they share. Imports no torch."""

import json
import math
from dataclasses import replace
from pathlib import Path

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
    memory_gb=(7.2, 7.5),
)
"""Default denoise: the lowest noise level this model was distilled on (4 steps at 1024 x 1024)."""

KLEIN_9B = replace(
    KLEIN_4B,
    name="flux.2-klein-9b",
    aliases=("klein-9b", "klein9b", "flux-2-klein-9b", "flux2-klein-9b", "flux_2_klein_9b"),
    hub_id="black-forest-labs/FLUX.2-klein-9B",
    licence="FLUX Non-Commercial License",
    text_encoder="Qwen3-8B",
    memory_gb=(16.9, 15.3),
)

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
    default_denoise=0.60,
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

SPECS: dict[str, FluxSpec] = {spec.name: spec for spec in (KLEIN_4B, KLEIN_9B, KLEIN_BASE_4B, KLEIN_BASE_9B)}
"""The published models by name."""

PUBLISHED: dict[tuple[int, int, int, bool], FluxSpec] = {
    (5, 20, 24, True): KLEIN_4B,
    (5, 20, 24, False): KLEIN_BASE_4B,
    (8, 24, 32, True): KLEIN_9B,
    (8, 24, 32, False): KLEIN_BASE_9B,
}
"""How to recognise them: (double blocks, single blocks, attention heads, distilled?)."""


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

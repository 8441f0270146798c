"""The published FLUX.1 models, and the noise curve they share. Imports no torch."""

from dataclasses import dataclass, replace

from koshi_flux.shared.spec import FluxSpec

FLUX_1_DEV = FluxSpec(
    name="flux.1-dev",
    family="flux1",
    aliases=(
        "flux",
        "flux1",
        "flux.1",
        "flux-1",
        "flux-dev",
        "flux1-dev",
        "flux-1-dev",
        "flux_1_dev",
    ),
    hub_id="black-forest-labs/FLUX.1-dev",
    licence="FLUX.1 [dev] Non-Commercial License",
    channels=16,
    default_steps=28,
    default_denoise=0.60,
    default_guidance=3.5,
    guidance="embedded",
    text_encoder="CLIP-L + T5-XXL",
    text_tokens=512,
    controlnets=True,
    ip_adapters=True,
    memory_gb=(22.2, 9.1),
)
"""Default denoise: where image-to-image at strength 0.30, which people use, begins in 28 steps at 1024 x 1024."""

FLUX_1_KREA_DEV = replace(
    FLUX_1_DEV,
    name="flux.1-krea-dev",
    aliases=(
        "krea",
        "krea-dev",
        "flux-krea",
        "flux1-krea",
        "flux.1-krea",
        "flux-krea-dev",
        "flux1-krea-dev",
        "flux-1-krea-dev",
        "flux_1_krea_dev",
    ),
    hub_id="black-forest-labs/FLUX.1-Krea-dev",
    default_guidance=4.5,
)

FLUX_1_SCHNELL = replace(
    FLUX_1_DEV,
    name="flux.1-schnell",
    aliases=("schnell", "flux-schnell", "flux1-schnell", "flux-1-schnell", "flux_1_schnell"),
    hub_id="black-forest-labs/FLUX.1-schnell",
    licence="Apache-2.0",
    default_steps=4,
    default_denoise=0.50,
    default_guidance=1.0,
    guidance="none",
    text_tokens=256,
)
"""Default denoise: of the noise levels this model was distilled on (1, 0.75, 0.5, 0.25) the one that redraws a film.

Image-to-image can begin only there: strengths up to 0.25 begin at 0.25, which mends texture but no longer follows a
camera or a prompt; strengths from 0.26 to 0.5, so also the 0.30 that is usual for FLUX.1-dev, begin at 0.5; above that
three quarters of the picture are noise.
"""

SPECS: dict[str, FluxSpec] = {spec.name: spec for spec in (FLUX_1_DEV, FLUX_1_KREA_DEV, FLUX_1_SCHNELL)}
"""The published models by name."""

TRANSFORMER = {
    "in_channels": 64,
    "joint_attention_dim": 4096,
    "pooled_projection_dim": 768,
    "num_layers": 19,
    "num_attention_heads": 24,
    "attention_head_dim": 128,
}
"""What the config of every published transformer states, of what must fit ControlNets and IP-Adapters."""

PUBLISHED: dict[tuple[int, int, int, bool], FluxSpec] = {
    (19, 38, 24, True): FLUX_1_DEV,
    (19, 38, 24, False): FLUX_1_SCHNELL,
}
"""How to recognise them: (double blocks, single blocks, attention heads, is guidance embedded?).

Krea has the shape of dev, and only the numbers themselves tell them apart: a folder of it counts as dev.
"""


@dataclass(frozen=True, slots=True)
class NoiseCurve:
    """How far a FLUX.1 bends an even spacing of noise levels towards noise, for `shift` in shared/flow_matching.py.

    A larger picture needs more noise to be drowned, so the bend is a straight line over its number of tokens.
    Source: get_schedule in black-forest-labs/flux src/flux/sampling.py, calculate_shift in diffusers' FLUX.1 pipelines.

    Args:
        at_none: the bend of a picture without tokens.
        per_token: what each image token adds; there are (width / 16) * (height / 16).
    """

    at_none: float = 0.0
    per_token: float = 0.0

    @classmethod
    def through(cls, low: tuple[float, float], high: tuple[float, float]) -> "NoiseCurve":
        """The line through two points (tokens, bend)."""
        per_token = (high[1] - low[1]) / (high[0] - low[0])
        return cls(low[1] - per_token * low[0], per_token)

    def mu(self, tokens: int) -> float:
        """The bend of a picture of so many tokens; 0 leaves noise levels evenly spaced."""
        return self.at_none + self.per_token * tokens


BENT = NoiseCurve.through((256, 0.5), (4096, 1.15))
"""The curve of dev and krea: from 256 x 256 to 1024 x 1024 pixels."""

EVEN = NoiseCurve()
"""The curve of schnell."""

"""One frame's numbers and prompts: what is left of the schedules once they are evaluated. Imports no torch."""

from dataclasses import dataclass

PromptBlend = tuple[tuple[str, float], ...]
"""Texts with weights that sum to 1: the conditioning of a frame is the weighted sum of the texts' embeddings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameParameters:
    """Everything that one frame needs to know; a value at frame f moves frame f-1 into frame f.

    Convention: degrees; pixels at film size, y down; see docs/conventions.md for every sign.
    The defaults stand still, correct nothing that needs no correction, and use no model default.
    `seed` is the frame's own; its noise lies `subseed_strength` of the way to that of `subseed`. `lora`, `controlnet`
    and `ip_adapter` hold the strengths of what is added to the model by name, `reference` the pictures that the frame
    is drawn by the sight of, `guide` the one it is led to, `mask` and `noise_mask` expressions (`schedule.masks`).
    """

    frame: int = 0
    prompt: PromptBlend = (("", 1.0),)
    negative: PromptBlend = (("", 1.0),)
    seed: int = 0
    subseed: int = 0
    subseed_strength: float = 0.0

    denoise: float = 0.5
    denoise_mode: str = "sigma"
    steps: int = 4
    guidance: float = 1.0
    lora: tuple[tuple[str, float], ...] = ()
    controlnet: tuple[tuple[str, float], ...] = ()
    ip_adapter: tuple[tuple[str, float], ...] = ()
    reference: tuple[str, ...] = ()

    angle: float = 0.0
    zoom: float = 1.0
    translation_x: float = 0.0
    translation_y: float = 0.0
    transform_center_x: float = 0.5
    transform_center_y: float = 0.5
    perspective_flip_theta: float = 0.0
    perspective_flip_phi: float = 0.0
    perspective_flip_gamma: float = 0.0
    perspective_flip_fv: float = 53.0
    translation_z: float = 0.0
    rotation_3d_x: float = 0.0
    rotation_3d_y: float = 0.0
    rotation_3d_z: float = 0.0
    lens: str = "pinhole"
    fov: float = 70.0
    aspect: float = 1.0
    near: float = 200.0
    far: float = 10000.0
    midas_weight: float = 1.0
    symmetry: str = "none"
    symmetry_segments: float = 6.0
    symmetry_angle: float = 0.0
    symmetry_center_x: float = 0.5
    symmetry_center_y: float = 0.5
    border: str = "replicate"
    kernel: str = "spline"
    uncovered: str = "border"

    color_coherence: str = "lab"
    color_strength: float = 1.0
    contrast: float = 1.0
    sharpen: float = 0.0
    noise: float = 0.0
    echo: float = 0.0
    mask: str = ""
    noise_mask: str = ""

    video_coherence: float = 0.0
    hybrid_flow_factor: float = 1.0
    hybrid_alpha: float = 0.5
    hybrid_mask_blend: float = 0.5
    hybrid_mask_contrast: float = 1.0
    hybrid_mask_low: float = 0.0
    hybrid_mask_high: float = 100.0
    cadence_flow_factor: float = 1.0
    guide: str = ""
    guide_blend: float = 0.0
    guide_color: float = 0.075

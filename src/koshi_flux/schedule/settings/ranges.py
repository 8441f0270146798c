"""What settings may be: ranges of schedules over a whole film, and sizes that FLUX can draw."""

import numpy as np
import numpy.typing as npt

from koshi_flux.errors import SettingsError

SIZE_MULTIPLE = 16
"""Width and height of every FLUX picture: 8 pixels per latent pixel, 2 latent pixels per token."""

_LARGEST_SIDE = 8192
_SHARE = (0.0, 1.0)

RANGES: dict[str, tuple[float, float]] = {
    "zoom": (1e-3, 1e3),
    "perspective_flip_fv": (1e-3, 179.0),
    "fov": (1.0, 179.0),
    "aspect": (1e-2, 1e2),
    "near": (1e-3, 1e9),
    "far": (1e-3, 1e9),
    "midas_weight": _SHARE,
    "shake_strength": (0.0, 10.0),
    "symmetry_segments": (0.0, 360.0),
    "symmetry_center_x": _SHARE,
    "symmetry_center_y": _SHARE,
    "seed_schedule": (-1.0, 2**32 - 1.0),
    "subseed": (-1.0, 2**32 - 1.0),
    "subseed_strength": _SHARE,
    "denoise": _SHARE,
    "strength_schedule": _SHARE,
    "init_denoise": _SHARE,
    "guide_denoise": _SHARE,
    "steps": (1.0, 1000.0),
    "guidance": (0.0, 100.0),
    "lora": (-2.0, 2.0),
    "controlnet": (0.0, 2.0),
    "ip_adapter": (0.0, 2.0),
    "color_strength": _SHARE,
    "contrast": (0.0, 100.0),
    "sharpen": (0.0, 100.0),
    "noise": _SHARE,
    "echo": _SHARE,
    "video_coherence": _SHARE,
    "hybrid_flow_factor": (-10.0, 10.0),
    "hybrid_alpha": _SHARE,
    "hybrid_mask_blend": _SHARE,
    "hybrid_mask_contrast": (0.0, 100.0),
    "hybrid_mask_low": (0.0, 100.0),
    "hybrid_mask_high": (0.0, 100.0),
    "cadence_flow_factor": (-10.0, 10.0),
    "guide_blend_max": _SHARE,
    "guide_blend_slope": _SHARE,
    "guide_tween": (0.0, 1e6),
    "guide_color": _SHARE,
}
"""What a schedule's values must lie in, over the whole film; schedules not named here take any number."""


def check_range(name: str, values: npt.NDArray[np.float64]) -> None:
    """Refuse a schedule, such as "zoom" or "lora.style", that leaves its range at some frame."""
    low, high = RANGES.get(name.partition(".")[0], (-np.inf, np.inf))
    outside = np.flatnonzero((values < low) | (values > high))
    if outside.size:
        frame = int(outside[0])
        raise SettingsError(f"{name}: {values[frame]:g} at frame {frame}; it must lie in [{low:g}, {high:g}]")


def nearest_size(size: tuple[int, int]) -> tuple[int, int]:
    """The size a FLUX model can draw that lies nearest."""
    width, height = (max(SIZE_MULTIPLE, SIZE_MULTIPLE * round(side / SIZE_MULTIPLE)) for side in size)
    return width, height


def check_size(size: tuple[int, int]) -> None:
    """Refuse a size that no FLUX model can draw."""
    if nearest_size(size) != size:
        wide, high = nearest_size(size)
        raise SettingsError(
            f"size {size[0]}x{size[1]} does not fit: width and height must be multiples of {SIZE_MULTIPLE}; "
            f"the nearest is {wide}x{high}"
        )
    if max(size) > _LARGEST_SIDE:
        raise SettingsError(f"size {size[0]}x{size[1]} is too large: at most {_LARGEST_SIDE} pixels a side")

"""How the picture moves from frame to frame: the cameras, the depth they see by, shake, symmetry and edges."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from koshi_flux.schedule.settings.kinds import Choice, Keyframed, constant

DEPTH_NAMES = ("nano", "midas", "depth-anything", "plane")
"""Depth models that have a name; any other is given by its folder or file, or its place on the hub."""


class CameraSettings(BaseModel):
    """The camera."""

    angle: Keyframed = constant(0, "degrees per frame, counter-clockwise; 2d")
    zoom: Keyframed = constant(1, "magnification per frame, more than 1 moves in; 2d")
    translation_x: Keyframed = constant(0, "per frame: pixels that content moves right; 3d: 1/200 units to the right")
    translation_y: Keyframed = constant(0, "per frame: pixels that content moves down; 3d: 1/200 units upwards")
    translation_z: Keyframed = constant(0, "per frame: 1/200 depth units that the camera moves forward; 3d")
    rotation_3d_x: Keyframed = constant(0, "degrees per frame that the camera tilts up: content moves down; 3d")
    rotation_3d_y: Keyframed = constant(0, "degrees per frame that the camera pans right: content moves left; 3d")
    rotation_3d_z: Keyframed = constant(0, "degrees per frame, content turns counter-clockwise; 3d")
    lens: Annotated[Literal["pinhole", "deforum"], Choice] = Field(
        default="pinhole", description="a true one, or Deforum's with its quirks; 3d"
    )
    fov: Keyframed = constant(70, "vertical field of view in degrees; 3d")
    aspect: Keyframed = constant(1, "width of what is one high, as the lens sees it; 3d")
    near: Keyframed = constant(200, "distance of the nearest depth in 1/200 units; 3d")
    far: Keyframed = constant(10000, "distance of the farthest depth in 1/200 units; 3d")
    transform_center_x: Keyframed = constant(0.5, "pivot of angle and zoom, 0 left to 1 right; 2d")
    transform_center_y: Keyframed = constant(0.5, "pivot of angle and zoom, 0 top to 1 bottom; 2d")
    perspective_flip_theta: Keyframed = constant(0, "degrees per frame, in the plane")
    perspective_flip_phi: Keyframed = constant(0, "degrees per frame, about the horizontal axis")
    perspective_flip_gamma: Keyframed = constant(0, "degrees per frame, about the vertical axis")
    perspective_flip_fv: Keyframed = constant(53, "field of view of the flip in degrees")
    shake: Annotated[Literal["none", "handheld", "walk", "vehicle"], Choice] = Field(
        default="none", description="shake the camera as a hand, a step or a road does"
    )
    shake_strength: Keyframed = constant(1, "how much the camera shakes, 0 to 10")
    shake_speed: float = Field(default=1.0, gt=0, le=100, allow_inf_nan=False, description="how fast it shakes")
    depth: str = Field(
        default="nano", min_length=1, description="what tells near from far: nano, midas, depth-anything, plane, a file"
    )
    depth_smoothing: float = Field(default=0.98, ge=0, le=1, description="how fully depth is kept to the last frame's")
    midas_weight: Keyframed = constant(1, "how much depth there is, 0 (all of it one plane) to 1")
    save_depth: bool = Field(default=False, description="keep every drawn frame's depth as a 16-bit picture")
    symmetry: Annotated[Literal["none", "mirror", "quad", "kaleidoscope"], Choice] = Field(
        default="none", description="fold the picture"
    )
    symmetry_segments: Keyframed = constant(6, "wedges of the kaleidoscope")
    symmetry_angle: Keyframed = constant(0, "degrees that the folds are turned, counter-clockwise")
    symmetry_center_x: Keyframed = constant(0.5, "where the folds meet, 0 left to 1 right")
    symmetry_center_y: Keyframed = constant(0.5, "where the folds meet, 0 top to 1 bottom")
    border: Annotated[Literal["replicate", "wrap", "reflect"], Choice] = Field(
        default="replicate", description="what stands in for uncovered pixels"
    )
    uncovered: Annotated[Literal["border", "redraw"], Choice] | None = Field(
        default=None, description="uncovered pixels keep the border, or are drawn anew; redraw in 3d and ransac"
    )
    kernel: Annotated[Literal["spline", "bilinear"], Choice] = Field(
        default="spline", description="how pictures are resampled: sharp, or faster and softer"
    )

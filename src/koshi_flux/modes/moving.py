"""A film that moves: each frame starts from the last one, carried along by the camera and by a guide video's lead."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from koshi_flux.modes.scene import Scene, Start
from koshi_flux.motion import camera_path, moved_depth, reads
from koshi_flux.motion.flow import Flow, bend
from koshi_flux.motion.symmetry import fold, through
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.resample import warp
from koshi_flux.shared.transforms import Camera, in_space
from koshi_flux.shared.types import Frame, History, Image

_FLAT = 1e12
"""Condition number from which a camera shows the picture edge-on, rounding aside."""


def moving(scene: Scene, history: History, path: Sequence[FrameParameters]) -> Start | None:
    """The last drawn frame, carried along `path` with one resample; the opening when nothing has been drawn yet."""
    if history.previous is None:
        return None if scene.opening is None else Start.whole(folded(scene.opening, path[-1]))
    return carried(scene, history.previous, path)


def carried(scene: Scene, frame: Frame, path: Sequence[FrameParameters]) -> Start:
    """A frame's picture at the end of `path`, the parameters of the frames after it."""
    return _seen(scene, frame, _camera(scene, frame, path), path[-1])


def carried_back(scene: Scene, frame: Frame, path: Sequence[FrameParameters], to: FrameParameters) -> Start:
    """A frame's picture where the camera was at `to`, before it went along `path` to the frame."""
    return _seen(scene, frame, _undone(_camera(scene, frame, path)), to)


def folded(picture: Image, p: FrameParameters) -> Image:
    """A picture that stands still, with the film's symmetry."""
    height, width = picture.shape[1:]
    folds = fold(p, height, width, picture.device)
    return picture if folds is None else warp(picture, folds, p.kernel, p.border)


def _seen(scene: Scene, frame: Frame, camera: Camera, p: FrameParameters) -> Start:
    """A frame's picture from elsewhere: the camera's move, then the lead's, then the folds; one resample."""
    height, width = frame.image.shape[1:]
    flow: Flow | None = None
    if scene.lead is not None:
        camera = in_space(scene.lead.towards(frame, p.frame)) @ camera
        flow = scene.lead.flow(frame, p.frame)
    folds = fold(p, height, width, frame.image.device)
    if flow is None and folds is None and np.array_equal(camera, np.eye(4)):
        return replace(Start.whole(frame.image), depth=frame.depth)
    grid, uncovered = reads(frame.image, camera, p, frame.depth)
    if flow is not None:
        grid = bend(grid, p.hybrid_flow_factor * flow)
    if folds is not None:
        grid, uncovered = through(grid, uncovered, folds)
    depth = None if frame.depth is None else moved_depth(frame.depth, grid, camera, p)
    return Start(warp(frame.image, grid, p.kernel, p.border), uncovered, depth, grid)


def _camera(scene: Scene, frame: Frame, path: Sequence[FrameParameters]) -> Camera:
    """The film's own camera and the guide video's, in turn for each frame of `path`."""
    height, width = frame.image.shape[1:]
    whole: Camera = np.eye(4)
    for p in path:
        if scene.camera is not None:
            whole = camera_path([p], height, width, scene.camera) @ whole
        if scene.lead is not None:
            whole = in_space(scene.lead.step(p.frame)) @ whole
    return whole


def _undone(camera: Camera) -> Camera:
    """The way back; a camera that shows nothing where it ended edge-on and there is none."""
    edge_on = np.linalg.cond(camera) > _FLAT
    return np.zeros((4, 4)) if edge_on else np.linalg.inv(camera)

"""The camera of a guide video: from one picture to the next, one matrix, whatever else moves in front of it.

Corners are tracked from picture to picture and checked by tracking them back; the motion that most of them share is
found by random sampling (RANSAC) and refined on those. Where too little can be tracked the pictures are too far apart,
and SIFT features are matched instead: coarser (0.1 pixels in place of 0.01), but from anywhere to anywhere.

OpenCV works on 8-bit brightness on the CPU. Its sampling starts from the same random numbers at every call, so that the
same two pictures give the same bits.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TypeAlias

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from koshi_flux.errors import SettingsError
from koshi_flux.motion.flow import Flows, Gray, check_flow_method, find_flows, gray
from koshi_flux.shared.transforms import Matrix, identity
from koshi_flux.shared.types import Footage, Image

Points: TypeAlias = Float64[np.ndarray, "_ 2"]
"""Places (x, y) in pixels; the frame spans [0, w] x [0, h]."""
Pairs: TypeAlias = tuple[Points, Points]
"""The same things in two pictures."""
Shared: TypeAlias = Bool[np.ndarray, " _"]
"""Which of some points share a motion."""
Search: TypeAlias = Callable[[Points, Points], tuple[Matrix | None, Shared]]
Fit: TypeAlias = Callable[[Points, Points], Matrix | None]

log = logging.getLogger(__name__)

_CORNERS = 600
_WINDOW = 15
"""Pixels around a corner that are tracked."""
_LEVELS = 4
"""Halvings of the picture that tracking begins at: reaches about a hundred pixels."""
_RETURN = 0.5
"""Pixels by which a point that is tracked there and back may miss."""
_RATIO = 0.75
"""A feature's best match must be so much closer than its second best (Lowe 2004)."""
_CLOSE = 1.0
"""Pixels within which a point shares a motion."""
_REFINED = 3.0
"""The same for refining, in medians of the distances of those that share it, and at least a tenth of a pixel."""
_ENOUGH = 12
"""Points that must share a motion: unrelated pictures were seen to share 5."""
_SHARE = 0.2
"""Of all points that must share it."""
_LARGEST = 4.0
"""Magnification, and its inverse, beyond which a motion cannot be a camera's between two frames."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A motion between two pictures.

    Args:
        matrix: where the content of the first goes in the second, in pixels; the identity where that is doubtful.
        inliers: how many points share that motion.
        matches: of how many.
        doubt: why the motion is not to be trusted; empty when it is.
    """

    matrix: Matrix = field(default_factory=identity)
    inliers: int = 0
    matches: int = 0
    doubt: str = ""

    @property
    def trusted(self) -> bool:
        """Whether the pictures show such a motion."""
        return not self.doubt


def estimate_motion(before: Image, after: Float[Tensor, "3 _ _"], model: str = "affine") -> Estimate:
    """How the camera moves from one picture to the next, where most of the picture stands still.

    Args:
        model: "affine" (turn, zoom and shift, as Deforum's "Affine") or "perspective" (any view of a plane).
    """
    check_motion_model(model)
    if before.shape != after.shape:
        sizes = " and ".join(f"{picture.shape[2]} x {picture.shape[1]}" for picture in (before, after))
        raise SettingsError(f"motion is estimated between pictures of one size, these are {sizes}")
    first, second = gray(before), gray(after)
    if np.array_equal(first, second):
        return Estimate()
    pairs = _matched(first, second)
    matches = len(pairs[0])
    if matches < _ENOUGH:
        return Estimate(matches=matches, doubt=f"only {matches} points found in both pictures")
    matrix, shared = _common_motion(pairs, *MOTION_MODELS[model])
    inliers = int(shared.sum())
    if matrix is None or inliers < max(_ENOUGH, _SHARE * matches):
        return Estimate(inliers=inliers, matches=matches, doubt=f"only {inliers} of {matches} points move together")
    if not _is_a_camera(matrix, *first.shape):
        return Estimate(inliers=inliers, matches=matches, doubt="the motion found would fold the picture or crush it")
    return Estimate(matrix, inliers, matches)


def check_motion_model(model: str) -> None:
    """Refuse a model of motion that is unknown."""
    if model not in MOTION_MODELS:
        raise SettingsError(f"unknown model of motion {model!r}: known are {', '.join(MOTION_MODELS)}")


class GuideMotion:
    """How a guide video moves from each frame to the next, at film size; what was found last is remembered.

    Args:
        video: at our film's size.
        model: of `estimate_motion`.
        method: of `estimate_flow`.
    """

    def __init__(self, video: Footage, model: str = "affine", method: str = "dis"):
        check_motion_model(model)
        check_flow_method(method)
        self.video, self.model, self.method = video, model, method
        self.estimate = lru_cache(maxsize=256)(self._estimate)
        self.flows = lru_cache(maxsize=4)(self._flows)
        self._doubted: set[int] = set()

    def matrix(self, frame: int) -> Matrix:
        """The camera from video frame `frame` - 1 to `frame`; where it cannot be told it holds still (see the log)."""
        found = self.estimate(frame)
        if not found.trusted and frame not in self._doubted:
            self._doubted.add(frame)
            log.warning("guide video, frame %d: %s; the camera holds still there", frame, found.doubt)
        return found.matrix

    def _estimate(self, frame: int) -> Estimate:
        if frame <= 0:
            return Estimate()
        return estimate_motion(self.video.picture(frame - 1), self.video.picture(frame), self.model)

    def _flows(self, frame: int) -> Flows:
        """The flows between video frames `frame` - 1 and `frame`; at frame 0 between the first and itself."""
        return find_flows(self.video.picture(max(frame - 1, 0)), self.video.picture(frame), self.method)


def _matched(before: Gray, after: Gray) -> Pairs:
    corners = _corners(before)
    tracked = _tracked(before, after, corners)
    if len(tracked[0]) >= max(_ENOUGH, len(corners) / 2):
        return tracked
    same = _same_features(before, after)
    return same if len(same[0]) >= _ENOUGH else tracked


def _corners(picture: Gray) -> Points:
    """Spread over the picture, so that what is rich in detail does not outvote the rest of it."""
    apart = max(4.0, (picture.size / (2 * _CORNERS)) ** 0.5)
    found = cv2.goodFeaturesToTrack(picture, _CORNERS, 0.01, apart, blockSize=5)
    return _points([] if found is None else found)


def _tracked(before: Gray, after: Gray, corners: Points) -> Pairs:
    """Corners with where they went (Lucas and Kanade 1981, from coarse to fine), if the way back leads home."""
    if not len(corners):
        return corners, corners
    track = partial(cv2.calcOpticalFlowPyrLK, winSize=(_WINDOW, _WINDOW), maxLevel=_LEVELS, criteria=(3, 30, 0.003))
    start = (corners - 0.5).astype(np.float32)[:, None]
    there, found, _ = track(before, after, start, None)
    back, refound, _ = track(after, before, there, None)
    home = np.linalg.norm((back - start)[:, 0], axis=1) < _RETURN
    kept = home & (found[:, 0] > 0) & (refound[:, 0] > 0)
    return corners[kept], _points(there)[kept]


def _same_features(before: Gray, after: Gray) -> Pairs:
    sift = cv2.SIFT.create(2 * _CORNERS)
    (ours, our_looks), (theirs, their_looks) = (sift.detectAndCompute(picture, None) for picture in (before, after))
    if min(len(ours), len(theirs)) < 2:
        return _points([]), _points([])
    nearest = cv2.BFMatcher(cv2.NORM_L2).knnMatch(our_looks, their_looks, k=2)
    sure = [best for best, second in nearest if best.distance < _RATIO * second.distance]
    return _points([ours[m.queryIdx].pt for m in sure]), _points([theirs[m.trainIdx].pt for m in sure])


def _points(found: object) -> Points:
    """OpenCV counts from the centre of the first pixel, we from its corner."""
    return np.asarray(found, np.float64).reshape(-1, 2) + 0.5


def _common_motion(pairs: Pairs, search: Search, fit: Fit) -> tuple[Matrix | None, Shared]:
    """The motion that most points share, fitted to them without their stragglers; and which share it."""
    before, after = pairs
    matrix, shared = search(before, after)
    if matrix is None:
        return None, shared
    distance = _distance(matrix, pairs)
    closest = distance <= max(_REFINED * float(np.median(distance[shared])) if shared.any() else 0.0, 0.1)
    better = fit(before[closest], after[closest]) if closest.sum() >= _ENOUGH else None
    if better is None:
        return matrix, shared
    return better, _distance(better, pairs) <= _CLOSE


def _distance(matrix: Matrix, pairs: Pairs) -> Float64[np.ndarray, " _"]:
    """Pixels from where a motion carries each point to where it went."""
    carried = np.column_stack((pairs[0], np.ones(len(pairs[0])))) @ matrix.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(np.linalg.norm(carried[:, :2] / carried[:, 2:] - pairs[1], axis=1), nan=np.inf)


def _is_a_camera(matrix: Matrix, height: int, width: int) -> bool:
    """Whether every corner of the frame stays in front of the eye, is not mirrored, and keeps about its size.

    The area around a point grows by det(matrix) / w^3, w being its third coordinate (the derivative of x/w, y/w).
    """
    w = np.array([[x, y, 1] for x in (0, width) for y in (0, height)]) @ matrix[2]
    if not np.isfinite(matrix).all() or w.min() <= 0:
        return False
    growth = np.linalg.det(matrix) / w**3
    return bool(growth.min() > _LARGEST**-2 and growth.max() < _LARGEST**2)


def _search_similarity(before: Points, after: Points) -> tuple[Matrix | None, Shared]:
    found, shared = cv2.estimateAffinePartial2D(
        before, after, method=cv2.RANSAC, ransacReprojThreshold=_CLOSE, maxIters=5000, confidence=0.999
    )
    return None if found is None else np.vstack((found, (0.0, 0.0, 1.0))), shared[:, 0] > 0


def _search_homography(before: Points, after: Points) -> tuple[Matrix | None, Shared]:
    """Plain RANSAC: where a third of the points moves otherwise, USAC_MAGSAC was several times less exact."""
    found, shared = cv2.findHomography(before, after, cv2.RANSAC, _CLOSE, maxIters=5000, confidence=0.999)
    return found, shared[:, 0] > 0


def _similarity(before: Points, after: Points) -> Matrix | None:
    """Least squares, with the plane's points as complex numbers: after = a before + b."""
    z, w = before @ (1, 1j), after @ (1, 1j)
    spread = z - z.mean()
    a = np.vdot(spread, w - w.mean()) / np.vdot(spread, spread)
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag], [0.0, 0.0, 1.0]])


def _homography(before: Points, after: Points) -> Matrix | None:
    found: Matrix | None = cv2.findHomography(before, after, 0)[0]
    return found


MOTION_MODELS: dict[str, tuple[Search, Fit]] = {
    "affine": (_search_similarity, _similarity),
    "perspective": (_search_homography, _homography),
}

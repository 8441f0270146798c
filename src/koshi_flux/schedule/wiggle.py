"""Random numbers and smooth noise out of whole numbers: the same on every machine, and in any order."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Reals: TypeAlias = NDArray[np.float64]
Bits: TypeAlias = NDArray[np.uint64]
Number: TypeAlias = float | Reals
"""One for the whole film, or one per frame."""

_wrapping = np.errstate(over="ignore")
"""For sums and products modulo 2^64, of which numpy would warn where they are of single numbers."""


@_wrapping
def wiggle(seed: Number, t: Number, period: Number, stream: Number = 0.0) -> Number:
    """Smooth noise in [-1, 1] with a new random value every `period` of `t`; each `stream` is another noise.

    A uniform cubic B-spline over the random values: twice differentiable, and never outside their range.
    """
    x = np.divide(t, period)
    u = np.asarray(x - np.floor(x))
    v, square, cube = 1 - u, u * u, u * u * u
    basis = (v * v * v, 3 * cube - 6 * square + 4, -3 * cube + 3 * square + 3 * u + 1, cube)
    chain = _chain(seed, stream)
    knots = [np.asarray(_place(x) + np.uint64(i % 2**64)) for i in (-1, 0, 1, 2)]
    weighted = [weight * _uniform(chain, knot) for weight, knot in zip(basis, knots, strict=True)]
    smooth: Number = np.add.reduce(weighted) / 6
    return smooth


def uniform(seed: Number, place: Number, stream: Number = 0.0) -> Reals:
    """A random number in [-1, 1) for each whole number `place`: the values that `wiggle` passes by."""
    return _uniform(_chain(seed, stream), _place(place))


@_wrapping
def scrambled(state: Bits, value: Bits) -> Bits:
    """64 random bits of two numbers: one step of SplitMix64 (Steele, Lea and Flood 2014)."""
    state = np.asarray((state ^ value) + np.uint64(0x9E3779B97F4A7C15))
    state = np.asarray((state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9))
    state = np.asarray((state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB))
    return np.asarray(state ^ (state >> np.uint64(31)))


def _chain(seed: Number, stream: Number) -> Bits:
    return scrambled(scrambled(_bits_of(0.0), _bits_of(seed)), _bits_of(stream))


def _bits_of(number: Number) -> Bits:
    return np.asarray(np.mod(np.floor(number), 2.0**53)).astype(np.uint64)


def _place(number: Number) -> Bits:
    """So that -1 is the number before 0, also in 64 bits."""
    return np.asarray(np.fmod(np.floor(number), 2.0**53)).astype(np.int64).astype(np.uint64)


def _uniform(state: Bits, value: Bits) -> Reals:
    return np.asarray((scrambled(state, value) >> np.uint64(11)) * 2.0**-52 - 1)

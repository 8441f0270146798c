"""Schedules in Parseq's own language, for films that were written in its grid.

A keyframe there has a value, a formula, or both, and so it has here: `0:(1)`, `0:(sin(p=4b))`, `0:(1; sin(p=4b, a=L))`.
A formula stays in force until the next one and decides every frame; before the first it is `L`, the line from value to
value. `L`, `C`, `P` and `S` are ways between the values, which the formula may also do maths with. Where the first or
last frame of the film has no value, it has that of the nearest keyframe that has one.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from koshi_flux.schedule.expression import Expression, Number, Scope, Variable
from koshi_flux.schedule.functions import Value
from koshi_flux.schedule.grammar import Keyframe, check_finite, frames_of
from koshi_flux.schedule.parseq_grammar import DECIMAL, ParseqParser
from koshi_flux.schedule.parseq_variables import OF_THE_FILM, OF_VALUES, PREVIOUS, VARIABLES, Moment
from koshi_flux.schedule.wiggle import Reals

_VALUE = re.compile(rf"(\(\s*)?([+-]?{DECIMAL})(?(1)\s*\))\s*(?=,|$)")
_VALUE_AND_FORMULA = re.compile(rf"\(\s*([+-]?{DECIMAL})?\s*;")
_MOST_FOR_P = 200


def read(text: str, name: str) -> tuple[Keyframe, ...]:
    """The keyframes of a schedule of numbers; one with a value and a formula comes as two with the same key.

    Raises:
        ScheduleError: the text cannot be read; it has the column and what was expected there.
    """
    parser = ParseqParser(text, name)
    if parser.at_end:
        parser.fail("expected a formula such as sin(p=4b), or keyframes such as 0:(1; C), 60:(2)")
    keyframes = _alone(parser)
    if keyframes is None:
        keyframes = _keyframe(parser.expression(), parser)
        while parser.accept(",") and not parser.at_end:
            keyframes += _keyframe(parser.expression(), parser)
    if not parser.at_end:
        parser.fail("expected ','")
    _check(keyframes)
    return tuple(keyframes)


def places(keys: Sequence[Expression], scope: Scope) -> set[int]:
    """The frames of keys in a film."""
    return set(_frames(keys, scope).values())


def values(keyframes: Sequence[Keyframe], scope: Scope) -> Reals:
    """One number per frame.

    Raises:
        ScheduleError: a key or value comes to nothing in this film; it says at which frame.
    """
    frames = _frames([keyframe.key for keyframe in keyframes], scope)
    placed = sorted(((frames[k.key.column], k) for k in keyframes), key=lambda pair: pair[0])
    keys = _between([(frame, k.value.at(frame, scope)) for frame, k in placed if k.is_number], scope.frames - 1.0)
    formulas, series = [(frame, k) for frame, k in placed if not k.is_number], np.zeros(scope.frames)
    if not formulas or formulas[0][0] > 0:
        formulas.insert(0, (0, _line(keyframes[0])))
    starts = [frame for frame, _ in formulas]
    for (start, keyframe), (stop, _) in pairwise((*formulas, (scope.frames, keyframes[0]))):
        moment = Moment(np.arange(start, min(stop, scope.frames), dtype=np.float64), *keys, scope)
        if moment.t.size:
            _fill(series, keyframe.value, moment)
    check_finite(series, starts, [keyframe for _, keyframe in formulas])
    return series


def _alone(parser: ParseqParser) -> list[Keyframe] | None:
    """A value or formula that is the whole text; None, with nothing read, where keyframes stand."""
    start = parser.token
    key = Expression((Number(0.0),), parser.text, 1, parser.name)
    if value := _value(parser):
        return [Keyframe(key, value, is_number=True)]
    formula = parser.expression()
    if parser.at_end:
        return [Keyframe(key, formula, is_number=False)]
    parser.token = start
    return None


def _keyframe(key: Expression, parser: ParseqParser) -> list[Keyframe]:
    if moving := key.names - OF_THE_FILM:
        raise key.error(f"a key stands still, it cannot use {min(moving)!r}")
    parser.expect(":")
    if value := _value(parser):
        return [Keyframe(key, value, is_number=True)]
    pair = parser.take(_VALUE_AND_FORMULA)
    formula = Keyframe(key, parser.expression(), is_number=False)
    if pair is None:
        if parser.token.text == ";":
            parser.fail("a value with a formula stands in parentheses: 0:(1; sin(p=4b))")
        return [formula]
    parser.expect(")")
    return [formula] if pair[1] is None else [Keyframe(key, _number(pair, 1, parser), True), formula]


def _value(parser: ParseqParser) -> Expression | None:
    found = parser.take(_VALUE)
    return None if found is None else _number(found, 2, parser)


def _number(found: re.Match[str], group: int, parser: ParseqParser) -> Expression:
    value, start = float(found[group]), found.start(group)
    if not np.isfinite(value):
        parser.fail("too large for a number", start)
    return Expression((Number(value),), parser.text, start + 1, parser.name)


def _check(keyframes: Sequence[Keyframe]) -> None:
    """Refuse what is wrong in films of every length."""
    frames_of([key for key in _different(keyframe.key for keyframe in keyframes) if not key.names], {})
    if any(keyframe.is_number for keyframe in keyframes):
        return
    for _, formula, _ in keyframes:
        if lost := formula.names & OF_VALUES:
            raise formula.error(f"{min(lost)!r} goes between values, but no keyframe has one: write 0:(1; L), 60:(2)")


def _different(keys: Iterable[Expression]) -> list[Expression]:
    """Each key once; a value and a formula that were written together share theirs."""
    return list({key.column: key for key in keys}.values())


def _frames(keys: Sequence[Expression], scope: Scope) -> dict[int, int]:
    """The frame of each key, by its column."""
    nowhere = np.zeros(1)
    film = Moment(nowhere, nowhere, nowhere, scope)
    different = _different(keys)
    frames = frames_of(different, {name: VARIABLES[name](film) for name in OF_THE_FILM})
    return dict(zip((key.column for key in different), frames, strict=True))


def _between(numbers: list[tuple[int, float]], last: float) -> tuple[Reals, Reals]:
    """Frames and values of the keyframes that have one, with those that stand in at the film's first and last frame."""
    numbers = numbers or [(0, 0.0)]
    if numbers[0][0] > 0:
        numbers = [(0, numbers[0][1]), *numbers]
    frames, held = map(list, zip(*numbers, strict=True))
    end = last if last > frames[-1] else frames[-1] + 1.0
    if last > frames[-1] or len(frames) == 1:
        frames, held = [*frames, end], [*held, held[-1]]
    return np.array(frames, dtype=np.float64), np.array(held, dtype=np.float64)


def _line(keyframe: Keyframe) -> Keyframe:
    way = Expression((Variable("L"),), keyframe.value.text, keyframe.value.column, keyframe.value.name)
    return Keyframe(keyframe.key, way, is_number=False)


def _fill(series: Reals, formula: Expression, moment: Moment) -> None:
    """Write a formula's values at the frames of `moment`, which follow one another."""
    if "P" in formula.names and len(moment.keys) > _MOST_FOR_P:
        raise formula.error(f"P takes at most {_MOST_FOR_P} values, as it swings more with each: write C")
    first = int(moment.t[0])
    span = slice(first, first + len(moment.t))
    with np.errstate(all="ignore"):
        known = {name: VARIABLES[name](moment) for name in formula.names - {PREVIOUS}}
        if PREVIOUS not in formula.names:
            series[span] = formula.evaluate(known)
            return
        columns = {name: np.broadcast_to(value, moment.t.shape) for name, value in known.items()}
    for i, frame in enumerate(range(first, span.stop)):
        before = float(series[frame - 1]) if frame else 0.0
        now: dict[str, Value] = {name: float(column[i]) for name, column in columns.items()}
        series[frame] = formula.evaluate({**now, PREVIOUS: before})

"""The line search of Moré and Thuente: steps that meet the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

_DECREASE, _CURVATURE = 1e-4, 0.9  # of the conditions; Nocedal and Wright 2006, section 3.1
_MOST = 20  # evaluations


@dataclass(frozen=True, slots=True)
class Trial:
    """A function at a step along a line.

    Attributes
    ----------
    step, value, slope : float
        The step, the value there and its derivative.
    point : object
        What the caller wants to keep with them.
    """

    step: float
    value: float
    slope: float
    point: Any = None

    @property
    def is_finite(self) -> bool:
        """Whether value and slope are."""
        return math.isfinite(self.value) and math.isfinite(self.slope)


def line_search(evaluate: Callable[[float], Trial], start: Trial, step: float, rounding: float) -> Trial | None:
    """Find a step with ``phi(t) <= phi(0) + 1e-4 t phi'(0)`` and ``|phi'(t)| <= 0.9 |phi'(0)|``.

    Parameters
    ----------
    evaluate : callable
        ``phi`` at a step > 0. Where it is not finite, a step was too long.
    start : Trial
        At step 0; its slope is negative.
    step : float > 0
        The first one to try.
    rounding : float
        Of values, relative. Where values differ by no more than that, slopes decide alone (the approximate conditions
        of Hager and Zhang 2005, section 2).

    Returns
    -------
    Trial or None
        One that meets the conditions; or the lowest one found in 20 evaluations, if it is lower than the start; or
        None.

    Notes
    -----
    Source: Moré and Thuente 1994, Line search algorithms with guaranteed sufficient decrease.
    """
    search = _Search(start)
    for _ in range(_MOST):
        trial = evaluate(step)
        if not trial.is_finite:
            search.longest = step
            step = search.low.step + (step - search.low.step) / 4
            continue
        if _is_good(start, trial, rounding):
            return trial
        step = search.next_step(trial)
        if step == search.low.step or abs(step - trial.step) <= 1e-14 * trial.step:
            break
    return search.low if search.low.value < start.value else None


def _is_good(start: Trial, trial: Trial, rounding: float) -> bool:
    if abs(trial.slope) > _CURVATURE * abs(start.slope):
        return False
    if trial.value <= start.value + _DECREASE * trial.step * start.slope:
        return True
    is_level = abs(trial.value - start.value) <= rounding * abs(start.value)
    return is_level and trial.slope <= (2 * _DECREASE - 1) * start.slope


class _Search:
    """The interval of a search: `low`, its end with the lowest value, and `high`, the other one, once there is one."""

    def __init__(self, start: Trial) -> None:
        self.start, self.low = start, start
        self.high: Trial | None = None
        self.longest = math.inf
        self._is_first_stage = True
        self._widths = (math.inf, math.inf)

    def next_step(self, trial: Trial) -> float:
        """Put a trial into the interval, and return what to try next."""
        excess = trial.value - self.start.value - _DECREASE * trial.step * self.start.slope
        if self._is_first_stage and excess <= 0 and trial.slope >= 0:
            self._is_first_stage = False
        if self._is_first_stage and trial.value <= self.low.value and excess > 0:
            # The minimiser of what exceeds the wanted decrease is wanted, not that of the function.
            low, new = self._excess(self.low), self._excess(trial)
            high = None if self.high is None else self._excess(self.high)
            step = _interpolate(low, high, new, self.longest)
            self._shrink(low, new, trial)
        else:
            step = _interpolate(self.low, self.high, trial, self.longest)
            self._shrink(self.low, trial, trial)
        return self._safeguard(step)

    def _excess(self, trial: Trial) -> Trial:
        slope = _DECREASE * self.start.slope
        return replace(trial, value=trial.value - trial.step * slope, slope=trial.slope - slope)

    def _shrink(self, low: Trial, new: Trial, trial: Trial) -> None:
        if new.value > low.value:
            self.high = trial
            return
        if new.slope * (low.step - new.step) < 0:
            self.high = self.low
        self.low = trial

    def _safeguard(self, step: float) -> float:
        """Halve an interval that does not shrink by a third in two trials."""
        if self.high is None:
            return step
        width = abs(self.high.step - self.low.step)
        if width >= 0.66 * self._widths[0]:
            step = self.low.step + (self.high.step - self.low.step) / 2
        self._widths = (self._widths[1], width)
        return step


def _interpolate(low: Trial, high: Trial | None, new: Trial, longest: float) -> float:
    """Return the next step: section 4 of the paper, by its four cases."""
    cubic = _cubic(low, new)
    if new.value > low.value:  # 1: a minimiser in between
        quadratic = _quadratic_by_values(low, new)
        return cubic if abs(cubic - low.step) < abs(quadratic - low.step) else cubic + (quadratic - cubic) / 2
    secant = _quadratic_by_slopes(low, new)
    if new.slope * low.slope < 0:  # 2: a minimiser in between, and the new end is better
        return cubic if abs(cubic - new.step) >= abs(secant - new.step) else secant
    nearest, farthest = new.step + 1.1 * (new.step - low.step), new.step + 4 * (new.step - low.step)
    if abs(new.slope) <= abs(low.slope):  # 3: the function flattens out
        goes_on = (cubic - new.step) * (new.step - low.step) > 0
        if high is None:
            step = max(cubic if goes_on else farthest, secant) if goes_on else secant
            return min(max(step, nearest), farthest, (new.step + longest) / 2)
        step = cubic if goes_on and abs(cubic - new.step) < abs(secant - new.step) else secant
        bound = new.step + 0.66 * (high.step - new.step)
        return min(step, bound) if new.step > low.step else max(step, bound)
    if high is not None:  # 4: it gets steeper
        return _cubic(high, new)
    return min(farthest, (new.step + longest) / 2)


def _cubic(a: Trial, b: Trial) -> float:
    """Return the minimiser of the cubic with the values and slopes of two trials."""
    width = b.step - a.step
    d = a.slope + b.slope - 3 * (b.value - a.value) / width
    size = max(abs(d), abs(a.slope), abs(b.slope))
    square = (d / size) ** 2 - (a.slope / size) * (b.slope / size)
    root = math.copysign(size * math.sqrt(max(square, 0.0)), width)
    rest = b.slope - a.slope + 2 * root
    return b.step - width * ((b.slope + root - d) / rest) if rest != 0 else b.step


def _quadratic_by_values(a: Trial, b: Trial) -> float:
    width = b.step - a.step
    return a.step + a.slope / ((a.value - b.value) / width + a.slope) / 2 * width


def _quadratic_by_slopes(a: Trial, b: Trial) -> float:
    return b.step + b.slope / (b.slope - a.slope) * (a.step - b.step) if b.slope != a.slope else math.inf

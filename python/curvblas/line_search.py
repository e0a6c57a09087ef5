"""A line search for the strong Wolfe conditions, on numbers alone."""

import math
import sys
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["WolfeSearchResult", "wolfe_search"]

NOISE = 10  # units of rounding: a change of the value below this tells nothing
_FLAT = 5  # evaluations after which a bracket without any change of the value is given up


class WolfeSearchResult(NamedTuple):
    """Where a line search has ended.

    Attributes
    ----------
    step : float >= 0
        The accepted one, or else the evaluated one of the lowest value; 0 if none is below that at 0.
    value, slope : float
        There.
    evaluations : int
        Calls of the function.
    satisfied : bool
        Whether the step satisfies the conditions, or, where values change by rounding alone, the approximate ones.
    message : str
        Why the search has ended.
    """

    step: float
    value: float
    slope: float
    evaluations: int
    satisfied: bool
    message: str


class _Sample(NamedTuple):
    step: float
    value: float
    slope: float

    def tilted(self, slope: float) -> "_Sample":
        """Return the sample of the function less a line through the origin."""
        return _Sample(self.step, self.value - slope * self.step, self.slope - slope)


def wolfe_search(
    phi: Callable[[float], tuple[float, float]],
    value: float,
    slope: float,
    *,
    step: float = 1.0,
    c1: float = 1e-4,
    c2: float = 0.9,
    max_evaluations: int = 20,
    rounding: float = sys.float_info.epsilon,
) -> WolfeSearchResult:
    """Search a step that satisfies the strong Wolfe conditions.

    ``phi(step) <= phi(0) + c1 step phi'(0)`` and ``|phi'(step)| <= c2 |phi'(0)|``.

    Parameters
    ----------
    phi : callable
        ``phi(step)`` gives value and slope as numbers. NaN or Inf in either says that the step is too long.
    value, slope : float
        ``phi(0)`` and ``phi'(0)``.
    step : float > 0
        To begin with.
    c1, c2 : float, 0 < c1 <= c2 < 1
        Of the conditions.
    max_evaluations : int >= 1
        Calls of phi.
    rounding : float > 0
        Relative rounding of values: eps of the dtype that they are computed in. Where phi changes by at most ``10
        rounding |phi(0)|``, values tell nothing, and ``phi'(step) <= (2 c1 - 1) phi'(0)`` takes the place of the first
        condition, as for a parabola they are the same (Hager and Zhang 2005, section 4).

    Returns
    -------
    WolfeSearchResult
        With ``satisfied`` False after ``max_evaluations``, if the interval has no number inside or phi no digits
        left, and without an evaluation where ``phi(0)`` is not finite or ``phi'(0) < 0`` does not hold.

    Raises
    ------
    ValueError
        A step that is not positive and finite, or constants that are not ``0 < c1 <= c2 < 1``.

    Notes
    -----
    Only ratios are compared, so phi and step may have any units. While no end of the interval is known, a step is at
    most 4 times as far from the best one as the step before was; then the interval shrinks to 0.66 in two steps.

    Source: Moré and Thuente 1994, Line search algorithms with guaranteed sufficient decrease, sections 2 to 4.

    Examples
    --------
    >>> import curvblas as cb
    >>> found = cb.wolfe_search(lambda step: ((step - 3) ** 2, 2 * (step - 3)), value=9.0, slope=-6.0, step=0.1)
    >>> found.satisfied, found.evaluations
    (True, 2)
    """
    if not (0 < step < math.inf and 0 < c1 <= c2 < 1):
        wanted = "step must be positive and finite, and 0 < c1 <= c2 < 1"
        raise ValueError(f"wolfe_search: {wanted}, got step = {step}, c1 = {c1}, c2 = {c2}")
    start = lowest = _Sample(0.0, float(value), float(slope))
    if not (math.isfinite(value) and -math.inf < slope < 0):
        message = f"value and slope at 0 must be finite and the slope negative, got {value} and {slope}"
        return WolfeSearchResult(*start, 0, False, message)
    noise = NOISE * rounding * abs(start.value)
    interval: _Interval | None = None  # most searches end with the first step
    for evaluation in range(1, max_evaluations + 1):
        trial = _Sample(step, *map(float, phi(step)))
        is_finite = math.isfinite(trial.value) and math.isfinite(trial.slope)
        if is_finite and _satisfies(start, trial, c1, c2, noise):
            return WolfeSearchResult(*trial, evaluation, True, "the conditions are satisfied")
        interval = interval or _Interval(start, c1, noise)
        if not is_finite:
            step = interval.step_back(step)
            continue
        lowest = min(lowest, trial, key=lambda sample: sample.value)
        step = interval.next_step(trial)
        if interval.is_exhausted(step, evaluation):
            return WolfeSearchResult(*lowest, evaluation, False, "rounding leaves no step to try")
    return WolfeSearchResult(*lowest, max_evaluations, False, f"no step was found in {max_evaluations} evaluations")


def _satisfies(start: _Sample, trial: _Sample, c1: float, c2: float, noise: float) -> bool:
    is_lower = trial.value <= start.value + c1 * trial.step * start.slope
    if not is_lower and abs(trial.value - start.value) <= noise:
        is_lower = trial.slope <= (2 * c1 - 1) * start.slope
    return is_lower and abs(trial.slope) <= -c2 * start.slope


class _Interval:
    """The best sample, and where it is known the other end of an interval that holds steps to be accepted.

    Until a step decreases phi enough and has a slope that is not negative, samples are compared by phi less the line of
    sufficient decrease, the auxiliary function of section 2, afterwards by phi.
    """

    def __init__(self, start: _Sample, c1: float, noise: float) -> None:
        self._start = self._best = start
        self._end: _Sample | None = None
        self._tilt = c1 * start.slope
        self._noise = noise
        self._limit = math.inf  # a step that was too long
        self._widths = (math.inf, math.inf)

    def step_back(self, step: float) -> float:
        """Return the step to take after one where phi is not finite."""
        best = self._best.step
        if self._end is None and step > best:
            self._limit = step
        return best + (step - best) * (0.1 if best == 0 else 0.5)

    def next_step(self, trial: _Sample) -> float:
        """Put a sample into the interval, and return the step to take next."""
        if trial.slope >= 0 and trial.value <= self._start.value + self._tilt * trial.step:
            self._tilt = 0.0
        best, at = self._best.tilted(self._tilt), trial.tilted(self._tilt)
        if at.value > best.value + self._noise:  # the minimiser is between
            step, self._end = _nearer_minimiser(best, at), trial
        elif at.slope * (at.step - best.step) > 0:
            step, self._end, self._best = _farther_minimiser(best, at), self._best, trial
        elif self._end is None:
            step, self._best = self._extrapolated(best, at), trial
        else:
            step, self._best = _beyond(best, at, self._end.tilted(self._tilt)), trial
        return step if self._end is None else self._halved_if_slow(step)

    def is_exhausted(self, step: float, evaluations: int) -> bool:
        """Tell whether another sample could say anything."""
        if step == self._best.step or not math.isfinite(step):
            return True
        if self._end is None or evaluations < _FLAT:
            return False
        values = self._start.value, self._best.value, self._end.value
        return max(values) - min(values) <= self._noise

    def _extrapolated(self, best: _Sample, at: _Sample) -> float:
        ahead = at.step - best.step
        candidates = [at.step + 1.1 * ahead]
        if abs(at.slope) < abs(best.slope):
            candidates += [_secant(best, at), _cubic_beyond(best, at)]
        else:
            candidates.append(math.inf)
        step = min(max(candidates), at.step + 4 * ahead)
        return min(step, at.step + 0.5 * (self._limit - at.step))

    def _halved_if_slow(self, step: float) -> float:
        assert self._end is not None
        width = abs(self._end.step - self._best.step)
        is_slow = width >= 0.66 * self._widths[0]
        self._widths = self._widths[1], width
        middle = self._best.step + 0.5 * (self._end.step - self._best.step)
        low, high = sorted((self._best.step, self._end.step))
        return step if low < step < high and not is_slow else middle


def _nearer_minimiser(best: _Sample, at: _Sample) -> float:
    """Return the cubic's minimiser, or its mean with that of a parabola if this one is nearer to the best sample."""
    cubic = _cubic(best, at)
    width = at.step - best.step
    parabola = best.step + 0.5 * width * best.slope / (best.slope - (at.value - best.value) / width)
    return cubic if abs(cubic - best.step) < abs(parabola - best.step) else cubic + 0.5 * (parabola - cubic)


def _farther_minimiser(best: _Sample, at: _Sample) -> float:
    return max(_cubic(best, at), _secant(best, at), key=lambda step: abs(step - at.step))


def _beyond(best: _Sample, at: _Sample, end: _Sample) -> float:
    """Return a step between a sample and the end, where the minimiser is not between the best one and the sample."""
    if abs(at.slope) >= abs(best.slope):
        return _cubic(at, end)
    nearest = min(abs(step - at.step) for step in (_secant(best, at), _cubic_beyond(best, at)))
    return at.step + math.copysign(min(nearest, 0.66 * abs(end.step - at.step)), end.step - at.step)


def _secant(a: _Sample, b: _Sample) -> float:
    """Return the zero of the line through two slopes, which differ."""
    return b.step + (b.step - a.step) * (b.slope / (a.slope - b.slope))


def _cubic(a: _Sample, b: _Sample) -> float:
    """Return the minimiser of the cubic with the values and slopes of two samples, their middle if there is none."""
    width = b.step - a.step
    theta = 3 * ((a.value - b.value) / width) + a.slope + b.slope
    root = math.copysign(_root(theta, a.slope, b.slope), width)
    below = b.slope - a.slope + 2 * root
    return a.step + width * ((root - a.slope + theta) / below) if below else a.step + 0.5 * width


def _cubic_beyond(best: _Sample, at: _Sample) -> float:
    """Return the cubic's minimiser if it lies farther than a sample as seen from the best one, else Inf."""
    step = _cubic(best, at)
    return step if (step - at.step) * (at.step - best.step) > 0 else math.inf


def _root(theta: float, a: float, b: float) -> float:
    """Return ``sqrt(theta^2 - a b)``, zero if it is not real, without overflow."""
    scale = max(abs(theta), abs(a), abs(b))
    if scale == 0:
        return 0.0
    return scale * math.sqrt(max(0.0, (theta / scale) * (theta / scale) - (a / scale) * (b / scale)))

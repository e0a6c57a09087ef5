"""The condition of Armijo, up to what rounding does to values."""

from .._objective import Objective, Point


def is_low_enough(
    objective: Objective, point: Point, trial: Point, alpha: float, slope: float, decrease: float
) -> bool:
    """Tell whether a step may be taken: ``f(x + alpha d) <= f(x) + decrease alpha g.d``.

    Parameters
    ----------
    objective : Objective
        The function.
    point, trial : Point
        Before and after the step.
    alpha : float
        Its length, in units of the direction d.
    slope : float
        ``g.d``.
    decrease : float
        Share of the slope that is wanted.

    Returns
    -------
    bool
        False where value or gradient is not finite.
    """
    if not trial.is_finite:
        return False
    noise = objective.noise(point.value)
    # Where the whole step promises less than rounding may make, values tell nothing. A slope of the wrong sign promises
    # as much at every step, so that it is not taken for rounding.
    if -0.5 * slope <= noise:
        return trial.value <= point.value + noise
    return trial.value < point.value and trial.value <= point.value + decrease * alpha * slope

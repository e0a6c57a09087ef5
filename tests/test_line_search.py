"""The line search: the functions of Moré and Thuente 1994, units, rounding, what is not finite, what is refused."""

import math

import numpy as np
import pytest

import curvblas as cb


def rational(t, beta=2.0):
    return -t / (t * t + beta), (t * t - beta) / (t * t + beta) ** 2


def quintic(t, beta=0.004):
    s = t + beta
    return s**5 - 2 * s**4, 5 * s**4 - 8 * s**3


def wiggly(t, beta=0.01, waves=39):
    if abs(t - 1) >= beta:
        base, slope = abs(1 - t), math.copysign(1, t - 1)
    else:
        base, slope = (t - 1) ** 2 / (2 * beta) + beta / 2, (t - 1) / beta
    angle = waves * math.pi / 2
    return base + (1 - beta) / angle * math.sin(angle * t), slope + (1 - beta) * math.cos(angle * t)


def two_kinks(beta_1, beta_2):
    """Return the function of Yanai, Ozawa and Kaneko: flat, with a kink at each end of [0, 1]."""
    weight_1, weight_2 = (math.sqrt(1 + beta * beta) - beta for beta in (beta_1, beta_2))

    def phi(t):
        left, right = math.hypot(t, beta_1), math.hypot(1 - t, beta_2)
        return weight_1 * right + weight_2 * left, weight_1 * (t - 1) / right + weight_2 * t / left

    return phi


# The functions of section 5 with the constants of its tables, and the evaluations that ours may take.
PROBLEMS = {
    "rational": (rational, 1e-3, 0.1, (6, 3, 1, 4)),
    "quintic": (quintic, 0.1, 0.1, (12, 8, 8, 11)),
    "wiggly": (wiggly, 0.1, 0.1, (12, 12, 10, 13)),
    "kinks 1e-3, 1e-3": (two_kinks(1e-3, 1e-3), 1e-3, 1e-3, (8, 1, 3, 4)),
    "kinks 1e-2, 1e-3": (two_kinks(1e-2, 1e-3), 1e-3, 1e-3, (6, 3, 7, 8)),
    "kinks 1e-3, 1e-2": (two_kinks(1e-3, 1e-2), 1e-3, 1e-3, (14, 11, 8, 11)),
}
STEPS = (1e-3, 1e-1, 1e1, 1e3)
CASES = [
    pytest.param(phi, c1, c2, step, most, id=f"{name}-{step:g}")
    for name, (phi, c1, c2, counts) in PROBLEMS.items()
    for step, most in zip(STEPS, counts, strict=True)
]


def search(phi, **options):
    return cb.wolfe_search(phi, *phi(0.0), **options)


def holds(phi, found, c1, c2):
    (start, slope), (value, new_slope) = phi(0.0), phi(found.step)
    assert (found.value, found.slope) == (value, new_slope)
    return value <= start + c1 * found.step * slope and abs(new_slope) <= c2 * abs(slope)


@pytest.mark.parametrize(("phi", "c1", "c2", "step", "most"), CASES)
class TestHardFunctions:
    def test_the_conditions_hold_after_few_evaluations(self, phi, c1, c2, step, most):
        found = search(phi, step=step, c1=c1, c2=c2)

        assert found.satisfied
        assert holds(phi, found, c1, c2)
        assert found.evaluations <= most

    @pytest.mark.parametrize("by", [1e12, 1e-12])
    @pytest.mark.parametrize("unit", [1e6, 1e-6])
    def test_units_do_not_matter(self, phi, c1, c2, step, most, by, unit):
        def scaled(t):
            value, slope = phi(t / unit)
            return by * value, by * slope / unit

        found = search(scaled, step=step * unit, c1=c1, c2=c2)

        assert found.satisfied
        assert holds(scaled, found, c1, c2)
        assert found.evaluations <= most + 1  # rounded another way


class TestSteps:
    @pytest.mark.parametrize("step", [1e-12, 1e-3, 0.9, 1.0, 1.1, 3e2, 1e12])
    def test_on_a_parabola(self, step):
        def phi(t):
            return (t - 1) ** 2 - 1, 2 * (t - 1)

        found = search(phi, step=step, c2=0.1)

        assert found.satisfied == (step != 1e-12)  # 20 steps that grow by 4 each do not come that far
        assert found.value < 0
        assert found.step == pytest.approx(1, abs=0.1) or not found.satisfied

    def test_halvings_end_what_interpolation_does_not(self):
        """-t that turns into 19 t within 1e-4: cubics and parabolas stay at the wrong end of the interval."""

        def phi(t, width=1e-4):
            past = max(t - 0.3, 0.0)
            slope = 20 * past * (past + 2 * width) / (past + width) ** 2
            return 20 * past * past / (past + width) - t, slope - 1

        found = search(phi, step=1.2)

        assert found.satisfied
        assert found.evaluations <= 12

    def test_a_good_first_step_costs_one_evaluation(self):
        asked = []

        found = cb.wolfe_search(lambda t: asked.append(t) or ((t - 1) ** 2, 2 * (t - 1)), 1.0, -2.0, step=0.5)

        assert (asked, found.evaluations, found.step) == ([0.5], 1, 0.5)

    def test_a_line_without_an_end_is_a_failure_with_the_lowest_step(self):
        found = search(lambda t: (-t, -1.0), max_evaluations=7)

        assert (found.satisfied, found.evaluations) == (False, 7)
        assert found.step == 5461  # 1, 1 + 4, 5 + 16, ...
        assert found.message == "no step was found in 7 evaluations"

    def test_where_every_step_is_higher_there_is_none(self):
        found = cb.wolfe_search(lambda t: (1.0 + t, 1.0), 1.0, -1.0)  # a slope with the wrong sign

        assert (found.satisfied, found.step, found.value, found.slope) == (False, 0.0, 1.0, -1.0)


class TestNotFinite:
    @pytest.mark.parametrize(
        "bad", [(math.nan, 1.0), (math.inf, 1.0), (-math.inf, 1.0), (0.0, math.nan), (0.0, math.inf)]
    )
    @pytest.mark.parametrize("step", [1.0, 1e2, 1e6])
    def test_is_too_long(self, bad, step):
        """A barrier at 0.05, just behind the minimiser at 0.04."""

        def phi(t):
            return bad if t >= 0.05 else (-math.log(0.05 - t) - 100 * t, 1 / (0.05 - t) - 100)

        found = search(phi, step=step, c2=0.1)

        assert found.satisfied
        assert holds(phi, found, 1e-4, 0.1)
        assert found.evaluations <= 14

    def test_extrapolation_stays_below_it(self):
        def phi(t):
            return (math.nan, math.nan) if t > 1 else ((t - 0.99) ** 2, 2 * (t - 0.99))

        found = search(phi, step=0.1, c2=0.01)

        assert found.satisfied

    def test_in_the_middle_of_the_interval_is_left_alone(self):
        def phi(t):
            return (math.nan, math.nan) if 0.9 < t < 1.5 else ((t - 0.8) ** 2, 2 * (t - 0.8))

        found = search(phi, step=2.0, c2=0.1)

        assert found.satisfied
        assert found.step < 0.9

    def test_everywhere_is_a_failure_without_a_step(self):
        found = cb.wolfe_search(lambda t: (math.nan, math.nan), 1.0, -1.0)

        assert (found.satisfied, found.step, found.evaluations) == (False, 0.0, 20)


class TestRounding:
    @pytest.mark.parametrize("offset", [1e8, -1e8])
    @pytest.mark.parametrize("step", [0.3, 1.0, 4.0, 30.0])
    def test_slopes_decide_where_values_have_no_digits(self, offset, step):
        """A parabola of depth 1e-10 on top of 1e8: every value is the same number."""

        def phi(t):
            return offset + 1e-10 * ((t - 1) ** 2 - 1), 2e-10 * (t - 1)

        found = search(phi, step=step)

        assert found.satisfied
        assert abs(found.step - 1) <= 0.9
        assert found.evaluations <= 4

    def test_a_rise_by_one_unit_does_not_turn_a_short_step_back(self):
        def phi(t):
            return 1 + 2.3e-16 * (t > 0), 2e-20 * (t - 1)

        found = search(phi, step=0.01)

        assert found.satisfied
        assert found.step >= 0.1

    def test_of_float32_is_known_by_its_unit(self):
        """What float32 adds to values must not be taken for a rise."""

        def phi(t):
            return float(np.float32(3 + 1e-7 * ((t - 1) ** 2 - 1) + 3e-7 * (t > 0))), 2e-7 * (t - 1)

        found = search(phi, step=0.5, rounding=float(np.finfo(np.float32).eps))

        assert (found.satisfied, found.evaluations) == (True, 1)
        assert not search(phi, step=0.5).satisfied

    def test_noise_alone_ends_before_all_evaluations(self):
        """Slopes that are noise, too: two signs, none smaller than that at 0."""
        found = cb.wolfe_search(lambda t: (1.0, 3.0 if t > 0.1 else -2.0), 1.0, -1.0)

        assert not found.satisfied
        assert found.evaluations <= 6
        assert found.step == 0.0


class TestRefusals:
    @pytest.mark.parametrize("slope", [0.0, 1.0, math.nan, -math.inf])
    def test_a_slope_that_does_not_fall_is_a_failure_without_an_evaluation(self, slope):
        found = cb.wolfe_search(lambda t: pytest.fail("evaluated"), 2.0, slope)

        assert (found.satisfied, found.step, found.value, found.evaluations) == (False, 0.0, 2.0, 0)
        assert found.message == f"value and slope at 0 must be finite and the slope negative, got 2.0 and {slope}"

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_so_is_a_value_that_is_not_finite(self, value):
        assert not cb.wolfe_search(lambda t: pytest.fail("evaluated"), value, -1.0).satisfied

    @pytest.mark.parametrize(
        "options", [{"step": 0.0}, {"step": math.inf}, {"step": math.nan}, {"c1": 0.0}, {"c2": 1.0}, {"c1": 0.95}]
    )
    def test_bad_options_are_named(self, options):
        with pytest.raises(ValueError, match=r"wolfe_search: step must be positive .* got step = .*, c1 = .*, c2 = "):
            search(rational, **options)

    def test_what_the_function_raises_passes_through(self):
        def phi(t):
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            cb.wolfe_search(phi, 1.0, -1.0)

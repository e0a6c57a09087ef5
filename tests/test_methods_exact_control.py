"""The control of the step of exact natural gradients: quadratic model, damping, clips."""

import math

import numpy as np
import pytest

from curvblas.methods import exact

from identities.exact import rows_of
from oracle import relative_error


class TestQuadraticStep:
    def test_is_the_minimum_over_the_directions(self, rng):
        C, g, D = rows_of(9, 6, rng), rng.standard_normal(6), rng.standard_normal((2, 6))
        C = C.T @ C

        found = exact.quadratic_step(g, D, D @ C)

        expected = -np.linalg.solve(D @ C @ D.T, D @ g)
        assert relative_error(found.coefficients, expected) < 1e-12
        assert np.isclose(found.change, g @ found.step + found.step @ C @ found.step / 2, rtol=1e-12)
        assert np.isclose(found.square, found.step @ C @ found.step, rtol=1e-12)

    @pytest.mark.parametrize("other", [3.0, -2.0, 1e-9])
    def test_of_parallel_directions_is_that_of_one(self, rng, other):
        C, g, d = np.diag([1.0, 2.0, 3.0]), rng.standard_normal(3), rng.standard_normal(3)
        D = np.stack([d, other * d])

        found = exact.quadratic_step(g, D, D @ C)

        assert relative_error(found.step, -(g @ d) / (d @ C @ d) * d) < 1e-12

    def test_of_almost_parallel_directions_is_that_of_one(self, rng):
        C, g, d = np.diag([1.0, 2.0, 3.0]), rng.standard_normal(3), rng.standard_normal(3)
        D = np.stack([d, d * (1 + 1e-7 * rng.standard_normal(3))])

        found = exact.quadratic_step(g, D, D @ C)

        assert relative_error(found.step, -(g @ d) / (d @ C @ d) * d) < 1e-6

    def test_does_not_depend_on_the_lengths_of_directions(self, rng):
        C, g, D = np.diag([1.0, 2.0, 3.0]), rng.standard_normal(3), rng.standard_normal((2, 3))
        scaled = D * np.array([[1e-9], [1e6]])

        assert (
            relative_error(exact.quadratic_step(g, scaled, scaled @ C).step, exact.quadratic_step(g, D, D @ C).step)
            < 1e-9
        )

    def test_leaves_out_a_direction_of_zero(self, rng):
        g, D = np.array([1.0, 2.0]), np.array([[-1.0, -1.0], [0.0, 0.0]])

        found = exact.quadratic_step(g, D, 2 * D)

        assert np.array_equal(found.coefficients, [0.75, 0])

    def test_with_a_bad_number_is_nan(self):
        found = exact.quadratic_step(np.ones(2), np.eye(2), np.array([[1.0, 0.0], [0.0, np.inf]]))

        assert np.isnan(found.step).all()
        assert np.isnan(found.change)


class TestLevenbergMarquardt:
    @pytest.mark.parametrize(("rho", "factor"), [(0.9, 0.95**5), (0.5, 1.0), (0.1, 0.95**-5), (-1.0, 0.95**-5)])
    def test_changes_the_damping_every_few_steps(self, rho, factor):
        control = exact.LevenbergMarquardt(2.0)

        for k in range(5):
            assert control.damping == 2.0, k
            assert control.update(-1.0, before=0.0, after=-rho) == rho

        assert np.isclose(control.damping, 2 * factor, rtol=1e-14)

    @pytest.mark.parametrize(
        ("predicted", "after"),
        [(-1.0, np.nan), (-1.0, np.inf), (np.nan, 1.0), (1.0, 1.0), (-1.0, -np.inf), (-np.inf, 1.0)],
    )
    def test_grows_at_once_where_a_step_failed(self, predicted, after):
        control = exact.LevenbergMarquardt(2.0)

        control.update(predicted, 2.0, after)

        assert np.isclose(control.damping, 2 / 0.95**5)
        assert np.isnan(control.rho)

    def test_does_not_fall_below_its_smallest(self):
        control = exact.LevenbergMarquardt(2.0, base=0.5, interval=1, smallest=1.5)

        control.update(-1.0, 2.0, 1.0)

        assert control.damping == 1.5

    @pytest.mark.parametrize("predicted", [0.0, 1e-16, -1e-16])
    def test_leaves_the_damping_where_no_difference_of_losses_can_tell(self, predicted):
        control = exact.LevenbergMarquardt(2.0, interval=1)

        assert np.isnan(control.update(predicted, 1.0, 1.0 + 2e-16))
        assert control.damping == 2.0


class TestClip:
    def test_is_one_where_the_step_is_short_or_zero(self):
        assert exact.kl_clip(2e-4, 1.0, 1e-3) == 1.0
        assert exact.kl_clip(0.0, 1.0, 1e-3) == 1.0

    @pytest.mark.parametrize("inner", [-1.0, np.nan, np.inf])
    def test_of_a_direction_that_is_none_is_nan(self, inner):
        assert np.isnan(exact.kl_clip(inner, 1.0, 1e-3))


def test_the_damping_stays_finite_after_any_number_of_failures():
    method, other = exact.NaturalGradient(2), exact.NaturalGradient(2)
    method.step(np.eye(2), np.ones(2))
    for _ in range(3000):
        method.adapt(1.0, math.nan)

    other.load_state_dict(method.state_dict())
    step = other.step(np.eye(2), np.ones(2))

    assert other.damping == 1e300
    assert np.isfinite(step).all()


def test_the_damping_stays_finite_where_a_factor_is_zero_in_float64():
    control = exact.LevenbergMarquardt(1.0, base=0.01, interval=1000)

    control.update(-1.0, before=1.0, after=math.inf)

    assert control.damping == 1e300


@pytest.mark.parametrize(
    ("inner", "rate", "limit", "expected"),
    [(1e300, 1e-170, 1e-80, 1e-20), (1e300, 1e-250, 1.0, 1.0), (1e300, 1e-145, 1.0, 1e-5), (1e-300, 1e155, 1.0, 1e-5)],
)
def test_kl_clip_neither_overflows_nor_vanishes(inner, rate, limit, expected):
    assert exact.kl_clip(inner, rate, limit) == pytest.approx(expected)


@pytest.mark.parametrize("inner", [math.nan, math.inf, -1.0])
def test_kl_clip_of_no_square_is_nan(inner):
    assert math.isnan(exact.kl_clip(inner, 1.0, 1.0))

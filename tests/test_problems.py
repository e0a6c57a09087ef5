"""The test problems: gradients against complex steps, values against the figures of the literature."""

import numpy as np
import pytest
from scipy.optimize import minimize

from curvblas.examples.problems import Problem, all_problems, chains, cutest, mgh_systems, mgh_variable

PROBLEMS = [pytest.param(problem, id=f"{problem.name}-{problem.n}") for problem in all_problems()]


# Where terms count that vanish, or are lost beside others, at the start and at the minimum: values by hand.
BY_HAND = [
    (mgh_systems.brown_badly_scaled, (1e6, 2e-6), 0.0),
    (mgh_systems.helical_valley, (0.3, 0.4, 0), 25 + 100 * (10 * np.arctan(4 / 3) / (2 * np.pi)) ** 2),
    (mgh_systems.wood, (0, 3, 0, 0), 900 + 1 + 0 + 1 + 10 + 0.9),
    (mgh_variable.broyden_banded, (1, 1, 1, 1, 1, 1, 1, 1), 36 + 16 + 4 + 0 + 4 + 16 + 16 + 4),
    (chains.cragg_levy, (0, 2, 1, 1), 1 + 100),
    (chains.dennis_schnabel, (2, 0), 16 + 1),
    (chains.tridiagonal, (3, 1, 0), 4 + 2 + 3),
    (cutest.sine_quadratic, (2, 1, 0), 1 + (np.sin(1) - 3) ** 2 + 16),
    (cutest.toint_gaussian, (1, 0, 2), 14 * (2 - np.exp(-1 / 4.1))),
]


def hessian(problem, x):
    steps = 1e-30j * np.eye(problem.n)
    return np.array([problem(x + step)[1].imag / 1e-30 for step in steps])


def lowest(problem):
    """Minimise by L-BFGS-B, and few variables by Newton steps from there."""
    options = {"maxcor": 20, "maxfun": 20000, "maxiter": 20000, "ftol": 0, "gtol": 1e-10}
    with np.errstate(all="ignore"):
        x = minimize(problem, problem.start, jac=True, method="L-BFGS-B", options=options).x
    for _ in range(10 if problem.n <= 12 else 0):
        x = x - np.linalg.lstsq(hessian(problem, x), problem(x)[1])[0]
    return problem(x)[0]


def test_there_are_small_and_large_problems_under_names_of_their_own():
    problems = all_problems()
    sizes = [problem.n for problem in problems]

    assert len({(problem.name, problem.n) for problem in problems}) == len(problems) > 70
    assert sum(n <= 100 for n in sizes) > 40
    assert sum(n >= 1000 for n in sizes) > 20


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_gradient_is_the_slope_by_a_complex_step(rng, problem):
    for x in (problem.start, problem.start + 0.01 * rng.standard_normal(problem.n)):
        gradient = problem(x)[1]
        direction = rng.standard_normal(problem.n)

        slope = problem(x + 1e-30j * direction)[0].imag / 1e-30

        assert abs(slope - gradient @ direction) < 1e-12 * np.linalg.norm(gradient) * np.linalg.norm(direction)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_value_at_the_start_is_that_of_the_formula(problem):
    assert np.isclose(problem(problem.start)[0], problem.start_value, rtol=2e-6, atol=0)


@pytest.mark.parametrize(("terms", "x", "value"), BY_HAND, ids=[terms.__name__ for terms, _, _ in BY_HAND])
def test_the_value_at_another_point_is_that_of_the_formula(rng, terms, x, value):
    problem = Problem("", terms, np.array(x, dtype=np.float64), value, "")
    direction = rng.standard_normal(problem.n)

    slope = problem(problem.start + 1e-30j * direction)[0].imag / 1e-30

    found, gradient = problem(problem.start)
    assert np.isclose(found, value, rtol=1e-14, atol=1e-25)
    assert np.isclose(slope, gradient @ direction, rtol=1e-12, atol=1e-18)


@pytest.mark.parametrize("problem", [p for p in PROBLEMS if p.values[0].minimiser is not None])
def test_the_published_minimiser_is_stationary_and_has_the_published_value(problem):
    value, gradient = problem(problem.minimiser)
    start = np.abs(problem(problem.start)[1]).max()

    assert np.isclose(value, problem.minima[0], rtol=1e-5, atol=1e-12)
    assert np.abs(gradient).max() < 1e-5 * start


@pytest.mark.parametrize("problem", [p for p in PROBLEMS if p.values[0].minimiser is None and p.values[0].minima])
def test_the_lowest_value_that_is_found_is_published(problem):
    value = lowest(problem)

    assert any(np.isclose(value, minimum, rtol=4e-5, atol=1e-15) for minimum in problem.minima)

"""Problems 20 to 35 of Moré, Garbow and Hillstrom 1981, which have any number of variables."""

from __future__ import annotations

import numpy as np

from curvblas.examples.problems.mgh_systems import MGH
from curvblas.examples.problems.problem import ALL, HEAD, TAIL, Problem, Slope, Terms, Vector, counted


def watson(x: Vector) -> list[Terms]:
    """Coefficients of a polynomial that shall have ``p' - p^2 = 1`` and ``p(0) = 0``."""
    t = counted(29)[:, None] / 29
    powers = t ** counted(x.size, 0)
    derivatives = np.zeros_like(powers)
    derivatives[:, 1:] = counted(x.size - 1) * powers[:, :-1]
    p = powers @ x
    return [
        Terms(derivatives @ x - p**2 - 1, (Slope(ALL, derivatives - 2 * p[:, None] * powers),)),
        Terms(x[0], (Slope(0, 1.0),)),
        Terms(x[1] - x[0] ** 2 - 1, (Slope(0, -2 * x[0]), Slope(1, 1.0))),
    ]


def penalty_1(x: Vector) -> list[Terms]:
    """``10^-5 sum (x_i - 1)^2 + (sum x_i^2 - 1/4)^2``."""
    return [Terms(x - 1, (Slope(ALL, 1.0),), 2, 1e-5), Terms(x @ x - 0.25, (Slope(ALL, 2 * x),))]


def penalty_2(x: Vector) -> list[Terms]:
    """Problem 24: exponentials of neighbours, and a weighted sum of squares that shall be 1."""
    n, growth = x.size, np.exp(x / 10)
    data = np.exp(counted(n) / 10)
    weights = n - counted(n, 0)
    return [
        Terms(x[0] - 0.2, (Slope(0, 1.0),)),
        Terms(
            growth[1:] + growth[:-1] - data[1:] - data[:-1],
            (Slope(TAIL, growth[1:] / 10), Slope(HEAD, growth[:-1] / 10)),
            *(2, 1e-5),
        ),
        Terms(growth[1:] - np.exp(-0.1), (Slope(TAIL, growth[1:] / 10),), 2, 1e-5),
        Terms(weights @ x**2 - 1, (Slope(ALL, 2 * weights * x),)),
    ]


def variably_dimensioned(x: Vector) -> list[Terms]:
    """``sum (x_i - 1)^2 + s^2 + s^4`` with ``s = sum i (x_i - 1)``."""
    i = counted(x.size)
    s = i @ (x - 1)
    return [Terms(x - 1, (Slope(ALL, 1.0),)), Terms(s, (Slope(ALL, i),)), Terms(s, (Slope(ALL, i),), 4)]


def trigonometric(x: Vector) -> list[Terms]:
    """``n - sum_j cos x_j + i (1 - cos x_i) - sin x_i``."""
    n, i, sines, cosines = x.size, counted(x.size), np.sin(x), np.cos(x)
    J = sines + np.diag(i * sines - cosines)
    return [Terms(n - cosines.sum() + i * (1 - cosines) - sines, (Slope(ALL, J),))]


def brown_almost_linear(x: Vector) -> list[Terms]:
    """``x_i + sum_j x_j - (n + 1)`` for all but the last, and ``prod_j x_j - 1``."""
    n = x.size
    others = np.where(np.eye(n), 1.0, x).prod(axis=1)
    return [
        Terms(x[:-1] + x.sum() - (n + 1), (Slope(HEAD, 1.0), Slope(ALL, np.ones((n - 1, n))))),
        Terms(x.prod() - 1, (Slope(ALL, others),)),
    ]


def discrete_boundary_value(x: Vector) -> list[Terms]:
    """``2 x_i - x_(i-1) - x_(i+1) + h^2 (x_i + t_i + 1)^3 / 2``, 0 beyond the ends."""
    h = 1 / (x.size + 1)
    shifted = x + h * counted(x.size) + 1
    values = 2 * x + h**2 / 2 * shifted**3
    values[1:] -= x[:-1]
    values[:-1] -= x[1:]
    slopes = (Slope(ALL, 2 + 1.5 * h**2 * shifted**2), Slope(HEAD, -1.0, TAIL), Slope(TAIL, -1.0, HEAD))
    return [Terms(values, slopes)]


def discrete_integral_equation(x: Vector) -> list[Terms]:
    """``x_i + h/2 sum_j k(t_i, t_j) (x_j + t_j + 1)^3``, ``k(s, t) = min(s, t) (1 - max(s, t))``."""
    h = 1 / (x.size + 1)
    t = h * counted(x.size)
    K = h / 2 * np.minimum.outer(t, t) * (1 - np.maximum.outer(t, t))
    shifted = x + t + 1
    return [Terms(x + K @ shifted**3, (Slope(ALL, 1.0), Slope(ALL, K * (3 * shifted**2))))]


def broyden_tridiagonal(x: Vector) -> list[Terms]:
    """``(3 - 2 x_i) x_i - x_(i-1) - 2 x_(i+1) + 1``, 0 beyond the ends."""
    values = (3 - 2 * x) * x + 1
    values[1:] -= x[:-1]
    values[:-1] -= 2 * x[1:]
    return [Terms(values, (Slope(ALL, 3 - 4 * x), Slope(HEAD, -1.0, TAIL), Slope(TAIL, -2.0, HEAD)))]


def broyden_banded(x: Vector) -> list[Terms]:
    """``x_i (2 + 5 x_i^2) + 1 - sum_j x_j (1 + x_j)``, j the five variables before x_i and the one after."""
    values = x * (2 + 5 * x**2) + 1
    slopes = [Slope(ALL, 2 + 15 * x**2)]
    product, slope = x * (1 + x), -(1 + 2 * x)
    for k in range(1, 6):
        before, after = slice(None, -k), slice(k, None)
        values[after] -= product[before]
        slopes.append(Slope(before, slope[before], after))
    values[HEAD] -= product[TAIL]
    return [Terms(values, [*slopes, Slope(TAIL, slope[TAIL], HEAD)])]


def linear_full_rank(x: Vector) -> list[Terms]:
    """``x_i - (2 / m) sum_j x_j - 1`` and, for m - n more terms, the same without ``x_i``; m = 2 n."""
    n = x.size
    common = -x.sum() / n - 1
    mean = np.full((n, n), -1 / n)
    return [
        Terms(x + common, (Slope(ALL, 1.0), Slope(ALL, mean))),
        Terms(np.full(n, common), (Slope(ALL, mean),)),
    ]


def linear_rank_1(x: Vector) -> list[Terms]:
    """``i sum_j j x_j - 1`` for i up to m = 2 n."""
    i, j = counted(2 * x.size), counted(x.size)
    return [Terms(i * (j @ x) - 1, (Slope(ALL, np.outer(i, j)),))]


def linear_rank_1_with_zeros(x: Vector) -> list[Terms]:
    """``(i - 1) sum_j j x_j - 1`` with j from 2 to n - 1, and ``-1`` as the first and the last of m = 2 n."""
    i, j = counted(2 * x.size, 0), counted(x.size)
    i[-1] = 0
    j[[0, -1]] = 0
    return [Terms(i * (j @ x) - 1, (Slope(ALL, np.outer(i, j)),))]


def chebyquad(x: Vector) -> list[Terms]:
    """Mean of the i-th shifted Chebyshev polynomial at all variables, less its integral over [0, 1]."""
    n, y = x.size, 2 * x - 1
    polynomials, derivatives = [np.ones_like(y), y], [np.zeros_like(y), np.full_like(y, 2.0)]
    for _ in range(n - 1):
        derivatives.append(4 * polynomials[-1] + 2 * y * derivatives[-1] - derivatives[-2])
        polynomials.append(2 * y * polynomials[-1] - polynomials[-2])
    i = np.arange(1, n + 1)
    integrals = np.where(i % 2, 0.0, -1 / (i**2 - 1.0 + (i == 1)))
    return [Terms(np.mean(polynomials[1:], axis=1) - integrals, (Slope(ALL, np.array(derivatives[1:]) / n),))]


def _grid(n: int) -> Vector:
    t = counted(n) / (n + 1)
    return t * (t - 1)


PROBLEMS = (
    *(
        Problem("Watson", watson, np.zeros(n), 30.0, f"{MGH} 20", (minimum,))
        for n, minimum in ((6, 2.28767e-3), (9, 1.39976e-6), (12, 4.72238e-10))
    ),
    Problem("penalty I", penalty_1, counted(4), 885.062640, f"{MGH} 23", (2.24997e-5,)),
    Problem("penalty I", penalty_1, counted(10), 148032.565350, f"{MGH} 23", (7.08765e-5,)),
    Problem("penalty I", penalty_1, counted(1000), 1.114448e17, "CUTEst, PENALTY1", (9.68618e-3,)),
    Problem("penalty II", penalty_2, np.full(4, 0.5), 2.340008, f"{MGH} 24", (9.37629e-6,)),
    Problem("penalty II", penalty_2, np.full(10, 0.5), 162.652777, f"{MGH} 24", (2.93660e-4,)),
    *(
        Problem(
            "variably dimensioned", variably_dimensioned, 1 - counted(n) / n, value, f"{MGH} 25", (0.0,), np.ones(n)
        )
        for n, value in ((10, 2198551.1625), (100, 131058369689326.14))
    ),
    Problem("trigonometric", trigonometric, np.full(10, 0.1), 7.07575e-3, f"{MGH} 26", (0.0, 2.79506e-5), np.zeros(10)),
    Problem("trigonometric", trigonometric, np.full(100, 0.01), 8.20820070e-4, f"{MGH} 26", (0.0,), np.zeros(100)),
    Problem(
        "Brown almost-linear", brown_almost_linear, np.full(10, 0.5), 273.248047, f"{MGH} 27", (0.0, 1.0), np.ones(10)
    ),
    Problem("discrete boundary value", discrete_boundary_value, _grid(10), 7.885191013e-4, f"{MGH} 28", (0.0,)),
    Problem("discrete boundary value", discrete_boundary_value, _grid(100), 1.232925121e-6, f"{MGH} 28", (0.0,)),
    Problem("discrete integral equation", discrete_integral_equation, _grid(10), 0.0634168416, f"{MGH} 29", (0.0,)),
    Problem("discrete integral equation", discrete_integral_equation, _grid(100), 0.5730503064, f"{MGH} 29", (0.0,)),
    *(
        Problem("Broyden tridiagonal", broyden_tridiagonal, -np.ones(n), n + 11.0, f"{MGH} 30", minima)
        for n, minima in ((10, (0.0,)), (1000, ()))  # with 1000 variables, most methods end in another minimum
    ),
    *(Problem("Broyden banded", broyden_banded, -np.ones(n), 36.0 * n, f"{MGH} 31", (0.0,)) for n in (10, 1000)),
    Problem("linear, full rank", linear_full_rank, np.ones(10), 50.0, f"{MGH} 32", (10.0,), -np.ones(10)),
    Problem("linear, rank 1", linear_rank_1, np.ones(10), 8658670.0, f"{MGH} 33", (190 / 41,)),
    Problem("linear, rank 1 with zeros", linear_rank_1_with_zeros, np.ones(10), 4067996.0, f"{MGH} 34", (227 / 37,)),
    *(
        Problem("Chebyquad", chebyquad, counted(n) / (n + 1), value, f"{MGH} 35", (minimum,))
        for n, value, minimum in ((8, 0.0386177, 3.51687e-3), (10, 0.0337632655, 6.50395e-3))
    ),
)

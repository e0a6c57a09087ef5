"""Problems 1 to 14 of Moré, Garbow and Hillstrom 1981 that are systems of a few equations, and what extends them.

Functions take slices, so that the same formulas make the extended problems (21, 22) and the chained ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from curvblas.examples.problems.problem import PAIRS, QUADRUPLES, Problem, Slope, Terms, Vector, counted, repeated

MGH = "Moré, Garbow and Hillstrom 1981, problem"


def rosenbrock(x: Vector, places: Sequence[slice] = PAIRS) -> list[Terms]:
    """``100 (b - a^2)^2 + (1 - a)^2``."""
    first, second = places
    a, b = x[first], x[second]
    return [Terms(b - a**2, (Slope(first, -2 * a), Slope(second, 1.0)), 2, 100.0), Terms(1 - a, (Slope(first, -1.0),))]


def freudenstein_roth(x: Vector, places: Sequence[slice] = PAIRS) -> list[Terms]:
    """Solve two cubic equations: ``(a - 13 + ((5 - b) b - 2) b)^2 + (a - 29 + ((b + 1) b - 14) b)^2``."""
    first, second = places
    a, b = x[first], x[second]
    return [
        Terms(a - 13 + ((5 - b) * b - 2) * b, (Slope(first, 1.0), Slope(second, (10 - 3 * b) * b - 2))),
        Terms(a - 29 + ((b + 1) * b - 14) * b, (Slope(first, 1.0), Slope(second, (3 * b + 2) * b - 14))),
    ]


def powell_badly_scaled(x: Vector) -> list[Terms]:
    """``(10^4 a b - 1)^2 + (e^-a + e^-b - 1.0001)^2``."""
    a, b = x
    return [
        Terms(1e4 * a * b - 1, (Slope(0, 1e4 * b), Slope(1, 1e4 * a))),
        Terms(np.exp(-a) + np.exp(-b) - 1.0001, (Slope(0, -np.exp(-a)), Slope(1, -np.exp(-b)))),
    ]


def brown_badly_scaled(x: Vector) -> list[Terms]:
    """Meet three scales: ``(a - 10^6)^2 + (b - 2 10^-6)^2 + (a b - 2)^2``."""
    a, b = x
    return [
        Terms(a - 1e6, (Slope(0, 1.0),)),
        Terms(b - 2e-6, (Slope(1, 1.0),)),
        Terms(a * b - 2, (Slope(0, b), Slope(1, a))),
    ]


def beale(x: Vector) -> list[Terms]:
    """``sum_i (y_i - a (1 - b^i))^2``."""
    a, b = x
    i = counted(3)
    return [Terms(np.array([1.5, 2.25, 2.625]) - a * (1 - b**i), (Slope(0, b**i - 1), Slope(1, a * i * b ** (i - 1))))]


def helical_valley(x: Vector) -> list[Terms]:
    """``100 (c - 10 theta(a, b))^2 + 100 (sqrt(a^2 + b^2) - 1)^2 + c^2``, theta from -1/4 to 3/4."""
    a, b, c = x
    square = a**2 + b**2
    radius = np.sqrt(square)
    theta = np.arctan(b / a) / (2 * np.pi) + (0.5 if a.real < 0 else 0.0)
    turn = 10 / (2 * np.pi * square)
    return [
        Terms(c - 10 * theta, (Slope(0, turn * b), Slope(1, -turn * a), Slope(2, 1.0)), 2, 100.0),
        Terms(radius - 1, (Slope(0, a / radius), Slope(1, b / radius)), 2, 100.0),
        Terms(c, (Slope(2, 1.0),)),
    ]


def powell_singular(x: Vector, places: Sequence[slice] = QUADRUPLES) -> list[Terms]:
    """Have a singular Hessian at the minimum: ``(a + 10 b)^2 + 5 (c - d)^2 + (b - 2 c)^4 + 10 (a - d)^4``."""
    first, second, third, fourth = places
    a, b, c, d = (x[place] for place in places)
    return [
        Terms(a + 10 * b, (Slope(first, 1.0), Slope(second, 10.0))),
        Terms(c - d, (Slope(third, 1.0), Slope(fourth, -1.0)), 2, 5.0),
        Terms(b - 2 * c, (Slope(second, 1.0), Slope(third, -2.0)), 4),
        Terms(a - d, (Slope(first, 1.0), Slope(fourth, -1.0)), 4, 10.0),
    ]


def wood(x: Vector, places: Sequence[slice] = QUADRUPLES) -> list[Terms]:
    """Rosenbrock's function of (a, b), with 90 for 100 that of (c, d), and ``10 (b + d - 2)^2 + (b - d)^2 / 10``."""
    first, second, third, fourth = places
    a, b, c, d = (x[place] for place in places)
    return [
        Terms(b - a**2, (Slope(first, -2 * a), Slope(second, 1.0)), 2, 100.0),
        Terms(1 - a, (Slope(first, -1.0),)),
        Terms(d - c**2, (Slope(third, -2 * c), Slope(fourth, 1.0)), 2, 90.0),
        Terms(1 - c, (Slope(third, -1.0),)),
        Terms(b + d - 2, (Slope(second, 1.0), Slope(fourth, 1.0)), 2, 10.0),
        Terms(b - d, (Slope(second, 1.0), Slope(fourth, -1.0)), 2, 0.1),
    ]


_ROOT = np.array([1.098159e-5, 9.106146])
_POWELL, _WOOD = (3.0, -1.0, 0.0, 1.0), (-3.0, -1.0, -3.0, -1.0)
_ROSENBROCKS = [
    Problem(name, rosenbrock, repeated((-1.2, 1.0), n), 12.1 * n, reference, (0.0,), np.ones(n))
    for name, n, reference in (
        ("Rosenbrock", 2, f"{MGH} 1"),
        ("extended Rosenbrock", 100, f"{MGH} 21"),
        ("extended Rosenbrock", 10000, f"{MGH} 21"),
    )
]
_POWELLS = [
    Problem(name, powell_singular, repeated(_POWELL, n), 53.75 * n, reference, (0.0,), np.zeros(n))
    for name, n, reference in (
        ("Powell singular", 4, f"{MGH} 13"),
        ("extended Powell singular", 100, f"{MGH} 22"),
        ("extended Powell singular", 10000, f"{MGH} 22"),
    )
]
_WOODS = [
    Problem(name, wood, repeated(_WOOD, n), 4798.0 * n, reference, (0.0,), np.ones(n))
    for name, n, reference in (("Wood", 4, f"{MGH} 14"), ("extended Wood", 10000, "CUTEst, WOODS"))
]
PROBLEMS = (
    *_ROSENBROCKS,
    Problem(
        "Freudenstein-Roth",
        freudenstein_roth,
        np.array([0.5, -2.0]),
        400.5,
        f"{MGH} 2",
        (0.0, 48.9842),
        np.array([5.0, 4.0]),
    ),
    Problem("Powell badly scaled", powell_badly_scaled, np.array([0.0, 1.0]), 1.13526, f"{MGH} 3", (0.0,), _ROOT),
    Problem(
        "Brown badly scaled",
        brown_badly_scaled,
        np.ones(2),
        999998000002.999996,
        f"{MGH} 4",
        (0.0,),
        np.array([1e6, 2e-6]),
    ),
    Problem("Beale", beale, np.ones(2), 14.203125, f"{MGH} 5", (0.0,), np.array([3.0, 0.5])),
    Problem(
        "Helical valley", helical_valley, np.array([-1.0, 0, 0]), 2500.0, f"{MGH} 7", (0.0,), np.array([1.0, 0, 0])
    ),
    *_POWELLS,
    *_WOODS,
)

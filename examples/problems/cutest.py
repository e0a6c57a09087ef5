"""Functions of many variables of other patterns: arrowheads, far bands, products; from CUTEst and Lukšan."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from curvblas.examples.problems.problem import ALL, HEAD, TAIL, Problem, Slope, Terms, Vector, counted, repeated

TRIPLE = (slice(None, -2), slice(1, -1), slice(2, None))


def arrowhead(x: Vector) -> list[Terms]:
    """``sum (x_i^2 + x_n^2)^2 - 4 x_i + 3``."""
    a, last = x[:-1], x[-1]
    return [
        Terms(a**2 + last**2, (Slope(HEAD, 2 * a), Slope(-1, 2 * last))),
        Terms(3 - 4 * a, (Slope(HEAD, -4.0),), 1),
    ]


def li_arrowhead(x: Vector) -> list[Terms]:
    """``sum 4 (x_i^2 - x_1)^2 + (x_i - 1)^2``."""
    return [
        Terms(x**2 - x[0], (Slope(ALL, 2 * x), Slope(0, -1.0)), 2, 4.0),
        Terms(x - 1, (Slope(ALL, 1.0),)),
    ]


def nondiagonal(x: Vector) -> list[Terms]:
    """``(x_1 - 1)^2 + sum 100 (x_1 - x_(i-1)^2)^2``, i from 2."""
    return [
        Terms(x[0] - 1, (Slope(0, 1.0),)),
        Terms(x[0] - x[:-1] ** 2, (Slope(0, 1.0), Slope(HEAD, -2 * x[:-1])), 2, 100.0),
    ]


def nondiagonal_quartic(x: Vector) -> list[Terms]:
    """``(x_1 - x_2)^2 + (x_(n-1) - x_n)^2 + sum (x_i + x_(i+1) + x_n)^4``, i up to n - 2."""
    first, second, _ = TRIPLE
    return [
        Terms(x[0] - x[1], (Slope(0, 1.0), Slope(1, -1.0))),
        Terms(x[-2] - x[-1], (Slope(-2, 1.0), Slope(-1, -1.0))),
        Terms(x[first] + x[second] + x[-1], (Slope(first, 1.0), Slope(second, 1.0), Slope(-1, 1.0)), 4),
    ]


def diagonal_quadratic(x: Vector) -> list[Terms]:
    """``sum x_i^2 + 100 x_(i+1)^2 + 100 x_(i+2)^2``."""
    return [
        Terms(x[place], (Slope(place, 1.0),), 2, weight)
        for place, weight in zip(TRIPLE, (1.0, 100.0, 100.0), strict=True)
    ]


def quartic(x: Vector) -> list[Terms]:
    """``sum (x_i - i)^4``."""
    return [Terms(x - counted(x.size), (Slope(ALL, 1.0),), 4)]


def sine_quadratic(x: Vector) -> list[Terms]:
    """``(x_1 - 1)^4 + sum (sin(x_i - x_n) - x_1^2 + x_i^2)^2 + (x_n^2 - x_1^2)^2``, i from 2 to n - 1."""
    middle = slice(1, -1)
    inner, first, last = x[middle], x[0], x[-1]
    cosines = np.cos(inner - last)
    slopes = (Slope(middle, cosines + 2 * inner), Slope(0, -2 * first), Slope(-1, -cosines))
    return [
        Terms(first - 1, (Slope(0, 1.0),), 4),
        Terms(np.sin(inner - last) - first**2 + inner**2, slopes),
        Terms(last**2 - first**2, (Slope(0, -2 * first), Slope(-1, 2 * last))),
    ]


def schmidt_vetters(x: Vector) -> list[Terms]:
    """``-1 / (1 + (a - b)^2) - sin((pi b + c) / 2) - e^(-((a + c) / b - 2)^2)`` over three neighbours."""
    first, second, third = TRIPLE
    a, b, c = (x[place] for place in TRIPLE)
    below = 1 + (a - b) ** 2
    phase = (np.pi * b + c) / 2
    ratio = (a + c) / b - 2
    bell = np.exp(-(ratio**2))
    pull, steep = 2 * (a - b) / below**2, 2 * ratio * bell / b
    return [
        Terms(-1 / below, (Slope(first, pull), Slope(second, -pull)), 1),
        Terms(-np.sin(phase), (Slope(second, -np.pi / 2 * np.cos(phase)), Slope(third, -np.cos(phase) / 2)), 1),
        Terms(-bell, (Slope(first, steep), Slope(third, steep), Slope(second, -steep * (a + c) / b)), 1),
    ]


def toint_gaussian(x: Vector) -> list[Terms]:
    """``(10 / (n - 2) + c^2) (2 - e^(-(a - b)^2 / (0.1 + c^2)))`` over three neighbours."""
    first, second, third = TRIPLE
    a, b, c = (x[place] for place in TRIPLE)
    below, height = 0.1 + c**2, 10 / (x.size - 2) + c**2
    ratio = (a - b) ** 2 / below
    bell = np.exp(-ratio)
    pull = height * bell * 2 * (a - b) / below
    slopes = (
        Slope(first, pull),
        Slope(second, -pull),
        Slope(third, 2 * c * (2 - bell) - height * bell * ratio * 2 * c / below),
    )
    return [Terms(height * (2 - bell), slopes, 1)]


def dixon_maany(x: Vector, weights: Sequence[float], exponents: Sequence[int]) -> list[Terms]:
    """Four sums over variables, neighbours and far neighbours, their weights times powers of i / n; and 1."""
    n = x.size
    m = n // 3
    alpha, beta, gamma, delta = (
        weight * (counted(n) / n) ** exponent for weight, exponent in zip(weights, exponents, strict=True)
    )
    near, far, last = slice(None, -m), slice(m, None), slice(2 * m, None)
    a, b, p, q = x[:-1], x[1:], x[near], x[far]
    return [
        Terms(np.ones(1), ()),
        Terms(x, (Slope(ALL, 1.0),), 2, alpha),
        Terms(a * (b + b**2), (Slope(HEAD, b + b**2), Slope(TAIL, a * (1 + 2 * b))), 2, beta[:-1]),
        Terms(p * q**2, (Slope(near, q**2), Slope(far, 2 * p * q)), 2, gamma[: 2 * m]),
        Terms(x[:m] * x[last], (Slope(slice(m), x[last]), Slope(last, x[:m])), 1, delta[:m]),
    ]


def _partners(n: int) -> list[tuple[slice, slice]]:
    """Pairs of rows and columns, each two apart at most or n / 2 apart: the pattern of Lukšan's sparse functions."""
    pairs = [(ALL, ALL)]
    for k in (1, 2, n // 2):
        pairs += [(slice(k, None), slice(None, -k)), (slice(None, -k), slice(k, None))]
    return pairs


def nazareth_trigonometric(x: Vector) -> list[Terms]:
    """``(n + i - sum_j a sin x_j + b cos x_j)^2 / n``, ``a = 5 (1 + i mod 5 + j mod 5)``, ``b = (i + j) / 10``."""
    n, i = x.size, counted(x.size)
    values, slopes, sines, cosines = n + i - 0 * x, [], np.sin(x), np.cos(x)
    for rows, columns in _partners(n):
        a, b = 5 * (1 + i[rows] % 5 + i[columns] % 5), (i[rows] + i[columns]) / 10
        values[rows] -= a * sines[columns] + b * cosines[columns]
        slopes.append(Slope(columns, b * sines[columns] - a * cosines[columns], rows))
    return [Terms(values, slopes, 2, 1 / n)]


def toint_trigonometric(x: Vector) -> list[Terms]:
    """``sum_j a sin(b + c_i x_i + c_j x_j) / n``, a and b as in Nazareth's function, ``c_i = 1 + i / 10``."""
    n, i = x.size, counted(x.size)
    c = 1 + i / 10
    terms = []
    for rows, columns in _partners(n):
        a, b = 5 * (1 + i[rows] % 5 + i[columns] % 5), (i[rows] + i[columns]) / 10
        phase = b + c[rows] * x[rows] + c[columns] * x[columns]
        steep = a * np.cos(phase)
        terms.append(
            Terms(a * np.sin(phase), (Slope(rows, steep * c[rows]), Slope(columns, steep * c[columns])), 1, 1 / n)
        )
    return terms


def _dixon_maany(letter: str, n: int, value: float, weights: Sequence[float], exponents: Sequence[int]) -> Problem:
    terms = partial(dixon_maany, weights=weights, exponents=exponents)
    name = f"Dixon-Maany {letter}"
    return Problem(name, terms, np.full(n, 2.0), value, f"CUTEst, DIXMAAN{letter}", (1.0,), np.zeros(n))


_LUKSAN = "Lukšan, Matonoha and Vlček 2010, problem"
_THREES = np.full(10000, 3.0)
PROBLEMS = (
    Problem("arrowhead", arrowhead, np.ones(10000), 29997.0, "CUTEst, ARWHEAD", (0.0,), np.append(np.ones(9999), 0)),
    Problem("Li", li_arrowhead, np.full(10000, 4.0), 5850000.0, "CUTEst, LIARWHD", (0.0,), np.ones(10000)),
    Problem("Shanno nondiagonal", nondiagonal, -np.ones(1000), 399604.0, "CUTEst, NONDIA", (0.0,), np.ones(1000)),
    Problem(
        "nondiagonal quartic",
        nondiagonal_quartic,
        repeated((1, -1), 100),
        106.0,
        "CUTEst, NONDQUAR",
        (0.0,),
        np.zeros(100),
    ),
    Problem("diagonal quadratic", diagonal_quadratic, _THREES, 18086382.0, "CUTEst, DQDRTIC", (0.0,), np.zeros(10000)),
    Problem("quartic", quartic, np.full(1000, 2.0), 198504327337300.0, "CUTEst, QUARTC", (0.0,), counted(1000)),
    Problem("sine quadratic", sine_quadratic, np.full(1000, 0.1), 0.6561, "CUTEst, SINQUAD", (0.0,), np.ones(1000)),
    Problem("Schmidt-Vetters", schmidt_vetters, np.full(1000, 0.5), -2854.34542993, "CUTEst, SCHMVETT", (-2994.0,)),
    Problem(
        "Toint's Gaussian", toint_gaussian, np.full(1000, 3.0), 8992.0, "CUTEst, TOINTGSS", (10.0,), np.zeros(1000)
    ),
    _dixon_maany("A", 9000, 85501.0, (1, 0, 0.125, 0.125), (0, 0, 0, 0)),
    _dixon_maany("B", 3000, 47242.0, (1, 0.0625, 0.0625, 0.0625), (0, 0, 0, 0)),
    _dixon_maany("E", 3000, 22086.4166667, (1, 0, 0.125, 0.125), (1, 0, 0, 1)),
    _dixon_maany("L", 1500, 74784.8775200, (1, 0.26, 0.26, 0.26), (2, 0, 0, 2)),
    Problem("Nazareth trigonometric", nazareth_trigonometric, np.full(100, 0.01), 7947.81002040, f"{_LUKSAN} 8"),
    Problem("Toint trigonometric", toint_trigonometric, np.ones(100), -0.8598396932382264, f"{_LUKSAN} 10"),
)

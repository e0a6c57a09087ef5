"""Functions of many variables in which each meets its neighbours only: those of Toint, Nash, Lukšan and CUTEst."""

from __future__ import annotations

from functools import partial

import numpy as np

from curvblas.examples.problems.mgh_data import TOINT
from curvblas.examples.problems.mgh_systems import freudenstein_roth, powell_singular, rosenbrock, wood
from curvblas.examples.problems.problem import (
    ALL,
    CHAIN,
    CHAINED_QUADRUPLES,
    HEAD,
    TAIL,
    Problem,
    Slope,
    Terms,
    Vector,
    counted,
    repeated,
)


def nash_rosenbrock(x: Vector) -> list[Terms]:
    """``1 + sum 100 (x_i - x_(i-1)^2)^2 + (x_i - 1)^2``, i from 2."""
    a, b = x[:-1], x[1:]
    return [
        Terms(np.ones(1), ()),
        Terms(b - a**2, (Slope(HEAD, -2 * a), Slope(TAIL, 1.0)), 2, 100.0),
        Terms(b - 1, (Slope(TAIL, 1.0),)),
    ]


def toint_rosenbrock(x: Vector) -> list[Terms]:
    """``sum 16 alpha_i^2 (x_(i-1) - x_i^2)^2 + (x_i - 1)^2``, i from 2 to n = 50."""
    a, b = x[:-1], x[1:]
    return [
        Terms(a - b**2, (Slope(HEAD, 1.0), Slope(TAIL, -2 * b)), 2, 16 * TOINT[1:] ** 2),
        Terms(b - 1, (Slope(TAIL, 1.0),)),
    ]


def wrong_rosenbrock(x: Vector) -> list[Terms]:
    """``sum (x_(i-1) - 16 alpha_i^2 x_i^2)^2 + (x_i - 1)^2``: the same with an error that has become a problem."""
    a, b, alpha = x[:-1], x[1:], 16 * TOINT[1:] ** 2
    return [
        Terms(a - alpha * b**2, (Slope(HEAD, 1.0), Slope(TAIL, -2 * alpha * b))),
        Terms(b - 1, (Slope(TAIL, 1.0),)),
    ]


def chained_wood(x: Vector) -> list[Terms]:
    """``1 + `` the sum of Wood's function over overlapping quadruples."""
    return [Terms(np.ones(1), ()), *wood(x, CHAINED_QUADRUPLES)]


def cragg_levy(x: Vector) -> list[Terms]:
    """``(e^a - b)^4 + 100 (b - c)^6 + (tan(c - d) + c - d)^4 + a^8 + (d - 1)^2`` over overlapping quadruples."""
    first, second, third, fourth = CHAINED_QUADRUPLES
    a, b, c, d = (x[place] for place in CHAINED_QUADRUPLES)
    growth, tangent = np.exp(a), np.tan(c - d)
    steep = 2 + tangent**2
    return [
        Terms(growth - b, (Slope(first, growth), Slope(second, -1.0)), 4),
        Terms(b - c, (Slope(second, 1.0), Slope(third, -1.0)), 6, 100.0),
        Terms(tangent + c - d, (Slope(third, steep), Slope(fourth, -steep)), 4),
        Terms(a, (Slope(first, 1.0),), 8),
        Terms(d - 1, (Slope(fourth, 1.0),)),
    ]


def generalised_broyden(x: Vector) -> list[Terms]:
    """``|(3 - 2 x_i) x_i - x_(i-1) - x_(i+1) + 1|^(7/3)``, 0 beyond the ends."""
    values = (3 - 2 * x) * x + 1
    values[1:] -= x[:-1]
    values[:-1] -= x[1:]
    sign = np.sign(values.real)
    slopes = (Slope(ALL, sign * (3 - 4 * x)), Slope(HEAD, -sign[1:], TAIL), Slope(TAIL, -sign[:-1], HEAD))
    return [Terms(sign * values, slopes, 7 / 3)]


def engvall(x: Vector) -> list[Terms]:
    """``sum (x_i^2 + x_(i+1)^2)^2 - 4 x_i + 3``."""
    a, b = x[:-1], x[1:]
    return [
        Terms(a**2 + b**2, (Slope(HEAD, 2 * a), Slope(TAIL, 2 * b))),
        Terms(3 - 4 * a, (Slope(HEAD, -4.0),), 1),
    ]


def dennis_schnabel(x: Vector) -> list[Terms]:
    """``16 + sum (x_i - 2)^4 + (x_i - 2)^2 x_(i+1)^2 + (x_(i+1) + 1)^2``."""
    a, b = x[:-1], x[1:]
    return [
        Terms(np.full(1, 4.0), ()),
        Terms(a - 2, (Slope(HEAD, 1.0),), 4),
        Terms((a - 2) * b, (Slope(HEAD, b), Slope(TAIL, a - 2))),
        Terms(b + 1, (Slope(TAIL, 1.0),)),
    ]


def cosine(x: Vector) -> list[Terms]:
    """``sum cos(x_i^2 - x_(i+1) / 2)``."""
    a, b = x[:-1], x[1:]
    sines = np.sin(a**2 - b / 2)
    return [Terms(np.cos(a**2 - b / 2), (Slope(HEAD, -2 * a * sines), Slope(TAIL, sines / 2)), 1)]


def tridiagonal(x: Vector) -> list[Terms]:
    """``(x_1 - 1)^2 + sum i (2 x_i - x_(i-1))^2``."""
    return [
        Terms(x[0] - 1, (Slope(0, 1.0),)),
        Terms(2 * x[1:] - x[:-1], (Slope(TAIL, 2.0), Slope(HEAD, -1.0)), 2, counted(x.size - 1, 2)),
    ]


_LUKSAN = "Lukšan and Vlček 1999, problem"
_WOOD_START = np.concatenate([repeated((-3, -1), 4), np.full(996, -2.0)])
_FREUDENSTEIN_START = np.concatenate([[0.5, -2.0], np.zeros(998)])
_CRAGG_START = np.concatenate([[1.0], np.full(999, 2.0)])
_ROSENBROCK, _FREUDENSTEIN = partial(rosenbrock, places=CHAIN), partial(freudenstein_roth, places=CHAIN)
_POWELL = partial(powell_singular, places=CHAINED_QUADRUPLES)
PROBLEMS = (
    Problem("chained Rosenbrock", _ROSENBROCK, np.zeros(100), 99.0, "CUTEst, FLETCHCR", (0.0,), np.ones(100)),
    Problem("chained Rosenbrock", _ROSENBROCK, np.zeros(1000), 999.0, "CUTEst, FLETCHCR", (0.0,), np.ones(1000)),
    Problem("Nash", nash_rosenbrock, counted(100) / 101, 404.126221376, "CUTEst, GENROSE", (1.0,), np.ones(100)),
    Problem("Toint's Rosenbrock", toint_rosenbrock, -np.ones(50), 7635.84, "CUTEst, CHNROSNB", (0.0,), np.ones(50)),
    Problem("wrong Rosenbrock", wrong_rosenbrock, -np.ones(50), 110181.776, "CUTEst, ERRINROS", (39.9041540,)),
    Problem("chained Wood", chained_wood, _WOOD_START, 3620054.1, "CUTEst, CHAINWOO", (1.0,), np.ones(1000)),
    Problem(
        "chained Powell", _POWELL, repeated((3, -1, 0, 1), 1000), 256685.0, f"{_LUKSAN} 5.3", (0.0,), np.zeros(1000)
    ),
    Problem("chained Freudenstein", _FREUDENSTEIN, _FREUDENSTEIN_START, 1008556.5, "CUTEst, FREUROTH", (1.2147e5,)),
    Problem("chained Cragg-Levy", cragg_levy, _CRAGG_START, 548018.121658, "CUTEst, CRAGGLVY", (3.3642e2,)),
    Problem("generalised Broyden", generalised_broyden, -np.ones(1000), 5055.565323446, f"{_LUKSAN} 5.5", (0.0,)),
    Problem("Engvall", engvall, np.full(1000, 2.0), 58941.0, "CUTEst, ENGVAL1"),
    Problem("Dennis-Schnabel", dennis_schnabel, np.full(2000, 8.0), 7358335.0, "CUTEst, EDENSCH", (1.20032e4,)),
    Problem("cosine", cosine, np.ones(1000), 999 * np.cos(0.5), "CUTEst, COSINE", (-999.0,)),
    Problem("tridiagonal", tridiagonal, np.ones(10000), 50004999.0, "CUTEst, TRIDIA", (0.0,), 0.5 ** counted(10000, 0)),
)

"""Problems 6 to 19 of Moré, Garbow and Hillstrom 1981 that fit a few parameters to data."""

from __future__ import annotations

import numpy as np

from curvblas.examples.problems.mgh_data import (
    BARD,
    GAUSSIAN,
    KOWALIK_OSBORNE_U,
    KOWALIK_OSBORNE_Y,
    MEYER,
    OSBORNE_1,
    OSBORNE_2,
)
from curvblas.examples.problems.mgh_systems import MGH
from curvblas.examples.problems.problem import Problem, Slope, Terms, Vector, counted


def jennrich_sampson(x: Vector) -> list[Terms]:
    """``2 + 2 i - e^(i a) - e^(i b)``."""
    i = counted(10)
    first, second = np.exp(i * x[0]), np.exp(i * x[1])
    return [Terms(2 + 2 * i - first - second, (Slope(0, -i * first), Slope(1, -i * second)))]


def bard(x: Vector) -> list[Terms]:
    """``y - (a + u / (v b + w c))``."""
    u = counted(15)
    v, w = 16 - u, np.minimum(u, 16 - u)
    below = v * x[1] + w * x[2]
    return [
        Terms(BARD - x[0] - u / below, (Slope(0, -1.0), Slope(1, u * v / below**2), Slope(2, u * w / below**2))),
    ]


def gaussian(x: Vector) -> list[Terms]:
    """Fit a bell curve: ``a e^(-b (t - c)^2 / 2) - y``."""
    a, b, c = x
    shifted = (8 - counted(15)) / 2 - c
    bell = np.exp(-b * shifted**2 / 2)
    y = np.concatenate([GAUSSIAN, GAUSSIAN[-2::-1]])
    slopes = (Slope(0, bell), Slope(1, -a * bell * shifted**2 / 2), Slope(2, a * bell * b * shifted))
    return [Terms(a * bell - y, slopes)]


def meyer(x: Vector) -> list[Terms]:
    """Fit the resistance of a thermistor: ``a e^(b / (t + c)) - y``."""
    a, b, c = x
    below = 45 + 5 * counted(16) + c
    growth = np.exp(b / below)
    return [
        Terms(
            a * growth - MEYER, (Slope(0, growth), Slope(1, a * growth / below), Slope(2, -a * b * growth / below**2))
        )
    ]


def gulf(x: Vector) -> list[Terms]:
    """``e^(-|y - b|^c / a) - t``; the paper's own formula has a known misprint."""
    a, b, c = x
    t = counted(99) / 100
    signed = 25 + (-50 * np.log(t)) ** (2 / 3) - b
    sign = np.sign(signed.real)
    distance = signed * sign
    ratio = distance**c / a
    decay = np.exp(-ratio)
    slopes = (
        Slope(0, decay * ratio / a),
        Slope(1, decay * ratio * c * sign / distance),
        Slope(2, -decay * ratio * np.log(distance)),
    )
    return [Terms(decay - t, slopes)]


def box(x: Vector) -> list[Terms]:
    """``e^(-t a) - e^(-t b) - c (e^-t - e^(-10 t))``."""
    t = counted(10) / 10
    first, second, difference = np.exp(-t * x[0]), np.exp(-t * x[1]), np.exp(-t) - np.exp(-10 * t)
    slopes = (Slope(0, -t * first), Slope(1, t * second), Slope(2, -difference))
    return [Terms(first - second - x[2] * difference, slopes)]


def kowalik_osborne(x: Vector) -> list[Terms]:
    """``y - a (u^2 + u b) / (u^2 + u c + d)``."""
    a, b, c, d = x
    u = KOWALIK_OSBORNE_U
    above, below = u * (u + b), u * (u + c) + d
    ratio = above / below
    slopes = (Slope(0, -ratio), Slope(1, -a * u / below), Slope(2, a * ratio * u / below), Slope(3, a * ratio / below))
    return [Terms(KOWALIK_OSBORNE_Y - a * ratio, slopes)]


def brown_dennis(x: Vector) -> list[Terms]:
    """Fit e^t and cos t: ``(a + t b - e^t)^2 + (c + d sin t - cos t)^2``."""
    a, b, c, d = x
    t = counted(20) / 5
    p, q = a + t * b - np.exp(t), c + d * np.sin(t) - np.cos(t)
    slopes = (Slope(0, 2 * p), Slope(1, 2 * p * t), Slope(2, 2 * q), Slope(3, 2 * q * np.sin(t)))
    return [Terms(p**2 + q**2, slopes)]


def osborne_1(x: Vector) -> list[Terms]:
    """``y - (a + b e^(-t d) + c e^(-t e))``."""
    t = 10 * counted(33, 0)
    first, second = np.exp(-t * x[3]), np.exp(-t * x[4])
    slopes = (
        *(Slope(0, -1.0), Slope(1, -first), Slope(2, -second)),
        *(Slope(3, t * x[1] * first), Slope(4, t * x[2] * second)),
    )
    return [Terms(OSBORNE_1 - (x[0] + x[1] * first + x[2] * second), slopes)]


def osborne_2(x: Vector) -> list[Terms]:
    """``y - (x1 e^(-t x5) + sum_k x_k e^(-x_(k+4) (t - x_(k+7))^2))``, k from 2 to 4."""
    t = counted(65, 0) / 10
    decay = np.exp(-t * x[4])
    model, slopes = x[0] * decay, [Slope(0, -decay), Slope(4, t * x[0] * decay)]
    for k in (1, 2, 3):
        shifted = t - x[k + 7]
        bell = np.exp(-x[k + 4] * shifted**2)
        model = model + x[k] * bell
        slopes += [
            Slope(k, -bell),
            Slope(k + 4, x[k] * bell * shifted**2),
            Slope(k + 7, -2 * x[k] * x[k + 4] * bell * shifted),
        ]
    return [Terms(OSBORNE_2 - model, slopes)]


def biggs(x: Vector) -> list[Terms]:
    """``c e^(-t a) - d e^(-t b) + f e^(-t e) - y``, six parameters."""
    a, b, c, d, e, f = x
    t = counted(13) / 10
    y = np.exp(-t) - 5 * np.exp(-10 * t) + 3 * np.exp(-4 * t)
    first, second, third = np.exp(-t * a), np.exp(-t * b), np.exp(-t * e)
    slopes = (
        *(Slope(0, -t * c * first), Slope(1, t * d * second), Slope(2, first)),
        *(Slope(3, -second), Slope(4, -t * f * third), Slope(5, third)),
    )
    return [Terms(c * first - d * second + f * third - y, slopes)]


_KOWALIK_START = np.array([0.25, 0.39, 0.415, 0.39])
_OSBORNE_START = np.array([0.5, 1.5, -1.0, 0.01, 0.02])
_PEAKS_START = np.array([1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5])
_BIGGS_ROOT = np.array([1.0, 10, 1, 5, 4, 3])
# NIST StRD, certified values of MGH10.
_MEYER_ROOT = np.array([5.6096364710e-3, 6181.3463463, 345.22363462])
_GULF_ROOT = np.array([50.0, 25, 1.5])
PROBLEMS = (
    Problem(
        "Jennrich-Sampson",
        jennrich_sampson,
        np.array([0.3, 0.4]),
        4171.306,
        f"{MGH} 6",
        (124.362,),
        np.full(2, 0.257825),
    ),
    Problem("Bard", bard, np.ones(3), 41.6817, f"{MGH} 8", (8.21487e-3, 17.4286)),
    Problem("Gaussian", gaussian, np.array([0.4, 1, 0]), 3.88811e-6, f"{MGH} 9", (1.12793e-8,)),
    Problem("Meyer", meyer, np.array([0.02, 4000, 250]), 1.693608e9, f"{MGH} 10", (87.9458,), _MEYER_ROOT),
    Problem("Gulf", gulf, np.array([5, 2.5, 0.15]), 12.11071, f"{MGH} 11", (0.0,), _GULF_ROOT),
    Problem("Box 3D", box, np.array([0.0, 10, 20]), 1031.154, f"{MGH} 12", (0.0,), np.array([1.0, 10, 1])),
    Problem("Kowalik-Osborne", kowalik_osborne, _KOWALIK_START, 5.313172e-3, f"{MGH} 15", (3.07505e-4, 1.02734e-3)),
    Problem("Brown-Dennis", brown_dennis, np.array([25.0, 5, -5, -1]), 7926693.337, f"{MGH} 16", (85822.2,)),
    Problem("Osborne 1", osborne_1, _OSBORNE_START, 0.8790256, f"{MGH} 17", (5.46489e-5,)),
    Problem(
        "Biggs EXP6", biggs, np.array([1.0, 2, 1, 1, 1, 1]), 0.7790701, f"{MGH} 18", (0.0, 5.65565e-3), _BIGGS_ROOT
    ),
    Problem("Osborne 2", osborne_2, _PEAKS_START, 2.093420, f"{MGH} 19", (4.01377e-2,)),
)

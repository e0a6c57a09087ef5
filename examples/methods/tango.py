"""TANGO on the breast cancer data: logistic regression case by case, and the direction that the fast average finds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.datasets import load_breast_cancer

from curvblas.examples.network import Array
from curvblas.examples.plot import INK, STYLE
from curvblas.methods import tango

RIDGE, FEATURES, FROZEN_GAMMA = 1e-3, 10, 0.1
SGD, AVERAGED, TANGO = "SGD, falling rate", "averaged SGD", "TANGO"
COLOURS = {SGD: "#0072B2", AVERAGED: "#009E73", TANGO: "#D55E00"}
HUES = ("#56B4E9", "#E69F00", "#D55E00")


def logistic(z: Array) -> Array:
    """Return ``1 / (1 + exp(-z))``."""
    return np.asarray(0.5 + 0.5 * np.tanh(z / 2))


class Regression:
    """Logistic regression with a ridge on standardised features and a constant."""

    def __init__(self) -> None:
        data = load_breast_cancer()
        X = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)
        self.X, self.y = np.column_stack([X, np.ones(len(X))]), data.target.astype(np.float64)
        self.lowest = 0.0
        self.lowest = self.excess(self._solution())

    def excess(self, theta: Array) -> float:
        """Evaluate the mean loss less the lowest one, in nats.

        Parameters
        ----------
        theta : array, shape (P,)

        Returns
        -------
        float
        """
        z = self.X @ theta
        return float(np.mean(np.logaddexp(0, z) - self.y * z) + RIDGE / 2 * theta @ theta - self.lowest)

    def _solution(self) -> Array:
        theta = np.zeros(self.X.shape[1])
        for _ in range(30):
            p = logistic(self.X @ theta)
            hessian = (self.X.T * (p * (1 - p))) @ self.X / len(p) + RIDGE * np.eye(len(theta))
            theta = theta - np.linalg.solve(hessian, self.X.T @ (p - self.y) / len(p) + RIDGE * theta)
        return theta

    def cases(self, epochs: int, seed: int) -> Array:
        """Shuffle the cases anew for each epoch.

        Parameters
        ----------
        epochs, seed : int

        Returns
        -------
        int array, shape (epochs, N)
        """
        rng = np.random.default_rng(seed)
        return np.stack([rng.permutation(len(self.y)) for _ in range(epochs)])


def train_sgd(problem: Regression, epochs: int, seed: int, rate: float, power: float, is_averaged: bool) -> Array:
    """Descend case by case with the rate ``rate (1 + t / 1000)^-power``.

    Parameters
    ----------
    problem : Regression
    epochs, seed : int
    rate, power : float
    is_averaged : bool
        Report the running average, with rates ``9 / (t + 9)`` as those of TANGO.

    Returns
    -------
    array, shape (epochs,)
        The excess of the loss.
    """
    theta = average = np.zeros(problem.X.shape[1])
    losses, t = [], 0
    for epoch in problem.cases(epochs, seed):
        for n in epoch:
            x = problem.X[n]
            g = (logistic(x @ theta) - problem.y[n]) * x + RIDGE * theta
            theta = theta - rate * (1 + t / 1000) ** -power * g
            average = average + 9 / (t + 9) * (theta - average)
            t += 1
        losses.append(problem.excess(average if is_averaged else theta))
    return np.array(losses)


def train_tango(problem: Regression, epochs: int, seed: int, gamma: float, power: float) -> Array:
    """Take TANGO's steps case by case, with ``dt = 9 / (t + 9)`` or, where power is less than 1, ``(t + 1)^-power``.

    Parameters
    ----------
    problem : Regression
    epochs, seed : int
    gamma, power : float

    Returns
    -------
    array, shape (epochs,)
        The excess of the loss.
    """
    theta, rng = np.zeros(problem.X.shape[1]), np.random.default_rng(1000 + seed)
    method = tango.TANGO(len(theta), gamma=gamma, dt=1.0)
    losses, t = [], 0
    for epoch in problem.cases(epochs, seed):
        for n in epoch:
            x = problem.X[n]
            p = logistic(x @ theta)
            method.dt = 9 / (t + 9) if power == 1 else (t + 1) ** -power
            theta = theta + method.step((p - problem.y[n]) * x + RIDGE * theta, (p - (rng.random() < p)) * x)
            t += 1
        losses.append(problem.excess(theta))
    return np.array(losses)


def candidates() -> dict[str, dict[str, Callable[[Regression, int, int], Array]]]:
    """Return what is tried of each optimiser: nine settings each.

    Returns
    -------
    dict of str to dict of str to callable
    """
    rates, powers = (0.3, 0.1, 0.03), (0.0, 0.5, 1.0)
    finer = (0.3, 0.2, 0.14, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01)
    return {
        SGD: {
            f"rate {r}, power {p}": partial(train_sgd, rate=r, power=p, is_averaged=False)
            for r in rates
            for p in powers
        },
        AVERAGED: {f"rate {r}": partial(train_sgd, rate=r, power=0.0, is_averaged=True) for r in finer},
        TANGO: {
            f"gamma {g}, power {p}": partial(train_tango, gamma=g, power=p)
            for g in (0.1, 0.05, 0.03)
            for p in (0.6, 0.8, 1.0)
        },
    }


def directions(problem: Regression, dt: float, samples: int, points: Array) -> tuple[Array, float]:
    """Compare what TANGO moves by, parameters at rest at 0, with the natural gradient of the first features.

    Parameters
    ----------
    problem : Regression
    dt : float
    samples : int
    points : int array
        Numbers of samples after which to look.

    Returns
    -------
    cosines : array, shape (len(points),)
        Of the sum of all velocities.
    limit : float
        Of the natural gradient with the damping dt / gamma.
    """
    X, y = problem.X[:, [*range(FEATURES), -1]], problem.y
    fisher, gradient = X.T @ X / 4 / len(y), X.T @ (0.5 - y) / len(y)
    natural = np.linalg.solve(fisher, gradient)
    damped = np.linalg.solve((1 - dt) * fisher + dt / FROZEN_GAMMA * np.eye(len(natural)), gradient)
    rng, method, total = np.random.default_rng(0), tango.TANGO(X.shape[1], gamma=FROZEN_GAMMA, dt=dt), 0.0
    cosines = []
    for t in range(1, samples + 1):
        n = rng.integers(len(y))
        total = total - method.step((0.5 - y[n]) * X[n], rng.choice([-0.5, 0.5]) * X[n])
        if t in points:
            cosines.append(cosine(total, natural))
    return np.array(cosines), cosine(damped, natural)


def cosine(a: Any, b: Array) -> float:
    """Return the cosine of the angle between two vectors."""
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def run(quick: bool, output: Path) -> str:
    """Tune and run the optimisers, look at directions, save the picture.

    Parameters
    ----------
    quick : bool
        Fewer epochs and samples, one seed.
    output : pathlib.Path
        Directory of ``method_tango.png``.

    Returns
    -------
    str
        A paragraph with the figures of this run.
    """
    epochs, seeds, samples = (5, (1,), 3_000) if quick else (20, (1, 2, 3), 60_000)
    problem, courses = Regression(), {}
    for name, tried in candidates().items():
        best = min(tried, key=lambda setting: train(tried[setting], problem, epochs, 0)[-3:].mean())
        courses[f"{name} ({best})"] = np.median([train(tried[best], problem, epochs, s) for s in seeds], axis=0)
    points = np.unique(np.geomspace(30, samples, 30).astype(int))
    found = {dt: directions(problem, dt, samples, points) for dt in (1e-2, 1e-3, 1e-4)}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 4.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        draw_losses(left, courses)
        draw_directions(right, points, found)
        figure.savefig(output / "method_tango.png", dpi=130)
    return sentences(problem, courses, found, epochs)


def train(method: Callable[[Regression, int, int], Array], problem: Regression, epochs: int, seed: int) -> Array:
    """Run an optimiser; a run that overflows loses.

    Parameters
    ----------
    method : callable
    problem : Regression
    epochs, seed : int

    Returns
    -------
    array, shape (epochs,)
    """
    return np.nan_to_num(method(problem, epochs, seed), nan=np.inf)


def draw_losses(axes: Any, courses: dict[str, Array]) -> None:
    """Draw losses against epochs.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    courses : dict of str to array
    """
    for (label, losses), colour in zip(courses.items(), COLOURS.values(), strict=True):
        axes.plot(np.arange(1, len(losses) + 1), losses, color=colour, lw=2.2, label=label)
    axes.set(yscale="log", xlabel="epochs", ylabel="mean loss above the lowest one (nats)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title("Case by case, logistic regression")
    axes.legend(frameon=False, fontsize=11)


def draw_directions(axes: Any, points: Array, found: dict[float, tuple[Array, float]]) -> None:
    """Draw the cosines with the natural gradient against samples.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    points : int array
    found : dict of float to (array, float)
    """
    for (dt, (cosines, limit)), hue in zip(found.items(), HUES, strict=True):
        axes.plot(points, cosines, color=hue, lw=2.2, label=f"dt = {dt:g}")
        axes.axhline(limit, color=hue, ls="--", lw=1.3)
    axes.plot([], [], color=INK, ls="--", lw=1.3, label="damped by dt / gamma")
    axes.set(xscale="log", xlabel="samples", ylabel="cosine with the natural gradient", ylim=(0, 0.8))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_title("Displacement, parameters at rest")
    axes.legend(frameon=False, fontsize=11, loc="upper left")


def sentences(
    problem: Regression, courses: dict[str, Array], found: dict[float, tuple[Array, float]], epochs: int
) -> str:
    """Say what TANGO is for, and what the picture shows.

    Parameters
    ----------
    problem : Regression
    courses : dict of str to array
    found : dict of float to (array, float)
    epochs : int

    Returns
    -------
    str
    """
    last = [course[-1] for course in courses.values()]
    outcome = "wins" if last[-1] == min(last) else "does not win"
    losses = ", ".join(f"{losses[-1]:.1e} by {name}" for name, losses in courses.items())
    gradient = directions(problem, 1.0, 3_000, np.array([3_000]))[1]
    slow, (reached, limit) = list(found.items())[-1]
    return (
        "TANGO follows the natural gradient with one vector of memory and no Fisher matrix, from a second gradient for "
        f"an output that the model draws. On the breast cancer data ({len(problem.y)} cases, logistic regression) the "
        f"mean loss is, after {epochs} epochs and above the lowest one: {losses}; each with the best of nine settings. "
        f"For a loss that is nearly quadratic TANGO is averaged SGD with another noise, and it {outcome} here. The "
        f"right panel shows why its rates matter: with parameters at rest, ten features and dt = {slow:g} its "
        f"displacement reaches a cosine of {reached[-1]:.2f} with the natural gradient (limit {limit:.2f}; the "
        f"gradient, dt = 1, has {gradient:.2f}), and the slower the rate, the longer that takes."
    )

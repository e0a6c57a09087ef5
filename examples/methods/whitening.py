"""Whitening on the breast cancer data: the same logistic regression in two units, plain and in natural coordinates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer

from curvblas.examples.network import Array
from curvblas.examples.plot import STYLE
from curvblas.methods import whitening

RIDGE = 1e-3
FLOOR = 1e-11
"""Differences of losses that are less are rounding."""
DESCENT, ADAM = "gradient descent", "Adam"
NATURAL_10, NATURAL_ADAM, NATURAL_1 = "natural, new metric every 10", "natural, Adam, every 10", "natural, every step"
COLOURS = {DESCENT: "#0072B2", ADAM: "#009E73", NATURAL_10: "#E69F00", NATURAL_ADAM: "#CC79A7", NATURAL_1: "#D55E00"}
STANDARD, RAW = "standardised features", "features in their own units"


class Regression:
    """Logistic regression with a ridge on the standardised features, in parameters theta for ``B theta`` on those."""

    def __init__(self, B: Array | None = None) -> None:
        data = load_breast_cancer()
        mean, deviation = data.data.mean(axis=0), data.data.std(axis=0)
        X = np.column_stack([(data.data - mean) / deviation, np.ones(len(data.data))])
        if B is None:
            B = np.eye(X.shape[1])
        self.X, self.y, self.ridge = X @ B, data.target.astype(np.float64), RIDGE * B.T @ B

    @classmethod
    def in_raw_units(cls) -> Regression:
        """Return the same problem for parameters that multiply the features as they were measured.

        Returns
        -------
        Regression
        """
        data = load_breast_cancer().data
        B = np.diag([*data.std(axis=0), 1.0])
        B[-1, :-1] = data.mean(axis=0)
        return cls(B)

    def loss(self, theta: Array) -> float:
        """Evaluate the mean loss in nats, with the ridge.

        Parameters
        ----------
        theta : array, shape (P,)

        Returns
        -------
        float
        """
        z = self.X @ theta
        return float(np.mean(np.logaddexp(0, z) - self.y * z) + theta @ self.ridge @ theta / 2)

    def gradient(self, theta: Array) -> Array:
        """Differentiate the loss.

        Parameters
        ----------
        theta : array, shape (P,)

        Returns
        -------
        array, shape (P,)
        """
        p = 0.5 + 0.5 * np.tanh(self.X @ theta / 2)
        return np.asarray(self.X.T @ (p - self.y) / len(self.y) + self.ridge @ theta)

    def metric(self, theta: Array) -> Array:
        """Return the Fisher matrix, with the ridge.

        Parameters
        ----------
        theta : array, shape (P,)

        Returns
        -------
        array, shape (P, P)
        """
        p = 0.5 + 0.5 * np.tanh(self.X @ theta / 2)
        return np.asarray((self.X.T * (p * (1 - p))) @ self.X / len(self.y) + self.ridge)


class Adam:
    """Kingma and Ba 2015, with their constants."""

    def __init__(self, rate: float) -> None:
        self.rate, self.steps = rate, 0
        self.first: Array | float = 0.0
        self.second: Array | float = 0.0

    def step(self, g: Array) -> Array:
        """Return what is to be added.

        Parameters
        ----------
        g : array, shape (P,)

        Returns
        -------
        array, shape (P,)
        """
        self.steps += 1
        self.first = 0.9 * self.first + 0.1 * g
        self.second = 0.999 * self.second + 0.001 * g * g
        mean, square = self.first / (1 - 0.9**self.steps), self.second / (1 - 0.999**self.steps)
        return np.asarray(-self.rate * mean / (np.sqrt(square) + 1e-8))


def descend(problem: Regression, name: str, rate: float, steps: int) -> Array:
    """Run one of the five methods.

    Parameters
    ----------
    problem : Regression
    name : str
    rate : float
    steps : int

    Returns
    -------
    array, shape (steps + 1,)
        Losses.
    """
    theta, period = np.zeros(problem.X.shape[1]), {NATURAL_10: 10, NATURAL_ADAM: 10, NATURAL_1: 1}.get(name, 0)
    step: Callable[[Array], Array] = Adam(rate).step if name in {ADAM, NATURAL_ADAM} else lambda g: -rate * g
    losses = [problem.loss(theta)]
    for t in range(steps):
        g = problem.gradient(theta)
        if not period:
            theta = theta + step(g)
        else:
            if t % period == 0:
                white = whitening.whiten(problem.metric(theta))
            theta = theta + white.from_natural(step(white.gradient_to_natural(g)))
        losses.append(problem.loss(theta))
    return np.asarray(np.nan_to_num(np.array(losses), nan=np.inf))


def tuned(problem: Regression, name: str, steps: int, lowest: float) -> Array:
    """Run one method with the best of its rates: that of the lowest mean logarithm of the excess.

    Parameters
    ----------
    problem : Regression
    name : str
    steps : int
    lowest : float
        The least loss there is.

    Returns
    -------
    array, shape (steps + 1,)
        Losses above the lowest one, or FLOOR.
    """
    decades = range(-9, 2) if name == DESCENT else range(-4, 2)
    rates = [digit * 10.0**k for k in decades for digit in (1, 3)]
    with np.errstate(all="ignore"):
        tried = [np.maximum(descend(problem, name, rate, steps) - lowest, FLOOR) for rate in rates]
    return np.asarray(min(tried, key=lambda excess: np.log(excess).mean()))


def run(quick: bool, output: Path) -> str:
    """Tune and run all methods in both units, save the picture.

    Parameters
    ----------
    quick : bool
        Fewer steps.
    output : pathlib.Path
        Directory of ``method_whitening.png``.

    Returns
    -------
    str
        A paragraph with the figures of this run.
    """
    steps = 40 if quick else 200
    problems = {STANDARD: Regression(), RAW: Regression.in_raw_units()}
    lowest = descend(problems[STANDARD], NATURAL_1, 1.0, 50)[-1]
    courses = {
        units: {name: tuned(problem, name, steps, lowest) for name in COLOURS} for units, problem in problems.items()
    }
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 5.2), layout="constrained")
        for axes, (units, losses) in zip(figure.subplots(1, 2, sharey=True), courses.items(), strict=True):
            for name, course in losses.items():
                axes.plot(np.arange(steps + 1), course, color=COLOURS[name], lw=2.2, label=name)
            axes.set(yscale="log", xlabel="steps", title=units, ylim=(1e-8, 1))
        figure.axes[0].set_ylabel("mean loss above the lowest one (nats)")
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=13)
        figure.savefig(output / "method_whitening.png", dpi=130)
    return sentences(problems, courses, steps)


def sentences(problems: dict[str, Regression], courses: dict[str, dict[str, Array]], steps: int) -> str:
    """Say what whitening is for, and what the picture shows.

    Parameters
    ----------
    problems : dict of str to Regression
    courses : dict of str to dict of str to array
    steps : int

    Returns
    -------
    str
    """
    start = np.zeros(problems[STANDARD].X.shape[1])
    conditions = {units: np.linalg.cond(problem.metric(start)) for units, problem in problems.items()}

    def after(name: str) -> str:
        last = [courses[units][name][-1] for units in (STANDARD, RAW)]
        if max(last) <= FLOOR:
            return "no more than rounding in both"
        return " and ".join(f"{x:.0e}" for x in last)

    same = np.abs(np.log(courses[STANDARD][NATURAL_1] / courses[RAW][NATURAL_1])[:5]).max()
    reached = int(np.argmax(courses[RAW][NATURAL_1] < 1e-8))
    return (
        "Whitening makes any optimiser natural: it runs in coordinates in which the metric is the identity. For "
        "logistic regression on the breast cancer data, in standardised features and in the units in which they were "
        f"measured (condition numbers of the metric at the start {conditions[STANDARD]:.0e} and "
        f"{conditions[RAW]:.0e}), the mean loss after {steps} steps, above the lowest one, is {after(DESCENT)} by "
        f"gradient descent, {after(ADAM)} by Adam, {after(NATURAL_10)} by descent in natural coordinates that are kept "
        f"for 10 steps, and {after(NATURAL_ADAM)} by Adam there, each with its best rate. With a new metric in each "
        f"step (Newton's method here) it is below 1e-8 after {reached} steps in either units, and the first "
        f"five losses agree to a factor of 1 + {np.expm1(same):.0e}: units do not matter. They do to Adam, also in "
        "natural coordinates, where it depends on which root of the metric makes them."
    )

"""Newton, Gauss-Newton, conjugate gradients and Rprop on two small problems with real data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer, load_diabetes

import curvblas as cb
from curvblas.examples.network import Array
from curvblas.examples.plot import STYLE
from curvblas.methods import newton
from curvblas.methods.subsampled_newton import GeneralizedLinearModel

RIDGE, HIDDEN, DECAY, TARGET = 1e-3, 8, 0.1, 1e-6
BUDGET = 400
NEWTON, GAUSS_NEWTON, CG, RPROP, LBFGS = "Newton", "Gauss-Newton", "nonlinear CG", "Rprop", "L-BFGS"
COLOURS = {NEWTON: "#000000", GAUSS_NEWTON: "#D55E00", CG: "#009E73", RPROP: "#E69F00", LBFGS: "#0072B2"}

Function: TypeAlias = Callable[[Array], tuple[float, Array]]


class EndOfBudgetError(Exception):
    """All evaluations are spent."""


@dataclass
class Course:
    """The lowest value so far after every evaluation."""

    setting: str
    lowest: list[float] = field(default_factory=list)

    def watched(self, evaluate: Callable[[Array], Any], value: Callable[[Any], float]) -> Callable[[Array], Any]:
        """Return a function that notes its values, and raises when the budget is spent."""

        def noted(x: Array) -> Any:
            if len(self.lowest) == BUDGET:
                raise EndOfBudgetError
            result = evaluate(x)
            self.lowest.append(min([*self.lowest[-1:], value(result)]))
            return result

        return noted

    def until(self, level: float) -> float:
        """Return the evaluations until the value is that low; infinite if it never is."""
        reached = np.flatnonzero(np.array(self.lowest) <= level)
        return float(reached[0] + 1) if len(reached) else np.inf


class Classification:
    """Logistic regression on the breast cancer data, with a ridge."""

    name = "Classification: breast cancer"

    def __init__(self) -> None:
        data = load_breast_cancer()
        self.model = GeneralizedLinearModel(standardised(data.data), data.target, "logistic", ridge=RIDGE)
        self.dim = data.data.shape[1] + 1

    def start(self, seed: int) -> Array:
        """Draw the first point."""
        return np.asarray(0.1 * np.random.default_rng(seed).standard_normal(self.dim))

    def __call__(self, x: Array) -> tuple[float, Array]:
        """Return value and gradient."""
        return self.model.value_and_gradient(x)

    def second_order(self) -> tuple[str, dict[str, Callable[[Course, Array], Any]]]:
        """Return Newton's method with its settings."""

        def minimise(course: Course, x: Array, damping: float) -> None:
            fun = course.watched(self, lambda result: result[0])
            newton.minimize_newton(fun, self.model.hessian, x, damping=damping, increase=10.0, decrease=0.1, rtol=1e-10)

        return NEWTON, {f"damping {d:g}": partial(minimise, damping=d) for d in (1e-6, 1e-4, 1e-2, 1.0)}


class Regression:
    """A network with tanh units that predicts the progression of diabetes: squared errors, and weight decay."""

    name = "Regression: diabetes, a network"

    def __init__(self) -> None:
        data = load_diabetes()
        self.X = standardised(data.data)
        self.y = (data.target - data.target.mean()) / data.target.std()
        self.dim = self.X.shape[1] * HIDDEN + HIDDEN + 1

    def start(self, seed: int) -> Array:
        """Draw the first point."""
        return np.asarray(np.random.default_rng(seed).standard_normal(self.dim) / np.sqrt(self.X.shape[1]))

    def residuals(self, x: Array) -> tuple[Array, Array]:
        """Return errors over the root of N, with the weights times the root of the decay, and the Jacobian."""
        W, v = x[: -HIDDEN - 1].reshape(HIDDEN, -1), x[-HIDDEN - 1 :]
        N = len(self.X)
        h = np.tanh(self.X @ W.T)
        slopes = (v[:-1] * (1 - h * h))[:, :, None] * self.X[:, None]
        J = np.column_stack([slopes.reshape(N, -1), h, np.ones(N)])
        root = np.sqrt(DECAY / N)
        errors = np.append((h @ v[:-1] + v[-1] - self.y) / np.sqrt(N), root * x)
        return errors, np.vstack([J / np.sqrt(N), root * np.eye(len(x))])

    def __call__(self, x: Array) -> tuple[float, Array]:
        """Return value and gradient, without the Jacobian."""
        W, v = x[: -HIDDEN - 1].reshape(HIDDEN, -1), x[-HIDDEN - 1 :]
        N = len(self.X)
        h = np.tanh(self.X @ W.T)
        errors = h @ v[:-1] + v[-1] - self.y
        by_hidden = (errors[:, None] * v[:-1] * (1 - h * h)).T @ self.X
        gradient = np.concatenate([by_hidden.ravel(), errors @ h, [errors.sum()]])
        return float(errors @ errors + DECAY * x @ x) / N, 2 * (gradient + DECAY * x) / N

    def second_order(self) -> tuple[str, dict[str, Callable[[Course, Array], Any]]]:
        """Return Gauss-Newton, with damping as Levenberg and Marquardt have it, with its settings."""

        def minimise(course: Course, x: Array, damping: float) -> None:
            residuals = course.watched(self.residuals, lambda result: float(result[0] @ result[0]))
            newton.minimize_gauss_newton(residuals, x, damping=damping, increase=10.0, decrease=0.1, rtol=1e-10)

        return GAUSS_NEWTON, {f"damping {d:g}": partial(minimise, damping=d) for d in (1e-6, 1e-4, 1e-2, 1.0)}


def standardised(X: Array) -> Array:
    """Shift and scale columns, and append a constant."""
    return np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(len(X))])


def minimise_by_rprop(course: Course, x: Array, *, problem: Function, variant: str, step_size: float) -> None:
    """Take steps of Rprop until the budget is spent."""
    fun = course.watched(problem, lambda result: result[0])
    method = newton.Rprop(len(x), variant=variant, step_size=step_size)
    while True:
        value, gradient = fun(x)
        x = x + method.step(gradient, value)


def minimise_by_gradients(course: Course, x: Array, *, problem: Function, minimiser: Any, **options: Any) -> None:
    """Run a minimiser that wants value and gradient."""
    minimiser(course.watched(problem, lambda result: result[0]), x, rtol=1e-10, **options)


def candidates(problem: Any) -> dict[str, dict[str, Callable[[Course, Array], Any]]]:
    """Return what is tried of each method: four settings each."""
    name, settings = problem.second_order()
    by_gradients = partial(minimise_by_gradients, problem=problem)
    by_rprop = partial(minimise_by_rprop, problem=problem)
    return {
        name: settings,
        CG: {f"c2 = {c:g}": partial(by_gradients, minimiser=newton.minimize_cg, c2=c) for c in (0.5, 0.2, 0.1, 0.01)},
        RPROP: {
            f"{variant}, {size:g}": partial(by_rprop, variant=variant, step_size=size)
            for variant in ("irprop-", "irprop+")
            for size in (0.01, 0.1)
        },
        LBFGS: {f"memory {m}": partial(by_gradients, minimiser=cb.minimize_lbfgs, memory=m) for m in (5, 10, 20, 50)},
    }


def run_once(minimise: Callable[[Course, Array], Any], start: Array, setting: str) -> Course:
    """Run a method until it stops or its budget is spent; the last value counts for the rest."""
    course = Course(setting)
    try:
        minimise(course, start)
    except EndOfBudgetError:
        return course
    course.lowest += course.lowest[-1:] * (BUDGET - len(course.lowest))
    return course


def tuned(problem: Any, seeds: tuple[int, ...], settings: int) -> dict[str, list[Course]]:
    """Choose settings by the mean logarithm of the excess on the first start, and run them on the others.

    Parameters
    ----------
    problem : Classification or Regression
    seeds : tuple of int
    settings : int
        To be tried.

    Returns
    -------
    dict of str to list of Course
    """
    chosen = {}
    methods = candidates(problem)
    tried = {
        name: [run_once(minimise, problem.start(0), setting) for setting, minimise in islice(every.items(), settings)]
        for name, every in methods.items()
    }
    lowest = lowest_of(tried)
    for name, courses in tried.items():
        best = min(courses, key=lambda course: float(np.mean(np.log(np.array(course.lowest) - lowest + 1e-12)))).setting
        chosen[name] = [run_once(methods[name][best], problem.start(seed), best) for seed in seeds]
    return chosen


def run(quick: bool, output: Path) -> str:
    """Tune and run the methods on both problems, save the picture.

    Parameters
    ----------
    quick : bool
        One start instead of five, and half of the settings.
    output : pathlib.Path
        Directory of ``method_newton.png``.

    Returns
    -------
    str
        A paragraph with the figures of this run.
    """
    seeds, settings = ((1,), 2) if quick else ((1, 2, 3, 4, 5), 4)
    problems = (Classification(), Regression())
    results = [tuned(problem, seeds, settings) for problem in problems]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12, 4.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        draw(left, results[0], lowest_of(results[0]))
        left.set(yscale="log", ylim=(1e-10, 3), ylabel="mean loss above the lowest one (nats)", title=problems[0].name)
        draw(right, results[1], 0.0)
        right.set(ylim=(0.25, 1.3), ylabel="mean squared error and weight decay", title=problems[1].name)
        figure.savefig(output / "method_newton.png", dpi=130)
    return sentences(problems[1].dim, results, settings)


def lowest_of(runs: dict[str, list[Course]]) -> float:
    """Return the lowest value that any method has found from any start."""
    return min(course.lowest[-1] for courses in runs.values() for course in courses)


def draw(axes: Any, runs: dict[str, list[Course]], lowest: float) -> None:
    """Draw values against evaluations.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    runs : dict of str to list of Course
    lowest : float
        What values are shown above.
    """
    for name, courses in runs.items():
        label = f"{name} ({courses[0].setting})"
        values = np.median([course.lowest for course in courses], axis=0) - lowest
        axes.plot(np.arange(1, BUDGET + 1), np.maximum(values, 1e-12), color=COLOURS[name], lw=2.2, label=label)
    axes.set(xscale="log", xlabel="evaluations of the function")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.legend(frameon=False, fontsize=11, loc="upper right")


def sentences(parameters: int, results: list[dict[str, list[Course]]], settings: int) -> str:
    """Say what the methods are for, and what the picture shows.

    Parameters
    ----------
    parameters : int
    results : list of dict of str to list of Course
    settings : int
        That were tried of each method.

    Returns
    -------
    str
    """
    convex, network = results
    level = lowest_of(convex) + TARGET
    counts = {name: median(course.until(level) for course in courses) for name, courses in convex.items()}
    shown = ", ".join(f"{name} {'never' if n == np.inf else f'{n:g}'}" for name, n in counts.items())
    ends = ", ".join(f"{name} {np.median([c.lowest[-1] for c in runs]):.4f}" for name, runs in network.items())
    early = ", ".join(f"{name} {np.median([c.lowest[19] for c in runs]):.4f}" for name, runs in network.items())
    return (
        "Newton's method is for few parameters and dear functions: an iteration costs a Hessian and a factorisation, "
        "and there are few. On logistic regression with the breast cancer data, medians of the evaluations of value "
        f"and gradient to within {TARGET:g} of the lowest value are: {shown}; for Newton a Hessian an iteration comes "
        "on top. Gauss-Newton does the same for squares without second derivatives: for a network of "
        f"{parameters} weights on the diabetes data, medians of the mean squared error with weight decay are after 20 "
        f"evaluations: {early}; after {BUDGET}: {ends}. That problem has many minima, and who is first at one may not "
        f"be at the lowest. Each method has the best of {settings} settings, chosen on another start."
    )

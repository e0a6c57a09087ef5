"""Natural Q-learning on CartPole, without target networks, against the same with Adam and with SGD."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from curvblas.examples import network
from curvblas.examples.cart_pole import SCALE, flattened, make, unflattened
from curvblas.examples.network import Array
from curvblas.examples.plot import STYLE
from curvblas.methods import natural_q

SIZES = (4, 32, 2)
DISCOUNT, TOGETHER, BATCH, MEMORY = 0.99, 8, 64, 20_000
PERIOD, TRIALS, LONGEST = 40, 16, 500
SGD, ADAM, NATURAL = "SGD", "Adam", "natural gradient"
COLOURS = {SGD: "#0072B2", ADAM: "#009E73", NATURAL: "#D55E00"}
RATES = {SGD: (0.01, 0.03, 0.1, 0.3), ADAM: (0.003, 0.01, 0.03, 0.1), NATURAL: (0.03, 0.1, 0.3, 1.0)}
DECAYS = (1.0, 0.998)


def values(theta: Array, observations: Array) -> Array:
    """Evaluate ``Q(s, .)``.

    Parameters
    ----------
    theta : array, shape (P,)
    observations : array, shape (n, 4)

    Returns
    -------
    array, shape (n, 2)
    """
    return network.forward(unflattened(theta, SIZES), observations / SCALE)[1]


def jacobian(theta: Array, observations: Array, actions: Array) -> tuple[Array, Array]:
    """Differentiate ``Q(s, a)`` by all parameters.

    Parameters
    ----------
    theta : array, shape (P,)
    observations : array, shape (n, 4)
    actions : int array, shape (n,)

    Returns
    -------
    rows : array, shape (n, P)
    taken : array, shape (n,)
        ``Q(s, a)``.
    """
    layers = unflattened(theta, SIZES)
    activations, Q = network.forward(layers, observations / SCALE)
    g = network.backward(layers, activations, np.eye(2)[actions])
    parts = []
    for a, rows in zip(activations, g, strict=True):
        ones = np.column_stack([a, np.ones(len(a))])
        parts.append((rows[:, :, None] * ones[:, None, :]).reshape(len(a), -1))
    return np.concatenate(parts, axis=1), Q[np.arange(len(actions)), actions]


class Replay:
    """The last transitions: observation, action, reward, next observation, and whether the pole fell."""

    def __init__(self) -> None:
        self._columns: list[Array] | None = None
        self.count = 0

    def add(self, *transitions: Array) -> None:
        """Keep transitions, in place of the oldest.

        Parameters
        ----------
        *transitions : arrays with equal first axes
        """
        if self._columns is None:
            self._columns = [np.zeros((MEMORY, *x.shape[1:]), x.dtype) for x in transitions]
        places = (self.count + np.arange(len(transitions[0]))) % MEMORY
        for column, x in zip(self._columns, transitions, strict=True):
            column[places] = x
        self.count += len(places)

    def draw(self, rng: np.random.Generator) -> list[Array]:
        """Draw a minibatch.

        Parameters
        ----------
        rng : numpy.random.Generator

        Returns
        -------
        list of arrays
        """
        assert self._columns is not None
        places = rng.integers(min(self.count, MEMORY), size=BATCH)
        return [column[places] for column in self._columns]


def optimiser(name: str, rate: float, decay: float, dim: int) -> Callable[[Array, Array, Array], Array]:
    """Make what turns a Jacobian, values and targets into an update.

    Parameters
    ----------
    name : str
    rate, decay : float
        The rate is multiplied by the decay after each step.
    dim : int

    Returns
    -------
    (J, values, targets) -> array, shape (dim,)
    """
    if name == NATURAL:
        method = natural_q.NaturalQ(dim, rate=rate, decay=decay, damping=0.05)
        return lambda J, Q, y: np.asarray(method.step(J, Q, y))
    t, first, second = 0, np.zeros(dim), np.zeros(dim)

    def step(J: Array, Q: Array, y: Array) -> Array:
        nonlocal t, first, second
        g, now = J.T @ (Q - y) / len(J), rate * decay**t
        t += 1
        if name == SGD:
            return np.asarray(-now * g)
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
        return np.asarray(-now * first / (1 - 0.9**t) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8))

    return step


def score(theta: Array, seed: int) -> float:
    """Run greedy episodes, and return how many steps they last on average, up to 500.

    Parameters
    ----------
    theta : array, shape (P,)
    seed : int

    Returns
    -------
    float
    """
    environments = make(TRIALS)
    seen, _ = environments.reset(seed=seed)
    lives, lengths = np.ones(TRIALS, bool), np.zeros(TRIALS)
    for _ in range(LONGEST):
        seen, _, ended, cut, _ = environments.step(values(theta, np.float64(seen)).argmax(axis=1))
        lengths += lives
        lives = lives & ~(ended | cut)
        if not lives.any():
            break
    return float(lengths.mean())


def train(name: str, setting: tuple[float, float], seed: int, steps: int) -> Array:
    """Learn from eight environments at a time, with one update for each of their steps.

    Parameters
    ----------
    name : str
    setting : (float, float)
        Rate and decay.
    seed, steps : int

    Returns
    -------
    array, shape (steps // PERIOD,)
        Scores on the way.
    """
    rng = np.random.default_rng(seed)
    theta = flattened(network.initial_weights(SIZES, rng)).astype(np.float64)
    step, replay, environments = optimiser(name, *setting, len(theta)), Replay(), make(TOGETHER)
    seen = np.float64(environments.reset(seed=int(rng.integers(2**31)))[0])
    over, scores = np.zeros(TOGETHER, bool), []
    for t in range(1, steps + 1):
        explores = rng.random(TOGETHER) < max(0.05, 1 - t / (0.5 * steps))
        actions = np.where(explores, rng.integers(2, size=TOGETHER), values(theta, seen).argmax(axis=1))
        after, rewards, fell, cut, _ = environments.step(actions)
        after = np.float64(after)
        goes = ~over  # what follows the end of an episode is the beginning of another one
        replay.add(*(x[goes] for x in (seen, actions, np.float64(rewards), after, fell)))
        seen, over = after, fell | cut
        if replay.count >= BATCH:
            s, a, r, s_next, terminal = replay.draw(rng)
            targets = natural_q.q_targets(r, values(theta, s_next), terminal, DISCOUNT)
            J, Q = jacobian(theta, s, a)
            theta = theta + step(J, Q, targets)
        if t % PERIOD == 0:
            scores.append(score(theta, 10_000 + seed))
    return np.array(scores)


def run(quick: bool, output: Path) -> str:
    """Tune and train all three, save the picture.

    Parameters
    ----------
    quick : bool
        Fewer steps, seeds and settings.
    output : pathlib.Path
        Directory of ``method_natural_q.png``.

    Returns
    -------
    str
        A paragraph with the figures of this run.
    """
    steps, tuning, seeds = (150, (100,), (1, 2)) if quick else (800, (100, 101), (1, 2, 3, 4, 5, 6))
    courses, best = {}, {}
    for name, rates in RATES.items():
        settings = [(rate, decay) for rate in rates for decay in (DECAYS[:1] if quick else DECAYS)]
        with np.errstate(all="ignore"):
            means = [np.mean([train(name, s, seed, steps) for seed in tuning]) for s in settings]
            best[name] = settings[int(np.argmax(means))]
            courses[name] = np.array([train(name, best[name], seed, steps) for seed in seeds])
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 5), layout="constrained")
        draw(figure.subplots(), courses, best)
        figure.savefig(output / "method_natural_q.png", dpi=130)
    return sentences(courses, steps, len(DECAYS[:1] if quick else DECAYS) * 4)


def draw(axes: Any, courses: dict[str, Array], best: dict[str, tuple[float, float]]) -> None:
    """Draw the means over the seeds as lines, and their standard errors as bands.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    courses : dict of str to array, shape (seeds, moments)
    best : dict of str to (float, float)
    """
    for name, course in courses.items():
        x = PERIOD * np.arange(1, course.shape[1] + 1)
        mean, error = course.mean(axis=0), course.std(axis=0, ddof=1) / np.sqrt(len(course))
        label = f"{name} (rate {best[name][0]:g}, decay {best[name][1]:g})"
        axes.fill_between(x, mean - error, mean + error, color=COLOURS[name], alpha=0.2, lw=0)
        axes.plot(x, mean, color=COLOURS[name], lw=2.2, label=label)
    axes.set(xlabel=f"updates of {BATCH} transitions", ylabel="steps that the pole is up (500 at most)", ylim=(0, 620))
    axes.set_yticks(range(0, 501, 100))
    axes.set_title("CartPole-v1, no target network")
    axes.legend(frameon=False, fontsize=11, loc="upper left", ncols=1)


def sentences(courses: dict[str, Array], steps: int, settings: int) -> str:
    """Say what natural Q-learning is for, and what the picture shows.

    Parameters
    ----------
    courses : dict of str to array, shape (seeds, moments)
    steps, settings : int

    Returns
    -------
    str
    """

    def reached(course: Array, level: float) -> str:
        above = np.flatnonzero(course.mean(axis=0) >= level)
        return f"{PERIOD * (above[0] + 1)} updates" if above.size else "not at all"

    late = {name: course[:, -course.shape[1] // 4 :].mean(axis=1) for name, course in courses.items()}
    first = ", ".join(f"{reached(course, 300)} with {name}" for name, course in courses.items())
    error = {name: x.std(ddof=1) / np.sqrt(len(x)) for name, x in late.items()}
    last = ", ".join(f"{x.mean():.0f} (standard error {error[name]:.0f}) with {name}" for name, x in late.items())
    return (
        "Natural Q-learning takes temporal-difference steps in the metric of the values, so that a step changes Q as "
        f"it should whichever parameters make it. On CartPole-v1 (a network with {SIZES[1]} hidden units, no target "
        f"network, {TOGETHER} environments at a time, {len(next(iter(courses.values())))} seeds, each method with the "
        f"best of {settings} settings) greedy episodes reach 300 steps on average after: {first}. In the last quarter "
        f"of {steps} updates they last {last}; no method is steady, as values without a target network chase "
        "themselves. An update solves for as many unknowns as there are transitions in a "
        "minibatch, by Woodbury's identity, in place of the iterations of MINRES-QLP of the paper."
    )

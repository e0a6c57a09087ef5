"""DiCE on CartPole: the curvature of the expected return, with and without baselines, against rollouts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from curvblas.examples import network
from curvblas.examples.cart_pole import SCALE, Policy, Trajectories, flattened
from curvblas.examples.network import Array
from curvblas.examples.plot import INK, STYLE
from curvblas.methods import dice

STEPS, DISCOUNT, BATCH = 40, 0.97, 50
TINY = 1e-30  # a complex step: nothing is subtracted, so nothing is lost
PLAIN, FIRST, SECOND, SURROGATE = "DiCE", "DiCE, baseline of order 1", "DiCE, baseline of order 2", "surrogate loss"
COLOURS = {PLAIN: "#0072B2", FIRST: "#009E73", SECOND: "#D55E00", SURROGATE: "#CC79A7"}


@dataclass(frozen=True)
class Slopes:
    """First and second derivatives of the return along a direction, estimated from each trajectory alone."""

    first: Array
    second: Array


def slopes(policy: Policy, theta: Array, v: Array, seen: Trajectories, baseline: Array | None, kind: str) -> Slopes:
    """Estimate the derivatives of the expected return at theta along v.

    Parameters
    ----------
    policy : Policy
    theta, v : arrays, shape (P,)
    seen : Trajectories
        Of the policy at theta.
    baseline : array, shape (T, B)
    kind : str
        One of the four names.

    Returns
    -------
    Slopes
        Means over trajectories estimate the derivatives.
    """
    T, B = seen.actions.shape
    rows, flat = np.arange(T * B), seen.observations.reshape(T * B, -1)
    ahead = policy.log_probs(theta + 1j * TINY * v, flat)[rows, seen.actions.ravel()].reshape(T, B)
    tangents = ahead.imag / TINY
    curvatures = second_slopes(policy, theta, v, flat)[rows, seen.actions.ravel()].reshape(T, B)
    order = 1 if kind == FIRST else 2
    given = baseline if kind in {FIRST, SECOND} else None
    log_probs = np.where(seen.lives, ahead.real, -np.inf)  # no choices behind the end
    weights = dice.dice_weights(log_probs, seen.rewards, DISCOUNT, baseline=given, order=order)
    second = weights.gradient * curvatures
    if kind != SURROGATE:
        second = second + weights.hessian_product(tangents).log_probs * tangents
    return Slopes((weights.gradient * tangents).sum(axis=0), second.sum(axis=0))


def second_slopes(policy: Policy, theta: Array, v: Array, observations: Array) -> Array:
    """Differentiate log-probabilities twice along v: differences of derivatives by complex steps.

    Parameters
    ----------
    policy : Policy
    theta, v : arrays, shape (P,)
    observations : array, shape (N, 4)

    Returns
    -------
    array, shape (N, 2)
    """
    h = 1e-5
    ahead, behind = (policy.log_probs(theta + s * h * v + 1j * TINY * v, observations).imag for s in (1, -1))
    return np.asarray((ahead - behind) / (2 * h * TINY))


def features(seen: Trajectories) -> Array:
    """Return what the baseline is linear in: time, and squares and products of observations.

    Parameters
    ----------
    seen : Trajectories

    Returns
    -------
    array, shape (T, B, 22)
    """
    T, B = seen.actions.shape
    x = np.concatenate([np.ones((T, B, 1)), seen.observations / SCALE], axis=2)
    time = np.broadcast_to((np.arange(T) / T)[:, None, None], (T, B, 1))
    x = np.concatenate([x, time], axis=2)
    i, j = np.triu_indices(x.shape[2])
    return np.concatenate([x[..., i] * x[..., j], time**3], axis=2)


def returns_to_go(seen: Trajectories) -> Array:
    """Return ``r_t + discount r_{t+1} + ...``.

    Parameters
    ----------
    seen : Trajectories

    Returns
    -------
    array, shape (T, B)
    """
    weights = dice.dice_weights(np.zeros(seen.rewards.shape), np.float64(seen.rewards), DISCOUNT)
    return np.asarray(weights.gradient / DISCOUNT ** np.arange(STEPS)[:, None])


def fitted_baseline(seen: Trajectories) -> Array:
    """Fit returns to go by least squares.

    Parameters
    ----------
    seen : Trajectories

    Returns
    -------
    array, shape (22,)
    """
    x, y = features(seen)[seen.lives], returns_to_go(seen)[seen.lives]
    return np.asarray(np.linalg.lstsq(x, y, rcond=None)[0])


def expected_return(policy: Policy, theta: Array, count: int, seed: int) -> tuple[float, float]:
    """Estimate the expected return by rollouts alone.

    Parameters
    ----------
    policy : Policy
    theta : array, shape (P,)
    count, seed : int

    Returns
    -------
    mean, standard error : float
    """
    seen = policy.run(theta, count, STEPS, np.random.default_rng(seed))
    returns = DISCOUNT ** np.arange(STEPS) @ seen.rewards
    return float(returns.mean()), float(returns.std() / np.sqrt(count))


def run(quick: bool, output: Path) -> str:
    """Estimate derivatives along the gradient, compare them with rollouts, save the picture.

    Parameters
    ----------
    quick : bool
        A tenth of the trajectories.
    output : pathlib.Path
        Directory of ``method_dice.png``.

    Returns
    -------
    str
        A paragraph with the figures of this run.
    """
    count = 2_000 if quick else 20_000
    rng = np.random.default_rng(1)
    policy = Policy((4, 16, 2))
    theta = flattened(network.initial_weights(policy.sizes, rng)).astype(np.float64)
    fit, seen = (policy.run(theta, count, STEPS, rng) for _ in range(2))
    flat = fit.observations.reshape(-1, 4)
    weights = dice.dice_weights(np.where(fit.lives, 0.0, -np.inf), np.float64(fit.rewards), DISCOUNT).gradient
    v = policy.gradient(theta, flat, fit.actions.ravel(), weights.ravel())
    v /= np.linalg.norm(v)
    baseline = features(seen) @ fitted_baseline(fit)
    found = {kind: slopes(policy, theta, v, seen, baseline, kind) for kind in COLOURS}
    s = np.linspace(-0.5, 0.5, 13)
    truth = [expected_return(policy, theta + x * v, count, seed) for seed, x in enumerate(s)]
    now = float((DISCOUNT ** np.arange(STEPS) @ seen.rewards).mean())
    means, errors = np.array(truth).T
    # Degree 6 misses the bend at 0.3: differences of rollouts at 0 and +-0.1 side with degree 8.
    polynomial, covariance = np.polyfit(s, means, 8, w=1 / errors, cov="unscaled")
    curvature, error = 2 * float(polynomial[-3]), 2 * float(np.sqrt(covariance[-3, -3]))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 4.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        draw_models(left, found, s, np.array(truth), now)
        draw_batches(right, found, curvature)
        figure.savefig(output / "method_dice.png", dpi=130)
    return sentences(found, curvature, error, count)


def draw_models(axes: Any, found: dict[str, Slopes], s: Array, truth: Array, now: float) -> None:
    """Draw the return along the direction, and the parabolas that two estimates make of it.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    found : dict of str to Slopes
    s : array, shape (points,)
    truth : array, shape (points, 2)
        Means and standard errors of rollouts at those points.
    now : float
        The return at 0.
    """
    for kind in (SECOND, SURROGATE):
        first, second = found[kind].first.mean(), found[kind].second.mean()
        x = np.linspace(s[0], s[-1], 201)
        axes.plot(x, now + first * x + second * x**2 / 2, color=COLOURS[kind], lw=2.2, label=f"model: {kind}")
    axes.errorbar(s, truth[:, 0], 2 * truth[:, 1], color=INK, fmt="o", ms=5, label="rollouts there", zorder=3)
    axes.set(xlabel="step along the gradient", ylabel="expected discounted return", ylim=(0, 34))
    axes.set_title("Two derivatives at 0, and what happens")
    axes.legend(frameon=False, loc="upper left", fontsize=11)


def draw_batches(axes: Any, found: dict[str, Slopes], curvature: float) -> None:
    """Draw the curvatures that small batches of trajectories estimate.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    found : dict of str to Slopes
    curvature : float
        Of the rollouts.
    """
    spread = np.random.default_rng(0)
    for y, (kind, estimate) in enumerate(reversed(found.items())):
        means = batch_means(estimate.second)[:200]
        jitter = y + spread.uniform(-0.22, 0.22, len(means))
        axes.plot(means, jitter, "o", ms=4, mew=0, alpha=0.45, color=COLOURS[kind])
        axes.plot([estimate.second.mean()] * 2, [y - 0.34, y + 0.34], color="black", lw=2.2)
    axes.axvline(curvature, color=INK, ls="--", lw=1.4)
    axes.text(curvature, 3.45, " rollouts", color=INK, va="bottom")
    axes.set_yticks(range(len(found)), [kind.replace(", ", ",\n") for kind in reversed(found)])
    axes.grid(axis="y", visible=False)
    axes.set(xlabel=f"second derivative, from batches of {BATCH} trajectories", ylim=(-0.5, 3.8))
    axes.set_title("Bias and variance")


def batch_means(samples: Array) -> Array:
    """Return the means of batches of trajectories.

    Parameters
    ----------
    samples : array, shape (B,)

    Returns
    -------
    array, shape (B // BATCH,)
    """
    return np.asarray(samples.reshape(-1, BATCH).mean(axis=1))


def sentences(found: dict[str, Slopes], curvature: float, error: float, count: int) -> str:
    """Say what DiCE is for, and what the picture shows.

    Parameters
    ----------
    found : dict of str to Slopes
    curvature, error : float
        Of the rollouts, and its standard error.
    count : int
        Trajectories.

    Returns
    -------
    str
    """
    second = {kind: estimate.second.mean() for kind, estimate in found.items()}
    spread = {kind: batch_means(estimate.second).std() for kind, estimate in found.items()}
    noise = found[SECOND].second.std() / np.sqrt(count)
    first = {kind: estimate.first.std() for kind, estimate in found.items()}
    return (
        "DiCE weighs rewards so that an objective whose sampling depends on the parameters can be differentiated any "
        f"number of times without bias. On CartPole-v1 ({count:,} trajectories of at most {STEPS} steps, a random "
        "policy of a network with 16 hidden units) the second derivative of the expected return along its gradient is "
        f"{second[SECOND]:.1f} (standard error {noise:.1f}) by DiCE with a baseline of order 2, and {curvature:.1f} "
        f"({error:.1f}) by a polynomial through as many rollouts at each of 13 points of that line; the surrogate "
        f"loss, whose gradient is the same, says {second[SURROGATE]:.0f}. A baseline of order 1 helps the gradient (a "
        f"standard deviation of {first[FIRST]:.1f} instead of {first[PLAIN]:.1f} a trajectory) and leaves the "
        f"curvature as noisy as it was; the term of order 2 takes its standard deviation over batches of {BATCH} from "
        f"{spread[PLAIN]:.0f} to {spread[SECOND]:.0f}: second derivatives want larger batches than gradients."
    )

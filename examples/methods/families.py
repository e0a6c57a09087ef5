"""Online estimates of the chances that pixels are dark, against the bound of Cramer and Rao.

A stream of scans of digits, drawn with replacement, tells for each pixel whether it is dark. Each learner sees a scan
once, and keeps 64 log-odds or fewer: one Bernoulli variable a pixel. The truth is known: the share of all scans.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

from curvblas.examples.contest import KFAC, SGD
from curvblas.examples.network import Array
from curvblas.examples.plot import COLOURS, INK, STYLE
from curvblas.methods import families

FAMILY = families.Bernoulli()
SHARES = (0.02, 0.98)
"""Pixels that are dark less or more often say next to nothing, and are left out."""
NATURAL, PLAIN, FADING = "natural gradient, rate 1 / n", "gradient, rate c / n", "gradient, constant rate"
COLOUR = {NATURAL: COLOURS[KFAC], PLAIN: COLOURS[SGD], FADING: "#E69F00"}
RATES = {
    NATURAL: (1.0,),
    PLAIN: (2.0, 4.0, 8.0, 16.0, 32.0, 64.0),
    FADING: (0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
}
DELAYS = {NATURAL: (1.0, 2.0, 5.0, 10.0, 20.0, 50.0), PLAIN: (2.0, 20.0, 100.0), FADING: (0.0,)}
Update = Callable[[Array, Array, int], Array]


@dataclass(frozen=True)
class Course:
    """What became of many streams at once: mean divergences from the truth at ``cases``, and the last log-odds."""

    divergences: Array
    last: Array
    setting: str

    @property
    def area(self) -> float:
        """Mean of the logarithms of the divergences: what settings are chosen by."""
        return float(np.log(self.divergences).mean()) if np.isfinite(self.divergences).all() else np.inf


def run(quick: bool, output: Path) -> str:
    """Follow all learners along the same streams, and draw how far they are from the truth.

    Parameters
    ----------
    quick : bool
        A tenth of the streams, and a quarter of the cases.
    output : pathlib.Path
        Directory of ``method_families.png``.

    Returns
    -------
    str
        A paragraph of Markdown.
    """
    streams, length = (20, 1000) if quick else (200, 4000)
    dark = load_digits().data >= 8
    share = dark.mean(axis=0)
    dark = dark[:, (share > SHARES[0]) & (share < SHARES[1])]
    truth = FAMILY.from_mean(dark.mean(axis=0))
    seen = dark[np.random.default_rng(0).integers(len(dark), size=(length, streams))]
    cases = np.unique(np.geomspace(20, length, 40).astype(int))
    courses = {name: _tuned(name, seen, truth, cases) for name in RATES}
    _save(courses, truth, cases, output / "method_families.png")
    return _words(courses, truth, cases, streams)


def _tuned(name: str, seen: Array, truth: Array, cases: Array) -> Course:
    settings = [(rate, delay) for rate in RATES[name] for delay in DELAYS[name]]
    return min((_follow(name, *setting, seen, truth, cases) for setting in settings), key=lambda course: course.area)


def _follow(name: str, rate: float, delay: float, seen: Array, truth: Array, cases: Array) -> Course:
    logits = np.zeros(seen.shape[1:])
    divergences = []
    for n, scans in enumerate(seen, 1):
        direction = FAMILY.score(logits, scans)
        if name == NATURAL:
            direction = FAMILY.natural_gradient(logits, direction).solution
        length = rate if name == FADING else rate / (n + delay)
        logits = logits + length * direction
        if n in cases:
            divergences.append(FAMILY.kl(truth, logits).mean())
    return Course(np.array(divergences), logits, f"{rate:g}" if name == FADING else f"{rate:g} / (n + {delay:g})")


def _save(courses: dict[str, Course], truth: Array, cases: Array, path: Path) -> None:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 5.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.plot(cases, len(truth) / (2 * cases), color=INK, ls="--", lw=1.6, label="bound of Cramér and Rao")
        bound = np.diagonal(FAMILY.cramer_rao(truth, int(cases[-1])))
        limits = np.array([bound.min() / 2, bound.max() * 2])
        right.plot(limits, limits, color=INK, ls="--", lw=1.6)
        for name, course in courses.items():
            left.plot(cases, course.divergences, color=COLOUR[name], lw=2.2, label=name)
            right.plot(bound, _errors(course, truth), "o", ms=5, color=COLOUR[name], alpha=0.8)
        left.set(xscale="log", yscale="log", xlabel="cases seen, n", ylabel="divergence from the truth, in nats")
        left.set_title("All pixels together")
        right.set(xscale="log", yscale="log", xlim=limits, xlabel=r"bound $(nF)^{-1}$")
        right.set(ylabel="mean squared error of the log-odds", title=f"Each pixel, after {cases[-1]} cases")
        figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=12)
        figure.savefig(path, dpi=130)


def _errors(course: Course, truth: Array) -> Array:
    return np.asarray(((course.last - truth) ** 2).mean(axis=0))


def _words(courses: dict[str, Course], truth: Array, cases: Array, streams: int) -> str:
    bound = len(truth) / (2 * cases[-1])
    times = {name: course.divergences[-1] / bound for name, course in courses.items()}
    spread = _errors(courses[PLAIN], truth) / np.diagonal(FAMILY.cramer_rao(truth, int(cases[-1])))
    return (
        f"**Exponential families** give the Fisher metric, natural gradients and the bound of Cramér and Rao. "
        f"Of {len(truth)} pixels, {streams} streams of scans tell one by one whether they are dark; in log-odds, the "
        f"natural gradient with rate {courses[NATURAL].setting} ends at {times[NATURAL]:.2f} times the divergence that "
        f"the bound allows after {cases[-1]} cases, as Amari's theory of online learning says. One rate for all pixels "
        f"cannot fit Fisher information that differs by a factor of {_range(truth):.0f}: the best decreasing rate, "
        f"{courses[PLAIN].setting} of {len(RATES[PLAIN]) * len(DELAYS[PLAIN])} that were tried, ends at "
        f"{times[PLAIN]:.2f} times the bound, and for single pixels at {spread.min():.1f} to {spread.max():.1f} times; "
        f"the best constant rate at {times[FADING]:.1f} times. For a family as simple as this a running mean does as "
        f"well: what is gained is a rate that needs no tuning."
    )


def _range(truth: Array) -> float:
    F = np.diagonal(FAMILY.fisher(truth))
    return float(F.max() / F.min())

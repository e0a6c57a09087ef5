"""The page of the comparison: the table and the sentences, from what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
from rich.table import Table

from curvblas.examples.contest import ADAM
from curvblas.examples.machine import machine
from curvblas.examples.optimiser_comparison_contest import BATCH, FAMILIES, OptimiserContest
from curvblas.examples.optimiser_comparison_plot import entropy
from curvblas.examples.optimiser_comparison_words import HEAD, READING
from curvblas.examples.report import plain_table
from curvblas.examples.summary import compare, ratios
from curvblas.examples.tuning import Tuned

HEADINGS = (
    "optimiser",
    "best setting",
    "after {passes} passes",
    "over seeds",
    "at {seconds:.2g} s",
    "ms a pass",
    "passes to Adam's",
    "seconds to Adam's",
)
NEVER = "not reached"


def table(tuned: list[Tuned]) -> Table:
    """Lay out the table for the console.

    Parameters
    ----------
    tuned : list of Tuned

    Returns
    -------
    rich.table.Table
    """
    result = plain_table("digits autoencoder: nats per scan", sentences(tuned))
    for k, heading in enumerate(headings(tuned)):
        result.add_column(heading, justify="right" if k > 1 else "left")
    for row in rows(tuned):
        result.add_row(*row)
    return result


def headings(tuned: list[Tuned]) -> list[str]:
    """Name the columns of `rows`."""
    found = compare(tuned)
    return [text.format(passes=found.equal_steps, seconds=found.equal_seconds) for text in HEADINGS]


def rows(tuned: list[Tuned]) -> list[list[str]]:
    """Write what was measured of every optimiser, the lowest last loss first.

    Parameters
    ----------
    tuned : list of Tuned

    Returns
    -------
    list of lists of str
    """
    at_time = {row.optimiser: row for row in compare(tuned).rows}
    return [
        [
            t.optimiser,
            ", ".join(f"{key} {value:g}" for key, value in zip(t.axes, t.best, strict=True)) or "none to choose",
            f"{_end(t):.2f}",
            f"{min(_ends(t)):.2f} to {max(_ends(t)):.2f}" if len(t.runs) > 1 else "one seed",
            f"{at_time[t.optimiser].loss_at_equal_time:.2f}",
            f"{at_time[t.optimiser].milliseconds:.0f}",
            *_until(t, _named(tuned, ADAM)),
        ]
        for t in sorted(tuned, key=_end)
    ]


def _ends(t: Tuned) -> list[float]:
    return [np.inf if run.failure else run.losses[-1] for run in t.runs]


def _end(t: Tuned) -> float:
    return median(_ends(t))


def _until(t: Tuned, rival: Tuned) -> tuple[str, str]:
    measured = [(ratios(ours, theirs), theirs) for ours, theirs in zip(t.runs, rival.runs, strict=True)]
    reached = [(theirs.steps[-1] / r[0], theirs.seconds[-1] / r[1]) for r, theirs in measured if r[0]]
    if len(reached) <= len(measured) / 2:
        return NEVER, NEVER
    return f"{median(pair[0] for pair in reached):.0f}", f"{median(pair[1] for pair in reached):.2f}"


def _named(tuned: list[Tuned], name: str) -> Tuned:
    return next(t for t in tuned if t.optimiser == name)


def sentences(tuned: list[Tuned]) -> list[str]:
    """Say who is ahead after equal passes, who after equal time, and where first-order methods win.

    Parameters
    ----------
    tuned : list of Tuned

    Returns
    -------
    list of str
    """
    found, ranked, adam = compare(tuned), sorted(tuned, key=_end), _named(tuned, ADAM)
    first = FAMILIES["first order"]
    others = [t for t in ranked if t.optimiser not in first]
    best = next(t for t in ranked if t.optimiser in first)
    behind = [t.optimiser for t in others if _end(t) > _end(best)]
    own = _until(adam, adam)[1]
    later = [t.optimiser for t in others if (until := _until(t, adam)[1]) == NEVER or float(until) > float(own)]
    lines = [
        f"After {found.equal_steps} passes the lowest losses are those of "
        + ", ".join(f"{t.optimiser} ({_end(t):.2f})" for t in ranked[:3])
        + f"; of the first-order methods {best.optimiser} comes first, with {_end(best):.2f}, "
        + f"and is ahead of {_and(behind)}.",
        *(_at(tuned, seconds) for seconds in (found.equal_seconds / 4, found.equal_seconds)),
        f"Adam has its last loss after {own} s; of the methods beyond first order, {_and(later)} have it later or "
        "never.",
    ]
    edges = [f"{key} of {t.optimiser}" for t in tuned for key in t.at_edge if len(t.axes[key]) > 2]
    failures = [f"{t.optimiser}, seed {run.seed}: {run.failure}." for t in tuned for run in t.runs if run.failure]
    return [*lines, *([f"At the edge of three values or more: {', '.join(edges)}."] if edges else []), *failures]


def _at(tuned: list[Tuned], seconds: float) -> str:
    losses = {t.optimiser: median(np.interp(seconds, run.seconds, run.losses) for run in t.runs) for t in tuned}
    ranked = sorted(losses, key=losses.__getitem__)
    places = [f"{name} is number {ranked.index(name) + 1} with {losses[name]:.2f}" for name in FAMILIES["first order"]]
    return (
        f"After {seconds:.2g} s of processor time each, the lowest is that of {ranked[0]} ({losses[ranked[0]]:.2f}), "
        f"then {ranked[1]} ({losses[ranked[1]]:.2f}); of {len(ranked)}, {', '.join(places)}."
    )


def _and(names: Sequence[str]) -> str:
    if not names:
        return "none"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def write_page(contest: OptimiserContest, tuned: list[Tuned], seconds: float, path: Path) -> None:
    """Write the page in Markdown.

    Parameters
    ----------
    contest : OptimiserContest
    tuned : list of Tuned
    seconds : float
        Processor time of everything.
    path : pathlib.Path
    """
    head = headings(tuned)
    rule = ["---", "---", *["---:"] * (len(head) - 2)]
    grids = [
        f"{t.optimiser}: " + (", ".join(f"{key} {_values(values)}" for key, values in t.axes.items()) or "none")
        for t in tuned
    ]
    first = HEAD.format(
        machine=machine(),
        seconds=seconds,
        sizes="-".join(map(str, contest.sizes)),
        passes=contest.steps,
        batch=BATCH,
        seeds=len(tuned[0].runs),
        floor=entropy(contest.data.reported_targets),
        start=tuned[0].runs[0].losses[0],
    )
    lines = [
        first,
        *(f"| {' | '.join(line)} |" for line in (head, rule, *rows(tuned))),
        "",
        *(f"* {line}" for line in sentences(tuned)),
        "",
        READING,
        *(f"* {grid}" for grid in grids),
    ]
    path.write_text("\n".join(lines) + "\n")


def _values(values: Sequence[float]) -> str:
    return " / ".join(f"{value:g}" for value in values)

"""The page of the low-rank examples, and the tables that are printed: numbers and sentences from what was measured."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from rich.table import Table

from curvblas.examples.contest import ADAM, MINSR, SGD, SPRING, Contest
from curvblas.examples.low_rank_words import DIGITS, HEAD, ISING, POISSON, READING
from curvblas.examples.machine import machine
from curvblas.examples.report import cells, headings, plain_table
from curvblas.examples.summary import compare, ratios
from curvblas.examples.tuning import Tuned


def outcome_table(contest: Contest, tuned: list[Tuned]) -> Table:
    """Lay out one contest: a row for each optimiser, and in the caption who reaches whose loss how much sooner.

    Parameters
    ----------
    contest : Contest
    tuned : list of Tuned

    Returns
    -------
    rich.table.Table
    """
    comparison = compare(tuned)
    table = plain_table(f"{contest.name}: {contest.loss}", [*_sentences(tuned), *cautions(tuned)])
    for heading in headings(comparison):
        table.add_column(heading, no_wrap=True)
    for t, row in zip(tuned, comparison.rows, strict=True):
        table.add_row(*cells(t, row))
    return table


def write_page(contests: list[Contest], tuned: list[list[Tuned]], seconds: float, path: Path) -> None:
    """Write the page in Markdown.

    Parameters
    ----------
    contests : list of Contest
        Two of digits, Poisson's equation, the chain of spins.
    tuned : list of lists of Tuned
    seconds : float
        Processor time of everything.
    path : pathlib.Path
    """
    parts = [_part(contest, results) for contest, results in zip(contests, tuned, strict=True)]
    lines = [
        HEAD.format(machine=machine(), seconds=seconds, trials=len(tuned[0][0].trials), seeds=len(tuned[0][0].runs)),
        *[DIGITS, *parts[0], *parts[1]],
        *[POISSON, *parts[2]],
        *[ISING, *parts[3]],
        READING,
    ]
    path.write_text("\n".join(lines))


def _part(contest: Contest, tuned: list[Tuned]) -> list[str]:
    comparison = compare(tuned)
    head = [" ".join(heading.split()) for heading in headings(comparison)]
    rows = [cells(t, row) for t, row in zip(tuned, comparison.rows, strict=True)]
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [
        f"**{contest.name}**, {contest.loss}:",
        "",
        *(f"| {' | '.join(line)} |" for line in (head, rule, *rows)),
        "",
        *(f"* {line}" for line in (*_sentences(tuned), *cautions(tuned))),
        "",
    ]


def _sentences(tuned: list[Tuned]) -> list[str]:
    by_name = {t.optimiser: t for t in tuned}
    lines = []
    for name, ours in by_name.items():
        if name not in {SGD, ADAM}:
            rivals = (SGD, ADAM, MINSR) if name == SPRING else (SGD, ADAM)
            lines += [_sentence(ours, by_name[rival]) for rival in rivals if rival in by_name]
    comparison = compare(tuned)
    at_time = min(comparison.rows, key=lambda row: row.loss_at_equal_time)
    return [*lines, f"After {comparison.equal_seconds:.2g} s each, the lowest is that of {at_time.optimiser}."]


def _sentence(ours: Tuned, rival: Tuned) -> str:
    measured = [ratios(mine, theirs) for mine, theirs in zip(ours.runs, rival.runs, strict=True)]
    reached = [pair for pair in measured if pair[0]]
    if len(reached) <= len(measured) / 2:
        return (
            f"{ours.optimiser} reaches the final loss of {rival.optimiser} in {len(reached)} of {len(measured)} seeds."
        )
    steps, time = (median(pair[k] for pair in measured) for k in (0, 1))
    words = f"in {_share(steps)} its steps and {_share(time)} its time"
    missed = "" if len(reached) == len(measured) else f" ({len(reached)} of {len(measured)} seeds reach it)"
    return f"{ours.optimiser} reaches the final loss of {rival.optimiser} {words}{missed}."


def _share(ratio: float) -> str:
    if ratio < 1:
        return f"{1 / ratio:.1f} times"
    return f"1/{ratio:.1f} of" if ratio < 10 else f"1/{ratio:.0f} of"


def cautions(tuned: list[Tuned]) -> list[str]:
    """Say what a reader must know of these runs: settings at the edge, lucky seeds, failures.

    Parameters
    ----------
    tuned : list of Tuned

    Returns
    -------
    list of str
        Sentences.
    """
    edges = [f"{setting} of {t.optimiser}" for t in tuned for setting in t.at_edge]
    failures = [f"{t.optimiser}, seed {run.seed}: {run.failure}." for t in tuned for run in t.runs if run.failure]
    lucky = [line for t in tuned for line in _luck(t)]
    return [*([f"At the edge of what was tried: {', '.join(edges)}."] if edges else []), *lucky, *failures]


def _luck(t: Tuned) -> list[str]:
    # The best of 15 trials may be so for its seed alone.
    tried, *others = (run.final_loss for run in t.runs)
    if not others or tried > min(others) / 2:
        return []
    return [
        f"{t.optimiser} ends at {tried:.1e} on the seed of the trials, and at {min(others):.1e} or more on the others."
    ]

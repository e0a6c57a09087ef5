"""The tables and sentences that the demonstration prints."""

from __future__ import annotations

from statistics import median

from rich import box
from rich.table import Table

from curvblas.examples.contest import KFAC
from curvblas.examples.kfac import KERNELS
from curvblas.examples.summary import Comparison, Promise, Row, phase_shares
from curvblas.examples.tasks import Task
from curvblas.examples.tuning import Tuned


def comparison_table(task: Task, tuned: list[Tuned], comparison: Comparison) -> Table:
    """Lay out one task: a row for each optimiser, and a caption with what a reader must know.

    Parameters
    ----------
    task : Task
    tuned : list of Tuned
    comparison : Comparison

    Returns
    -------
    rich.table.Table
    """
    caption = [_grids(tuned), _verdict(comparison), *_warnings(tuned)]
    table = plain_table(f"{task.name}: loss in {task.loss}", caption)
    first, *others = headings(comparison)
    table.add_column(first, no_wrap=True)
    for heading in others:
        table.add_column(heading, justify="right", overflow="fold")
    for t, row in zip(tuned, comparison.rows, strict=True):
        table.add_row(*cells(t, row), style="bold" if t.optimiser == KFAC else "")
    return table


def headings(comparison: Comparison) -> list[str]:
    """Name the columns of `cells`, on two lines each.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of str
    """
    after = [f"after\n{comparison.equal_steps} steps", f"after\n{comparison.equal_seconds:.2g} s"]
    with_accuracy = any(row.accuracy is not None for row in comparison.rows)
    last = ["last\nfive", "\nover seeds", "ms a\nstep", *["test\nacc."] * with_accuracy]
    return ["\noptimiser", "\nbest", *after, *last]


def _grids(tuned: list[Tuned]) -> str:
    grids = [
        f"{t.optimiser} {setting} {values[0]:g} to {values[-1]:g}" for t in tuned for setting, values in t.axes.items()
    ]
    last = "Last five, over seeds: the median of the last five evaluations, which also chooses the best value."
    return f"Best of {len(tuned[0].trials)} values each: {', '.join(grids)}. {last}"


def plain_table(title: str, caption: list[str]) -> Table:
    """Make a table without columns yet.

    Parameters
    ----------
    title : str
    caption : list of str
        Its lines.

    Returns
    -------
    rich.table.Table
    """
    return Table(
        title=f"\n{title}",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        title_justify="left",
        title_style="bold",
        caption="\n".join(caption),
        caption_justify="left",
        caption_style="",
    )


def cells(t: Tuned, row: Row) -> list[str]:
    """Write what a table says of one optimiser.

    Parameters
    ----------
    t : Tuned
    row : Row

    Returns
    -------
    list of str
    """
    low, high = row.spread
    return [
        t.optimiser,
        ", ".join(f"{number:g}" for number in t.best),
        _short(row.loss_at_equal_steps),
        _short(row.loss_at_equal_time),
        _short(row.final_loss),
        f"{_short(low)}–{_short(high)}" if len(t.runs) > 1 else "one seed",
        f"{row.milliseconds:.2f}",
        *([] if row.accuracy is None else [f"{row.accuracy:.1%}"]),
    ]


def _short(number: float) -> str:
    return f"{number:#.4g}" if number >= 1 else f"{number:#.2g}"


def _verdict(comparison: Comparison) -> str:
    at_steps = min(comparison.rows, key=lambda row: row.loss_at_equal_steps).optimiser
    at_time = min(comparison.rows, key=lambda row: row.loss_at_equal_time).optimiser
    if at_steps == at_time == KFAC:
        return "K-FAC is ahead both after equal steps and after equal time."
    if at_time == KFAC:
        return f"K-FAC is ahead after equal time, but {at_steps} is ahead after equal steps."
    if at_steps == KFAC:
        return f"K-FAC is ahead after equal steps only: after equal time it LOSES to {at_time}."
    return f"K-FAC LOSES: {at_steps} is ahead after equal steps, {at_time} after equal time."


def _warnings(tuned: list[Tuned]) -> list[str]:
    edge = "[red]WARNING: the best {} of {} lies at the edge of its grid: a better one may lie outside.[/]"
    lines = [edge.format(setting, t.optimiser) for t in tuned for setting in t.at_edge]
    for t in tuned:
        lines += [f"[red]WARNING: {t.optimiser}, seed {run.seed}: {run.failure}[/]" for run in t.runs if run.failure]
    repaired = sum(run.repaired for t in tuned for run in t.runs)
    return [*lines, f"[yellow]{repaired} inverses needed jitter on top of their damping.[/]"] if repaired else lines


def phase_table(columns: dict[str, Tuned]) -> Table:
    """Lay out the share of a K-FAC step that each kernel and each pass takes.

    Parameters
    ----------
    columns : dict of str to Tuned
        The runs of K-FAC, by name of the task.

    Returns
    -------
    rich.table.Table
    """
    table = plain_table("where the time of a K-FAC step goes", ["bold: kernels of curvblas"])
    table.add_column("phase")
    for name in columns:
        table.add_column(name, justify="right")
    shares = [phase_shares(t.runs) for t in columns.values()]
    for phase in sorted(shares[0], key=lambda phase: -shares[0][phase]):
        is_kernel = phase in KERNELS
        table.add_row(phase, *(f"{share[phase]:.1%}" for share in shares), style="bold" if is_kernel else "")
    return table


def promise_lines(promises: list[Promise]) -> list[str]:
    """Say for each seed how much sooner K-FAC reaches the final losses of its rivals.

    Parameters
    ----------
    promises : list of Promise

    Returns
    -------
    list of str
        Two lines for each rival.
    """
    lines = []
    for promise in promises:
        asked = f"1/{promise.steps_asked:g} of the steps"
        if promise.time_asked:
            asked += f" and 1/{promise.time_asked:g} of the time"
        verdict = "[bold green]met[/]" if promise.kept else "[bold red]NOT met[/]"
        lines.append(f"to reach the final loss of the best {promise.rival} run; asked: at most {asked}: {verdict}")
        lines.append(f"  steps: {_fractions(promise.steps)};  time: {_fractions(promise.time)}")
    return lines


def _fractions(ratios: list[float]) -> str:
    each = [f"1/{ratio:.1f}" if ratio else "not reached" for ratio in [*ratios, median(ratios)]]
    return each[0] if len(ratios) == 1 else f"{', '.join(each[:-1])} (median {each[-1]})"

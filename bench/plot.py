"""Draw a family: one line a case, one mark a peer at its time over ours."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from case import OWN
from results import Record, Results, counted, duration

Styles: TypeAlias = dict[str, tuple[str, str]]

# Okabe and Ito: told apart with every common kind of colour blindness; the marks differ as well.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")  # one more than colours, so that no pair comes again soon
INK, FAINT, LINE, OWN_GREY, GOAL = "#333333", "#808080", "#e3e3e3", "#d0d0d0", "#b00020"
WIDTH_INCHES, ROW_INCHES, MARGIN_INCHES = 9.0, 0.29, 1.75
LANE = 0.12  # the peers of a case stand a little below each other, so that none hides another
LEGEND_COLUMNS = 7  # what fits beside each other; more take two lines
DECADES = [10.0**power for power in range(-3, 5)]
TICKS = (
    [step * decade for decade in DECADES for step in (1, 2, 5)],
    [step * decade for decade in DECADES for step in (1, 1.5, 2, 3, 5, 7)],
    [tenths / 10 for tenths in range(1, 50)],
)


def draw(results: Results, path: Path) -> bool:
    """Write the plot; False where there is nothing to compare."""
    records = [record for record in results.records if record.own and record.best_peer()]
    if not records:
        return False
    peers = dict.fromkeys(name for record in records for name in record.valid() if name != OWN)
    styles = dict(zip(peers, zip(itertools.cycle(COLOURS), itertools.cycle(MARKS), strict=False), strict=False))
    groups = [list(members) for _, members in itertools.groupby(records, key=lambda record: record.case.group)]
    lines = len(records) + len(groups)
    figure = Figure(figsize=(WIDTH_INCHES, MARGIN_INCHES + ROW_INCHES * lines), layout="constrained")
    axes = figure.add_subplot()
    y = 0
    for members in groups:
        beside(axes, -0.015, y, members[0].case.group, "right", weight="bold")
        for row, record in enumerate(members, start=y + 1):
            axes.axhline(row - 0.5, color=LINE, lw=0.7, zorder=0.5)
            draw_case(axes, record, row, styles)
            label(axes, record, row, results)
        y += len(members) + 1
    frame(axes, lines, results.ratio)
    head(figure, axes, results)
    legend(figure, styles, goal=any(record.case.goal_slowdown for record in records))
    figure.savefig(path, dpi=160)
    return True


def draw_case(axes: Axes, record: Record, y: int, styles: Styles) -> None:
    """Draw the spread of our rounds as a bar, each peer as a mark with the spread of its rounds."""
    timings = record.valid()
    own = timings[OWN]
    low, high = min(own.rounds) / own.median, max(own.rounds) / own.median
    axes.barh(y, high - low, left=low, height=0.66, color=OWN_GREY, lw=0, zorder=1)
    for number, (peer, (colour, mark)) in enumerate(styles.items()):
        if peer not in timings:
            continue
        height = y + LANE * (number - (len(styles) - 1) / 2)
        ratios = [seconds / own.median for seconds in timings[peer].rounds]
        axes.plot((min(ratios), max(ratios)), (height, height), color=colour, lw=1.6, alpha=0.6, zorder=2)
        middle = timings[peer].median / own.median
        axes.plot(middle, height, mark, color=colour, ms=5.5, mec="white", mew=0.5, zorder=3)
    if record.case.goal_slowdown is not None:
        axes.plot(1 / record.case.goal_slowdown, y, "|", color=GOAL, ms=14, mew=2, zorder=2)


def label(axes: Axes, record: Record, y: int, results: Results) -> None:
    """Write the operation on the left; our time and the larger share of the machine's limits on the right."""
    beside(axes, -0.015, y, record.case.operation, "right")
    if record.own:
        beside(axes, 1.105, y, duration(record.own.median), "right")
    shares = [
        (record.fma_share(results.own_limits) or 0.0, "of FMA peak"),
        (record.memory_share(results.own_limits) or 0.0, f"of {record.case.bandwidth} limit"),
    ]
    share, limit = max(shares)
    if share:
        beside(axes, 1.125, y, f"{100 * share:.0f} % {limit}", "left", colour=FAINT)


def beside(axes: Axes, x: float, y: float, text: str, side: str, *, weight: str = "normal", colour: str = INK) -> None:
    """Write beside the axes, at the height of a line."""
    place = axes.get_yaxis_transform()
    axes.text(x, y, text, transform=place, ha=side, va="center", weight=weight, size=9, color=colour)


def frame(axes: Axes, lines: int, ratio: str) -> None:
    """Set up the logarithmic axis of ratios, with 1 in it."""
    axes.set_xscale("log")
    left, right = axes.get_xlim()
    left, right = min(left, 0.75), max(right, 1.35)
    axes.set_xlim(left, right)
    axes.set_ylim(lines - 0.4, -0.9)
    axes.axvline(1, color=INK, lw=1, zorder=1.5)
    axes.axvspan(left, 1, color="#f6efe7", lw=0, zorder=0)
    axes.xaxis.set_major_locator(FixedLocator(ticks(left, right)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}x"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(NullLocator())
    axes.grid(axis="x", color=LINE, lw=0.7, zorder=0.5)
    axes.tick_params(axis="x", length=0, labelsize=9, labelcolor=INK)
    axes.set_xlabel(ratio, size=9, color=INK)
    axes.spines[:].set_visible(False)


def ticks(left: float, right: float) -> list[float]:
    """Choose the coarsest ticks of which four stand between the ends."""
    inside = [[tick for tick in choice if left <= tick <= right] for choice in TICKS]
    return next((choice for choice in inside if len(choice) >= 4), inside[-1])


def head(figure: Figure, axes: Axes, results: Results) -> None:
    """Say what, where, and how much of it; head the column of our times."""
    figure.suptitle(results.title, x=0.012, ha="left", size=12, weight="bold", color=INK)
    isa = (results.machine["isa"] or [""])[0]
    parts = [
        results.machine["cpu"],
        isa,
        counted(results.threads, "thread"),
        counted(results.rounds, "round"),
    ]
    if limits := results.own_limits:
        ways = [f"{limits[way] / 1e9:.0f} GB/s {way}" for way in ("read", "copy") if way in limits]
        parts.append(", ".join((f"limits {limits['fma_float32'] / 1e9:.0f} GF float32", *ways)))
    if results.busy:
        parts.append("BUSY MACHINE, not to be quoted")
    axes.set_title(" ", size=9)  # keeps the height; the text itself starts left of the axes
    place = ("figure fraction", "axes fraction")
    text = axes.annotate(", ".join(parts), (0.012, 1), (0, 6), place, "offset points", size=9, color=FAINT)
    text.set_in_layout(False)
    beside(axes, 1.105, 0, OWN, "right", weight="bold")


def legend(figure: Figure, styles: Styles, *, goal: bool) -> None:
    """Name the marks."""
    handles = [
        Line2D([], [], color=colour, marker=mark, ms=6, lw=2, label=peer) for peer, (colour, mark) in styles.items()
    ]
    handles.append(Line2D([], [], color=OWN_GREY, lw=7, label=f"{OWN}, spread"))
    if goal:
        handles.append(Line2D([], [], color=GOAL, marker="|", ms=12, mew=2, lw=0, label="goal: right of it"))
    columns = len(handles) if len(handles) <= LEGEND_COLUMNS else -(-len(handles) // 2)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)

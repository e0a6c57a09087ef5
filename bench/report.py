"""The table of a family; ``python bench/report.py FILE.json ...`` shows and draws results again."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from case import OWN
from plot import draw
from results import Record, Results, Timing, counted, duration, read_results

console = Console()
# A table with five peers needs the width even where the output is a file.
wide = Console(width=max(console.width, 160))

LEGEND = "Times: medians of the rounds' medians. Ratios: peer / own, above 1 ours is faster. Bold: the best peer."
SHARES = "FMA, read: least flops and bytes of the case in our time, over the machine's measured limits."


def spread(timing: Timing) -> str:
    """Write the median of the rounds and their extremes, in one unit."""
    number, unit = duration(timing.median).split()
    scale = float(number) / timing.median
    return f"{number} {unit} ({min(timing.rounds) * scale:.3g}..{max(timing.rounds) * scale:.3g})"


def cell(record: Record, peer: str) -> str:
    """Write a peer's time and its ratio to ours."""
    timing = record.timings.get(peer)
    if timing is None:
        return "-"
    if timing.failure:
        return "[red]error[/]"
    ratio = record.ratio(peer)
    mark = "*" if timing.stopped else ""
    text = duration(timing.median) + mark + (f"  {ratio:.2f}x" if ratio else "")
    return f"[bold]{text}[/]" if peer == record.best_peer() else text


def percent(share: float | None) -> str:
    """Write a share."""
    return "-" if share is None else f"{100 * share:.0f} %"


def goal(record: Record) -> str:
    """Write the goal and whether it was met."""
    found = record.goal()
    return "" if found is None else f"{found[0]}: {'[green]met[/]' if found[1] else '[red]missed[/]'}"


def table(results: Results) -> Table:
    """Make the table: one row a case, one column a peer."""
    peers = [name for name in peers_of(results) if name != OWN]
    goals = any(record.goal() for record in results.records)
    result = Table(title=f"{results.title}; {counted(results.threads, 'thread')}, {counted(results.rounds, 'round')}")
    result.add_column("case", no_wrap=True)
    shares = ("FMA", "read") if results.limits else ()
    for name in (f"{OWN} (min..max)", *peers, "ratio to best", *shares):
        result.add_column(name, justify="right")
    if goals:
        result.add_column("goal")
    for record in results.records:
        own = record.timings.get(OWN)
        best = record.ratio(record.best_peer())
        row = [
            record.case.name,
            spread(own) if own and record.own else cell(record, OWN),
            *(cell(record, peer) for peer in peers),
            "-" if best is None else f"{best:.2f}",
        ]
        if shares:
            row += [percent(record.fma_share(results.own_limits)), percent(record.read_share(results.own_limits))]
        if goals:
            row.append(goal(record))
        result.add_row(*row)
    return result


def peers_of(results: Results) -> list[str]:
    """List the peers that were timed, in the order of the family."""
    return list(dict.fromkeys(name for record in results.records for name in record.timings))


def machine_lines(results: Results) -> list[str]:
    """Write where it was measured, the limits there, and how busy others kept it."""
    machine = results.machine
    lines = [f"{machine['cpu']}, {counted(machine['cores'], 'core')}; revision {machine['revision']}"]
    for count, limits in results.limits.items():
        if limits:
            flops = f"{limits['fma_float32'] / 1e9:.0f} GF float32, {limits['fma_float64'] / 1e9:.0f} GF float64"
            read = f"{limits['read'] / 1e9:.0f} GB/s read"
            lines.append(f"Limits with {counted(int(count), 'thread')}: {flops}, {read}.")
    taken = ", ".join(f"{max(cores, 0.0):.2f}" for cores in results.cores_taken_by_others)
    lines.append(f"Cores that other processes kept busy in each round: {taken}.")
    if results.busy:
        lines.append("The machine was busy with other work: these times are not to be quoted.")
    return lines


def show(results: Results) -> None:
    """Print the table, what was skipped, what failed, and what a reader must know."""
    lines = [f"{name}: {reason}" for name, reason in results.skipped.items()]
    lines += [*machine_lines(results), *results.notes, LEGEND, *([SHARES] if results.limits else [])]
    if any(timing.stopped for record in results.records for timing in record.timings.values()):
        lines.append("* Seconds long and over twice as slow as the fastest: not asked in all rounds.")
    wide.print(table(results))
    for line in lines:
        wide.print(line, style="dim", markup=False, highlight=False)
    for line in results.failures():
        wide.print(f"ERROR {line}", style="red", markup=False, highlight=False)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        old = read_results(Path(argument))
        show(old)
        draw(old, Path(argument).with_suffix(".png"))

"""The table of a family; ``python bench/report.py FILE.json ...`` shows and draws results again.

With ``--docs DIRECTORY`` it writes them there instead: a page ``bench_FAMILY.md`` and its plot.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from case import OWN
from document import write_page
from plot import draw
from remarks import remarks
from results import Record, Results, counted, duration, peers_of, percent, read_results, spread

console = Console()
# A table with seven peers needs the width even where the output is a file.
wide = Console(width=max(console.width, 250))


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


def goals_cell(record: Record, limits: dict[str, float]) -> str:
    """Write the goals and whether they were met, one a line."""
    goals = record.goals(limits)
    return "\n".join(f"{goal.words}: {'[green]met[/]' if goal.met else '[red]missed[/]'}" for goal in goals)


def table(results: Results) -> Table:
    """Make the table: one row a case, one column a peer."""
    peers = [name for name in peers_of(results) if name != OWN]
    limits = results.own_limits
    goals = any(record.goals(limits) for record in results.records)
    result = Table(title=f"{results.title}; {counted(results.threads, 'thread')}, {counted(results.rounds, 'round')}")
    result.add_column("case", no_wrap=True)
    shares = ("FMA", "memory") if results.limits else ()
    for name in (f"{OWN} (min..max)", *peers, "ratio to best", *shares):
        result.add_column(name, justify="right")
    if goals:
        result.add_column("goal", no_wrap=True)
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
            row += [percent(record.fma_share(limits)), percent(record.memory_share(limits))]
        if goals:
            row.append(goals_cell(record, limits))
        result.add_row(*row)
    return result


def show(results: Results) -> None:
    """Print the table, what was skipped, what failed, and what a reader must know."""
    wide.print(table(results))
    for line in remarks(results):
        wide.print(line, style="dim", markup=False, highlight=False)
    for line in results.failures():
        wide.print(f"ERROR {line}", style="red", markup=False, highlight=False)


def main() -> None:
    """Show the results that the command line names, or write their pages."""
    parser = argparse.ArgumentParser(description="Show and draw results again.")
    parser.add_argument("results", nargs="+", type=Path, help="files that run.py wrote")
    parser.add_argument("--docs", type=Path, metavar="DIRECTORY", help="write a page and a plot of each there")
    options = parser.parse_args()
    for path in options.results:
        results = read_results(path)
        if options.docs:
            write_page(results, options.docs)
        else:
            show(results)
            draw(results, path.with_suffix(".png"))


if __name__ == "__main__":
    main()

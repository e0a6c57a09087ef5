"""A page of the documentation from results: tables in Markdown, everything a reader needs to judge them, the plot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from case import OWN
from plot import draw
from remarks import remarks
from results import Record, Results, counted, peers_of, percent, spread


def write_page(results: Results, directory: Path) -> None:
    """Write ``bench_FAMILY.md`` and ``bench_FAMILY.png``."""
    stem = f"bench_{results.family}"
    drawn = draw(results, directory / f"{stem}.png")
    picture = [f"![Time of each peer over ours, one line a case]({stem}.png)", ""] if drawn else []
    (directory / f"{stem}.md").write_text("\n".join(page(results, picture)) + "\n")


def page(results: Results, picture: Sequence[str]) -> list[str]:
    """Compose the lines of the page."""
    rounds = counted(results.rounds, "round")
    errors = [f"ERROR {line}" for line in results.failures()]
    return [
        f"# {results.title}",
        "",
        f"Measured with `python bench/run.py {results.family}`, {counted(results.threads, 'thread')}, {rounds}, each "
        "peer in a process of its own; [bench/README.md](../bench/README.md) tells how. This page is written by "
        f"`python bench/report.py --docs docs bench-results/{results.family}.json`, not by hand.",
        "",
        *picture,
        "## Against the best peer",
        "",
        *rows_of(("case", OWN, "best peer", "its time", "ratio", "FMA", "memory", "goals"), summary(results)),
        "",
        "## Every peer",
        "",
        *rows_of(("case", *peers_of(results)), everything(results)),
        "",
        "## What to know",
        "",
        *(f"* {line}" for line in (*errors, *remarks(results), *environment_lines(results))),
    ]


def rows_of(head: Sequence[str], body: Iterable[Sequence[str]]) -> list[str]:
    """Write a Markdown table, whose first column is on the left."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *body)]


def summary(results: Results) -> list[list[str]]:
    """Compare us with the best peer, the machine and the goals."""
    limits, rows = results.own_limits, []
    for record in results.records:
        best = record.best_peer()
        ratio = record.ratio(best)
        goals = [f"{goal.words}: {'met' if goal.met else '**missed**'}" for goal in record.goals(limits)]
        rows.append(
            [
                record.case.name,
                timed(record, OWN),
                best or "-",
                timed(record, best) if best else "-",
                f"{ratio:.2f}" if ratio else "-",
                percent(record.fma_share(limits)),
                percent(record.memory_share(limits)),
                "<br>".join(goals),
            ]
        )
    return rows


def everything(results: Results) -> list[list[str]]:
    """List each peer's time with its spread and its ratio to ours."""
    rows = []
    for record in results.records:
        row = [record.case.name]
        for peer in peers_of(results):
            ratio = record.ratio(peer) if peer != OWN else None
            text = timed(record, peer) + (f" {ratio:.2f}x" if ratio else "")
            row.append(f"**{text}**" if peer == record.best_peer() else text)
        rows.append(row)
    return rows


def timed(record: Record, peer: str) -> str:
    """Write a peer's time and spread, or why there is none."""
    timing = record.timings.get(peer)
    if timing is None:
        return "-"
    if timing.failure:
        return "error"
    return spread(timing) + ("\\*" if timing.stopped else "")


def environment_lines(results: Results) -> list[str]:
    """Name the system and all versions."""
    machine = results.machine
    versions = [f"{library} {version}" for library, version in machine["libraries"].items() if version]
    return [
        f"{', '.join(machine['isa'])}; {machine['memory_gib']} GiB; {machine['system']}; Python {machine['python']}.",
        f"Versions: {', '.join(versions)}.",
    ]

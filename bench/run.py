"""Measure curvblas beside its peers: ``python bench/run.py [FAMILY ...]``.

A family is a module of this directory with a ``FAMILY``: its cases, and for each peer how it does a case.
Nothing else has to be told about a new one.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from case import Case, Family, environment, is_own, missing
from limits import best_of, compile_limits, measure_limits
from machine import cores, describe, seconds_of_others
from native import unavailable
from plot import draw
from report import console, show
from results import Record, Results, Timing

HERE = Path(__file__).parent
WORKER_SECONDS = 900

# Time goes where the comparison is decided: on a case that takes seconds, a peer this far behind the fastest
# after two rounds is not asked again.
HOPELESS_ROUNDS, HOPELESS_SECONDS, HOPELESS_RATIO = 2, 3.0, 2.0


def families() -> dict[str, Family]:
    """Find the families in this directory."""
    names = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in {"run", "worker"})
    found = {name: getattr(importlib.import_module(name), "FAMILY", None) for name in names}
    return {name: family for name, family in found.items() if isinstance(family, Family)}


def arguments(known: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure curvblas beside its peers.")
    add = parser.add_argument
    add("family", nargs="*", help=f"which of {', '.join(known)} (default: all)")
    add("--rounds", type=int, help="rounds, each with new processes (default: 5; with --quick 1)")
    add("--quick", action="store_true", help="only the small groups, one round unless --rounds")
    add("--threads", type=int, default=cores(), help="threads of every peer (default: the cores)")
    add("--peers", type=lambda text: text.split(","), default=[], help="only these, separated by commas")
    add(
        "--output",
        type=Path,
        default=Path("bench-results"),
        help="directory of results (default: %(default)s)",
    )
    options = parser.parse_args()
    for name in options.family:
        if name not in known:
            parser.error(f"there is no family {name!r}; there are {', '.join(known)}")
    options.family = options.family or list(known)
    options.rounds = options.rounds or (1 if options.quick else 5)
    return options


def available(family: Family, wanted: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Split the peers into those to run and those skipped, with the reason; ours is always wanted."""
    chosen = {name for name in family.peers if name in wanted} or set(family.peers)
    skipped = {}
    for name, peer in family.peers.items():
        absent = missing(peer.packages)
        if peer.native and (reason := unavailable(peer.native)):
            skipped[name] = f"{reason}, skipped"
        elif absent:
            skipped[name] = f"{'' if absent == [name] else ', '.join(absent) + ' '}not installed, skipped"
        elif name not in chosen and not is_own(name):
            skipped[name] = "not asked for, skipped"
    return [name for name in family.peers if name not in skipped], skipped


def run_worker(family: str, peer: str, cases: Sequence[Case], threads: int) -> list[dict[str, object]]:
    """Measure the cases in a new process; if it dies, each case that it still owed has failed."""
    try:
        done = subprocess.run(
            [sys.executable, str(HERE / "worker.py"), family, peer, *(case.name for case in cases)],
            env=os.environ | environment(threads),
            capture_output=True,
            text=True,
            timeout=WORKER_SECONDS,
            check=False,
        )
        output, complaint = done.stdout, f"exit code {done.returncode}: {done.stderr[-500:]}"
    except subprocess.TimeoutExpired as expired:
        output, complaint = (expired.stdout or b"").decode(), f"no answer within {WORKER_SECONDS} s"
    replies = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    answered = {reply["case"] for reply in replies}
    replies += [{"case": case.name, "failure": complaint} for case in cases if case.name not in answered]
    return replies


def keep(record: Record, peer: str, reply: dict[str, object]) -> None:
    """Add a worker's reply to the record, and decide whether the peer is asked again."""
    timing = record.timings.setdefault(peer, Timing())
    seconds, errors = reply.get("seconds"), reply.get("errors")
    if not isinstance(seconds, float) or not isinstance(errors, dict):
        timing.failure = str(reply["failure"])
        return
    timing.rounds.append(seconds)
    timing.errors = errors
    # Best rounds are compared: other work on the machine must not make a peer look hopeless.
    best, fastest = min(timing.rounds), min(min(t.rounds) for t in record.timings.values() if t.rounds)
    hopeless = best > max(HOPELESS_SECONDS, HOPELESS_RATIO * fastest)
    if hopeless and not is_own(peer) and len(timing.rounds) >= HOPELESS_ROUNDS:
        timing.stopped = f"{best / fastest:.1f} times the fastest after {len(timing.rounds)} rounds"


def can_do(record: Record, peer: str) -> bool:
    """Tell whether the peer is still asked for this case."""
    timing = record.timings.get(peer, Timing())
    return not timing.failure and not timing.stopped and peer in (record.case.peers or [peer])


Limits = Callable[[], dict[str, float]]


def one_round(
    name: str, peers: Sequence[str], records: Sequence[Record], threads: int, turn: int, limits: Limits | None
) -> None:
    """Let every peer measure every case once; each round starts with another peer.

    ``limits`` measures the machine's, beside our cases that are compared with them.
    """
    order = [*peers[turn % len(peers) :], *peers[: turn % len(peers)]]
    for group, members in itertools.groupby(records, key=lambda record: record.case.group):
        todo = list(members)
        for peer in order:
            asked = {record.case.name: record for record in todo if can_do(record, peer)}
            if not asked:
                continue
            console.print(f"round {turn + 1}: {name}, {group}, {peer}", style="dim", highlight=False)
            compared = [r for r in asked.values() if is_own(peer) and limits and r.case.goal_share is not None]
            before = limits() if limits and compared else {}
            for reply in run_worker(name, peer, [record.case for record in asked.values()], threads):
                keep(asked[str(reply["case"])], peer, reply)
            after = limits() if limits and compared else {}
            for record in compared:
                of = record.case.bandwidth
                if of in before and of in after and len(record.timings[peer].rounds) > len(record.bandwidths):
                    record.bandwidths.append((before[of] + after[of]) / 2)


def measure(name: str, family: Family, options: argparse.Namespace) -> Results:
    """Measure one family: in each round first the machine's limits, then every peer."""
    peers, skipped = available(family, options.peers)
    cases = [case for case in family.cases if case.quick or not options.quick]
    for case in cases:
        if absent := missing(case.packages):
            skipped[case.name] = f"{', '.join(absent)} not installed, skipped"
    records = [Record(case) for case in cases if case.name not in skipped]
    limited = any(case.flops or case.traffic for case in cases)
    counts = sorted({1, options.threads}) if limited and compile_limits(options.output) else []
    limits: dict[str, list[dict[str, float]]] = {str(count): [] for count in counts}
    others = []
    for turn in range(options.rounds if peers else 0):
        start, before = time.monotonic(), seconds_of_others()
        for count in limits:
            limits[count].append(measure_limits(options.output, int(count)))
        beside = (lambda: measure_limits(options.output, options.threads)) if counts else None
        one_round(name, peers, records, options.threads, turn, beside)
        others.append((seconds_of_others() - before) / (time.monotonic() - start))
    return Results(
        family=name,
        title=family.title,
        ratio=family.ratio,
        notes=list(family.notes),
        machine=describe(),
        threads=options.threads,
        limits={count: best_of(rounds) for count, rounds in limits.items()},
        cores_taken_by_others=others,
        skipped=skipped,
        records=records,
    )


def main() -> int:
    """Run the families; 1 if an answer was wrong or a worker died."""
    known = families()
    options = arguments(list(known))
    options.output.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in options.family:
        results = measure(name, known[name], options)
        results.write(options.output / f"{name}.json")
        draw(results, options.output / f"{name}.png")
        show(results)
        failed |= bool(results.failures())
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

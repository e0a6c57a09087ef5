"""Measure some cases as one peer: ``worker.py FAMILY PEER CASE...``, one JSON line a case.

A process for each peer, because thread pools of two libraries in one process slow each other several times
over. A new one each round, because where a process's memory lies is luck (Mytkowicz et al. 2009), which the
spread of the rounds should show; a worker that waited for the next round would keep its luck, and its pool.
"""

from __future__ import annotations

import importlib
import json
import statistics
import sys
import time

from case import Case, Family, Job, Peer

SAMPLE_SECONDS = 1e-3  # a sample is as many calls as fill this, so that the clock's own cost disappears
CASE_SECONDS = 0.25
LEAST_SAMPLES = 3
LONG_SECONDS = 0.5  # the first call of such a case is its sample: what warming up adds is lost in it


def samples(job: Job, first: float) -> list[float]:
    """Time the job, whose first call took ``first`` seconds; each sample is the mean of a run of calls."""
    if first > LONG_SECONDS:
        return [first]
    second = timed(job)
    calls = 1 if job.times_itself else max(1, round(SAMPLE_SECONDS / max(second, 1e-9)))
    result: list[float] = []
    end = time.perf_counter() + CASE_SECONDS
    while len(result) < LEAST_SAMPLES or time.perf_counter() < end:
        result.append(timed(job) if calls == 1 else run_of(job, calls))
    return result


def timed(job: Job) -> float:
    """Call once; return the seconds that count."""
    start = time.perf_counter()
    answer = job.call()
    seconds = time.perf_counter() - start
    return answer if job.times_itself and isinstance(answer, float) else seconds


def run_of(job: Job, calls: int) -> float:
    """Return the mean seconds of some calls in a row."""
    call = job.call
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls


def measure(peer: Peer, case: Case) -> dict[str, object]:
    """Check the first answer, then time; a wrong answer has an error and no time."""
    job = peer.job(case)
    first = timed(job)
    checks = job.verify()
    errors = {check.what: check.error for check in checks}
    wrong = [check for check in checks if not check.right]
    if wrong:
        text = ", ".join(f"{check.what} {check.error:.2g} > {check.tolerance:.2g}" for check in wrong)
        return {"case": case.name, "failure": f"wrong answer: {text}", "errors": errors}
    times = samples(job, first)
    return {"case": case.name, "seconds": statistics.median(times), "samples": len(times), "errors": errors}


def main() -> None:
    """Measure the cases that the command line names."""
    family_name, peer_name, *names = sys.argv[1:]
    family: Family = importlib.import_module(family_name).FAMILY
    peer = family.peers[peer_name]
    for case in family.cases:
        if case.name not in names:
            continue
        try:
            reply = measure(peer, case)
        except Exception as error:  # one that fails is a result; the others are still measured
            reply = {"case": case.name, "failure": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()

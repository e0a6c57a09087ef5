"""What a reader of a table must know beside it: where it was measured, what was skipped, what the columns are."""

from __future__ import annotations

from results import Results, counted

LEGEND = "Times: medians of the rounds' medians. Ratios: peer / own, above 1 ours is faster. Bold: the best peer."
SHARES = (
    "FMA, memory: least flops and bytes of the case in our time, over the machine's measured limits; memory is the "
    "read bandwidth, or the copy bandwidth where a case writes about as much as it reads. Where a share is a goal, the "
    "bandwidth is that measured just before and after each of our rounds: on machines with other guests it changes."
)
STOPPED = "* Seconds long and over twice as slow as the fastest: not asked in all rounds."


def machine_lines(results: Results) -> list[str]:
    """Write where it was measured, the limits there, and how busy others kept it."""
    machine = results.machine
    lines = [f"{machine['cpu']}, {counted(machine['cores'], 'core')}; revision {machine['revision']}"]
    for count, limits in results.limits.items():
        if limits:
            flops = f"{limits['fma_float32'] / 1e9:.0f} GF float32, {limits['fma_float64'] / 1e9:.0f} GF float64"
            bytes_ = ", ".join(f"{limits[way] / 1e9:.0f} GB/s {way}" for way in ("read", "copy") if way in limits)
            lines.append(f"Limits with {counted(int(count), 'thread')}: {flops}, {bytes_}.")
    taken = ", ".join(f"{max(cores, 0.0):.2f}" for cores in results.cores_taken_by_others)
    lines.append(f"Cores that other processes kept busy in each round: {taken}.")
    if results.busy:
        lines.append("The machine was busy with other work: these times are not to be quoted.")
    return lines


def evaluation_lines(results: Results) -> list[str]:
    """Write how often each peer evaluated the function, where it counted."""
    lines = []
    for record in results.records:
        counts = {name: t.errors["evaluations"] for name, t in record.timings.items() if "evaluations" in t.errors}
        if counts:
            each = ", ".join(f"{name} {count:.0f}" for name, count in counts.items())
            lines.append(f"Evaluations, {record.case.name}: {each}.")
    return lines


def remarks(results: Results) -> list[str]:
    """List all of it, a line each."""
    lines = [f"{name}: {reason}" for name, reason in results.skipped.items()]
    lines += [
        *machine_lines(results),
        *results.notes,
        *evaluation_lines(results),
        LEGEND,
        *([SHARES] if results.limits else []),
    ]
    if any(timing.stopped for record in results.records for timing in record.timings.values()):
        lines.append(STOPPED)
    return lines

"""What was measured: the raw medians of all rounds, what follows from them, and their JSON form."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from case import OWN, Case, is_own

BUSY_CORES = 0.1


@dataclass
class Timing:
    """One peer on one case: the median seconds of each round, and what kept it from more of them."""

    rounds: list[float] = field(default_factory=list)
    errors: dict[str, float] = field(default_factory=dict)
    failure: str | None = None
    stopped: str | None = None

    @property
    def median(self) -> float:
        """Median of the rounds' medians."""
        return statistics.median(self.rounds)


class Goal(NamedTuple):
    """A goal in words, with what was reached, and whether that is enough."""

    words: str
    met: bool


@dataclass
class Record:
    """One case: a timing for each peer that could be asked."""

    case: Case
    timings: dict[str, Timing] = field(default_factory=dict)
    # Bytes a second just before and after each of our rounds, averaged, where memory is to be compared with: what other
    # guests of a machine leave changes from minute to minute.
    bandwidths: list[float] = field(default_factory=list)

    @property
    def own(self) -> Timing | None:
        """Our timing, if there is a valid one."""
        return self.valid().get(OWN)

    def valid(self) -> dict[str, Timing]:
        """Those peers that gave right answers and were timed."""
        return {name: t for name, t in self.timings.items() if t.rounds and t.failure is None}

    def best_peer(self) -> str | None:
        """Return the fastest of the others."""
        others = {name: t.median for name, t in self.valid().items() if not is_own(name)}
        return min(others, key=others.__getitem__) if others else None

    def ratio(self, peer: str | None) -> float | None:
        """Return the peer's time over ours: above 1 we are faster."""
        valid = self.valid()
        return valid[peer].median / valid[OWN].median if peer in valid and OWN in valid else None

    def fma_share(self, limits: dict[str, float]) -> float | None:
        """Return our flops a second over the machine's."""
        return self._share(self.case.flops, limits.get(f"fma_{self.case.dtype}"))

    def memory_share(self, limits: dict[str, float]) -> float | None:
        """Return our least bytes a second over the machine's bandwidth, of reading or of copying."""
        if self.own and len(self.bandwidths) == len(self.own.rounds):
            return statistics.median(
                self.case.traffic / seconds / limit
                for seconds, limit in zip(self.own.rounds, self.bandwidths, strict=True)
            )
        return self._share(self.case.traffic, limits.get(self.case.bandwidth))

    def _share(self, work: float, limit: float | None) -> float | None:
        return work / self.own.median / limit if self.own and work and limit else None

    def goals(self, limits: dict[str, float]) -> list[Goal]:
        """List the goals that can be judged."""
        case, own = self.case, self.own
        if own is None:
            return []
        goals = []
        if case.goal_seconds is not None:
            goals.append(Goal(f"at most {duration(case.goal_seconds)}", own.median <= case.goal_seconds))
        slowdowns = {"": (self.best_peer(), case.goal_slowdown)}
        slowdowns |= {f" of {peer}": (peer, bound) for peer, bound in case.goal_slowdowns.items()}
        for whose, (peer, bound) in slowdowns.items():
            ratio = self.ratio(peer)
            if bound is not None and ratio is not None:
                goals.append(Goal(f"{1 / ratio:.2f}x{whose}, at most {bound:.2f}x", 1 / ratio <= bound))
        shares = (
            (f"of {case.bandwidth}", self.memory_share(limits), case.goal_share),
            ("of FMA", self.fma_share(limits), case.goal_fma),
        )
        for whose, share, bound in shares:
            if bound is not None and share is not None:
                words = f"{100 * share:.0f} % {whose}, at least {100 * bound:.0f} %"
                goals.append(Goal(words, share >= bound))
        return goals


@dataclass
class Results:
    """One family on one machine."""

    family: str
    title: str
    ratio: str
    notes: list[str]
    machine: dict[str, Any]
    threads: int
    limits: dict[str, dict[str, float]]
    cores_taken_by_others: list[float]
    skipped: dict[str, str]
    records: list[Record]

    @property
    def rounds(self) -> int:
        """Most rounds that a peer was timed in."""
        return max((len(t.rounds) for record in self.records for t in record.timings.values()), default=0)

    @property
    def own_limits(self) -> dict[str, float]:
        """The limits for as many threads as the peers had."""
        return self.limits.get(str(self.threads), {})

    @property
    def busy(self) -> bool:
        """Whether other processes took so much of the machine that nothing here should be quoted."""
        return statistics.median(self.cores_taken_by_others or [0.0]) > BUSY_CORES

    def failures(self) -> list[str]:
        """List every wrong answer and every crash."""
        timings = [(r.case.name, name, t) for r in self.records for name, t in r.timings.items()]
        return [f"{case}, {name}: {t.failure}" for case, name, t in timings if t.failure]

    def write(self, path: Path) -> None:
        """Write all raw numbers, and for the reader's convenience what follows from them."""
        content = asdict(self)
        for record, raw in zip(self.records, content["records"], strict=True):
            best = record.best_peer()
            raw["summary"] = {
                "best_peer": best,
                "ratio": record.ratio(best),
                "fma_share": record.fma_share(self.own_limits),
                "memory_share": record.memory_share(self.own_limits),
                "goals": record.goals(self.own_limits),
            }
        path.write_text(json.dumps(content, indent=1) + "\n")


def read_results(path: Path) -> Results:
    """Read what `Results.write` wrote."""
    content = json.loads(path.read_text())
    records = [
        Record(
            Case(**raw["case"]),
            {name: Timing(**timing) for name, timing in raw["timings"].items()},
            raw.get("bandwidths", []),
        )
        for raw in content.pop("records")
    ]
    return Results(**content, records=records)


def peers_of(results: Results) -> list[str]:
    """List the peers that were timed, in the order of the family."""
    return list(dict.fromkeys(name for record in results.records for name in record.timings))


def counted(number: int, thing: str) -> str:
    """Write a number of things."""
    return f"{number} {thing}" + ("" if number == 1 else "s")


def duration(seconds: float) -> str:
    """Write a time with three digits and a unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def spread(timing: Timing) -> str:
    """Write the median of the rounds and their extremes, in one unit."""
    number, unit = duration(timing.median).split()
    scale = float(number) / timing.median
    return f"{number} {unit} ({min(timing.rounds) * scale:.3g}..{max(timing.rounds) * scale:.3g})"


def percent(share: float | None) -> str:
    """Write a share."""
    return "-" if share is None else f"{100 * share:.0f} %"

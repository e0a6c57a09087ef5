"""What was measured: the raw medians of all rounds, what follows from them, and their JSON form."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from case import OWN, Case

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


@dataclass
class Record:
    """One case: a timing for each peer that could be asked."""

    case: Case
    timings: dict[str, Timing] = field(default_factory=dict)

    @property
    def own(self) -> Timing | None:
        """Our timing, if there is a valid one."""
        return self.valid().get(OWN)

    def valid(self) -> dict[str, Timing]:
        """Those peers that gave right answers and were timed."""
        return {name: t for name, t in self.timings.items() if t.rounds and t.failure is None}

    def best_peer(self) -> str | None:
        """Return the fastest of the others."""
        others = {name: t.median for name, t in self.valid().items() if name != OWN}
        return min(others, key=others.__getitem__) if others else None

    def ratio(self, peer: str | None) -> float | None:
        """Return the peer's time over ours: above 1 we are faster."""
        valid = self.valid()
        return valid[peer].median / valid[OWN].median if peer in valid and OWN in valid else None

    def fma_share(self, limits: dict[str, float]) -> float | None:
        """Return our flops a second over the machine's."""
        return self._share(self.case.flops, limits.get(f"fma_{self.case.dtype}"))

    def read_share(self, limits: dict[str, float]) -> float | None:
        """Return our least bytes a second over the machine's read bandwidth."""
        return self._share(self.case.traffic, limits.get("read"))

    def _share(self, work: float, limit: float | None) -> float | None:
        return work / self.own.median / limit if self.own and work and limit else None

    def goal(self) -> tuple[str, bool] | None:
        """Return the goal in words, and whether it was met."""
        if self.own is None:
            return None
        if self.case.goal_seconds is not None:
            return f"at most {duration(self.case.goal_seconds)}", self.own.median <= self.case.goal_seconds
        ratio = self.ratio(self.best_peer())
        if self.case.goal_slowdown is not None and ratio is not None:
            slowdown = 1 / ratio
            words = f"{slowdown:.2f}x, at most {self.case.goal_slowdown:.2f}x"
            return words, slowdown <= self.case.goal_slowdown
        return None


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
                "read_share": record.read_share(self.own_limits),
                "goal": record.goal(),
            }
        path.write_text(json.dumps(content, indent=1) + "\n")


def read_results(path: Path) -> Results:
    """Read what `Results.write` wrote."""
    content = json.loads(path.read_text())
    records = [
        Record(Case(**raw["case"]), {name: Timing(**timing) for name, timing in raw["timings"].items()})
        for raw in content.pop("records")
    ]
    return Results(**content, records=records)


def counted(number: int, thing: str) -> str:
    """Write a number of things."""
    return f"{number} {thing}" + ("" if number == 1 else "s")


def duration(seconds: float) -> str:
    """Write a time with three digits and a unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"

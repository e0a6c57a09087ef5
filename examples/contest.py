"""What a contest of optimisers is: a problem, the length of the runs, and the values that each optimiser may try."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, TypeAlias

SGD, ADAM, KFAC, TONGA, KALDI = "SGD + momentum", "Adam", "K-FAC", "TONGA", "Kaldi NG-SGD"
GAUSS_NEWTON, MINSR, SPRING = "Gauss-Newton", "minSR", "SPRING"
LBFGS, LSR1, ADAM_ALL, ADAM_256 = "L-BFGS (all)", "L-SR1 (all)", "Adam (all)", "Adam (256)"
LBFGS_THIRDS, LSR1_THIRDS = "L-BFGS (thirds)", "L-SR1 (thirds)"

Value: TypeAlias = tuple[float, ...]
"""One number for each setting of an optimiser."""

Axes: TypeAlias = dict[str, tuple[float, ...]]
"""The values of each setting, in rising order; all their combinations are tried."""


class Training(ABC):
    """One run of an optimiser, as `trial.run_trial` drives it."""

    @abstractmethod
    def advance(self, count: int) -> float:
        """Take some steps, and return the seconds of processor time that the optimiser itself took."""

    @abstractmethod
    def loss(self) -> float:
        """Evaluate what is reported."""

    def results(self) -> dict[str, Any]:
        """Return further fields of `trial.Run` at the end; here none."""
        return {}


@dataclass(frozen=True)
class Contest(ABC):
    """A problem, the number of steps and the settings; a subclass knows how to start a run.

    ``axes`` has the settings of each optimiser, evenly spaced on a logarithmic scale where they are rates or dampings.
    """

    name: str
    loss: str
    steps: int
    axes: dict[str, Axes]

    def steps_of(self, optimiser: str) -> int:
        """Length of the runs of one optimiser; here the same for all.

        Parameters
        ----------
        optimiser : str

        Returns
        -------
        int
        """
        del optimiser
        return self.steps

    @abstractmethod
    def start(self, optimiser: str, value: Value, seed: int) -> Training:
        """Set up a run; equal seeds start from equal weights."""

"""What is trained in the demonstration, for how long, and which values each optimiser may try."""

from __future__ import annotations

from dataclasses import dataclass, replace

from curvblas.examples.data import Data, digits_to_classify, digits_to_reconstruct, patches_to_reconstruct
from curvblas.examples.outputs import BERNOULLI, GAUSSIAN, SOFTMAX, Output

SGD, ADAM, KFAC = "SGD + momentum", "Adam", "K-FAC"
OPTIMISERS = (SGD, ADAM, KFAC)
SETTING = {SGD: "rate", ADAM: "rate", KFAC: "damping"}


@dataclass(frozen=True)
class Task:
    """A data set, a network and the budget of every optimiser.

    ``steps`` are the steps of SGD and Adam; K-FAC takes a quarter of them, in about the same time. ``grids``
    hold five values for each optimiser, evenly spaced on a logarithmic scale.
    """

    name: str
    loss: str
    data: Data
    output: Output
    sizes: tuple[int, ...]
    batch: int
    steps: int
    grids: dict[str, tuple[float, ...]]

    def steps_of(self, optimiser: str) -> int:
        """Length of the runs of one optimiser.

        Parameters
        ----------
        optimiser : str

        Returns
        -------
        int
        """
        return self.steps // 4 if optimiser == KFAC else self.steps


def all_tasks() -> list[Task]:
    """Make the three tasks of the demonstration.

    Returns
    -------
    list of Task
        The digits autoencoder, about which the demonstration makes its promise, comes first.
    """
    return [
        Task(
            name="digits autoencoder",
            loss="nats per scan, all scans",
            data=digits_to_reconstruct(),
            output=BERNOULLI,
            sizes=(64, 256, 128, 32, 128, 256, 64),
            batch=256,
            steps=1500,
            grids={
                SGD: (0.001, 0.003, 0.01, 0.03, 0.1),
                ADAM: (0.0003, 0.001, 0.003, 0.01, 0.03),
                KFAC: (1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
            },
        ),
        Task(
            name="digits classifier",
            loss="nats per scan, training scans",
            data=digits_to_classify(),
            output=SOFTMAX,
            sizes=(64, 128, 64, 10),
            batch=256,
            steps=400,
            grids={
                SGD: (0.01, 0.03, 0.1, 0.3, 1.0),
                ADAM: (0.001, 0.003, 0.01, 0.03, 0.1),
                KFAC: (1e-6, 1e-5, 1e-4, 1e-3, 1e-2),
            },
        ),
        Task(
            name="patches autoencoder",
            loss="half squared error, held-out",
            data=patches_to_reconstruct(),
            output=GAUSSIAN,
            sizes=(144, 256, 64, 256, 144),
            batch=512,
            steps=400,
            grids={
                SGD: (0.001, 0.003, 0.01, 0.03, 0.1),
                ADAM: (0.0003, 0.001, 0.003, 0.01, 0.03),
                KFAC: (1e-3, 1e-2, 1e-1, 1e0, 1e1),
            },
        ),
    ]


def quick(task: Task) -> Task:
    """Shorten a task to a fifth of its steps and to the inner three values of each grid.

    Parameters
    ----------
    task : Task

    Returns
    -------
    Task
    """
    return replace(task, steps=task.steps // 5, grids={optimiser: grid[1:-1] for optimiser, grid in task.grids.items()})

"""The display of a minimiser's progress, which needs the package rich."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any


@contextmanager
def display(owner: str, limit: int) -> Iterator[Callable[[int, Any], None]]:
    """Show iterations, value and gradient on one line of the terminal.

    Parameters
    ----------
    owner : str
        The minimiser.
    limit : int
        The limit on iterations.

    Yields
    ------
    callable
        ``show(iteration, point)``.

    Raises
    ------
    ModuleNotFoundError
        rich is not installed.
    """
    if find_spec("rich") is None:
        raise ModuleNotFoundError(f"{owner}: progress=True needs rich: pip install 'curvblas[demo]'")
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    numbers = TextColumn("value {task.fields[value]:.6e}, gradient {task.fields[norm]:.1e}")
    with Progress(TextColumn(owner), BarColumn(), MofNCompleteColumn(), numbers, TimeElapsedColumn()) as bar:
        task = bar.add_task(owner, total=limit, value=float("nan"), norm=float("nan"))
        yield lambda iteration, point: bar.update(task, completed=iteration, value=point.value, norm=point.norm)

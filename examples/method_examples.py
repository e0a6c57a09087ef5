"""``python -m curvblas methods``: what each method is for, one example a method, each with a picture."""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from curvblas.examples.demo import check_packages

NAMES = (
    "exact",
    "kfac",
    "prong",
    "relative_fisher",
    "unitwise",
    "subsampled_newton",
    "newton",
    "spectrum",
    "kalman",
    "tango",
    "whitening",
    "dice",
    "natural_q",
    "families",
)
"""In the order of the page."""
PAGE = """# What each method is for

One example a method, on data that come with scikit-learn or on a task of Gymnasium; figures and pictures are those of
one run of `python -m curvblas methods --output docs` on {machine}. Settings of every method, and of what it is compared
with, are the best of small grids; `python -m curvblas methods NAME` runs one of them. What must be equal to what is in
[identities](identities.md), papers and functions are in [methods](methods.md).
{sections}
"""


def main(quick: bool, output: Path, names: Sequence[str] = ()) -> None:
    """Run the examples, print what they say, write ``method_examples.md`` and a picture for each.

    Parameters
    ----------
    quick : bool
        Less of everything: seconds for each instead of up to a minute.
    output : pathlib.Path
        Directory of the page and its pictures; made if need be.
    names : sequence of str
        Of `NAMES`; all if it is empty.

    Raises
    ------
    SystemExit
        A name that is none, or a package that is not installed.
    """
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise SystemExit(f"curvblas methods: NAME must be one of {', '.join(NAMES)}, got {', '.join(unknown)}")
    check_packages()
    if find_spec("gymnasium") is None:
        raise SystemExit("The examples of methods need gymnasium: pip install '.[demo]' in a clone of curvblas")
    output.mkdir(parents=True, exist_ok=True)
    _write(quick, output, [name for name in NAMES if not names or name in names])


def _write(quick: bool, output: Path, names: list[str]) -> None:
    # Imported only now, so that a missing package ends in a sentence.
    from rich.console import Console

    from curvblas.examples.machine import machine

    console, sections = Console(), []
    for name in names:
        start = time.perf_counter()
        with console.status(f"{name} ..."):
            text = importlib.import_module(f"curvblas.examples.methods.{name}").run(quick, output)
        console.print(f"[bold]{name}[/bold] ({time.perf_counter() - start:.0f} s)", highlight=False)
        console.print(text, markup=False, highlight=False)
        sections.append(f"\n## {name}\n\n{text}\n\n![{name}](method_{name}.png)")
    (output / "method_examples.md").write_text(PAGE.format(machine=machine(), sections="\n".join(sections)))

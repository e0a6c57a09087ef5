"""The command line: ``python -m curvblas info``, and the examples, each a command of its own."""

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from . import info


class Example(NamedTuple):
    """A command that needs the extra ``demo``: ``main(quick, output)`` of a module of `curvblas.examples`."""

    module: str
    text: str
    quick: str
    writes: str


EXAMPLES = {
    "demo": Example(
        "demo",
        "train on real data with SGD, Adam and K-FAC, and compare them",
        "under 20 seconds: fewer steps, one seed, smaller grids",
        "the plot and the numbers",
    ),
    "low-rank": Example(
        "low_rank",
        "low-rank natural gradients: digits, Poisson's equation, a spin chain",
        "ten seconds: fewer steps, one seed, smaller grids",
        "the page and its plots",
    ),
    "quasi-newton": Example(
        "quasi_newton",
        "L-BFGS and L-SR1: digits, logistic regression",
        "ten seconds: fewer epochs, one seed, smaller grids",
        "the page and its plots",
    ),
    "robustness": Example(
        "robustness",
        "quasi-Newton minimisers beside SciPy's on published problems",
        "seconds: a quarter of the problems, a twentieth of the budget",
        "the page and its plot",
    ),
    "comparison": Example(
        "optimiser_comparison",
        "all optimisers on the digits autoencoder, with equal budgets",
        "half a minute: few passes, one seed, one setting each",
        "the page and its picture",
    ),
    "methods": Example(
        "method_examples",
        "what each method of curvblas.methods is for, on real data",
        "a minute for all: fewer steps, smaller grids",
        "the page and its plots",
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str
        Default: those of the process.
    """
    parser = argparse.ArgumentParser(prog="curvblas", description="The BLAS of curvature.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info", help="print version, backends, instruction set, threads, dependencies")
    for name, example in EXAMPLES.items():
        command = commands.add_parser(name, help=example.text)
        command.add_argument("--quick", action="store_true", help=example.quick)
        folder = Path(f"{name}-results")
        command.add_argument("--output", type=Path, default=folder, help=f"folder for {example.writes}")
        if name == "methods":
            command.add_argument("names", nargs="*", metavar="NAME", help="of methods; all if left out")
    options = vars(parser.parse_args(arguments))
    command = options.pop("command")
    if command == "info":
        _print_info()
    else:
        # Not above: it needs the extra.
        importlib.import_module(f".examples.{EXAMPLES[command].module}", __package__).main(**options)


def _print_info() -> None:
    for name, value in info().items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} ({text})" for key, text in value.items())
        elif isinstance(value, list):
            value = ", ".join(value)
        print(f"{name:12} {value}")


if __name__ == "__main__":
    main()

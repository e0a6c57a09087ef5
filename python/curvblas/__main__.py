"""The command line: ``python -m curvblas info``, ``demo``, ``low-rank``, ``quasi-newton``, ``robustness``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from . import info


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
    demo = commands.add_parser("demo", help="train on real data with SGD, Adam and K-FAC, and compare them")
    demo.add_argument("--quick", action="store_true", help="under 20 seconds: fewer steps, one seed, smaller grids")
    demo.add_argument("--output", type=Path, default=Path("demo-results"), help="folder for the plot and the numbers")
    low_rank = commands.add_parser(
        "low-rank", help="low-rank natural gradients: digits, Poisson's equation, a spin chain"
    )
    low_rank.add_argument("--quick", action="store_true", help="ten seconds: fewer steps, one seed, smaller grids")
    low_rank.add_argument(
        "--output", type=Path, default=Path("low-rank-results"), help="folder for the page and its plots"
    )
    quasi_newton = commands.add_parser("quasi-newton", help="L-BFGS and L-SR1: digits, logistic regression")
    quasi_newton.add_argument("--quick", action="store_true", help="ten seconds: fewer epochs, one seed, smaller grids")
    quasi_newton.add_argument(
        "--output", type=Path, default=Path("quasi-newton-results"), help="folder for the page and its plots"
    )
    robustness = commands.add_parser("robustness", help="quasi-Newton minimisers beside SciPy's on published problems")
    robustness.add_argument(
        "--quick", action="store_true", help="seconds: a quarter of the problems, a twentieth of the budget"
    )
    robustness.add_argument(
        "--output", type=Path, default=Path("robustness-results"), help="folder for the page and its plot"
    )
    options = parser.parse_args(arguments)
    if options.command == "info":
        _print_info()
    elif options.command == "low-rank":
        from .examples.low_rank import main as run_low_rank  # not above: it needs the extra `demo`

        run_low_rank(quick=options.quick, output=options.output)
    elif options.command == "quasi-newton":
        from .examples.quasi_newton import main as run_quasi_newton  # likewise

        run_quasi_newton(quick=options.quick, output=options.output)
    elif options.command == "robustness":
        from .examples.robustness import main as run_robustness  # likewise

        run_robustness(quick=options.quick, output=options.output)
    else:
        from .examples.demo import main as run_demo  # likewise

        run_demo(quick=options.quick, output=options.output)


def _print_info() -> None:
    for name, value in info().items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} ({text})" for key, text in value.items())
        elif isinstance(value, list):
            value = ", ".join(value)
        print(f"{name:12} {value}")


if __name__ == "__main__":
    main()

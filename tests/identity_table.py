"""``python tests/identity_table.py``: write ``identities.md``, what must be equal and how equal it is."""

import argparse
import importlib
from pathlib import Path

PAGE = """# Identities

Different methods, or one method and its definition, must give the same where their mathematics says so. Each line is a
test: the error is relative, in float64 on the CPU, and the test fails above the bound. Where one side is a finite
difference, or damping stands for none, the bound is that of the difference.

Made by `python tests/identity_table.py --output docs`.
{tables}
"""
MODULES = sorted(path.stem for path in (Path(__file__).parent / "identities").glob("[a-z]*.py"))


def table(module):
    """Return the lines of the table of one module."""
    lines = [f"\n## {module}\n", "| identity | error | bound |", "|---|---:|---:|"]
    for identity, bound in importlib.import_module(f"identities.{module}").IDENTITIES:
        error = identity()
        if not error <= bound:
            raise SystemExit(f"{module}.{identity.__name__}: the error {error:.1e} is above the bound {bound:.0e}")
        text = " ".join(identity.__doc__.split()).rstrip(".").replace("|", "\\|")
        lines.append(f"| {text} | {error:.1e} | {bound:.0e} |")
        print(lines[-1], flush=True)
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(), help="folder for the page")
    options = parser.parse_args()
    lines = [line for module in MODULES for line in table(module)]
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "identities.md").write_text(PAGE.format(tables="\n".join(lines)))


if __name__ == "__main__":
    main()

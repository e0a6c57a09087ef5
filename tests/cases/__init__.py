"""One row per kernel: how to make its arguments for a list of sizes, how to call it, and what it should give.

`test_contract.py` runs the same claims over all rows. Adding a kernel means adding a row.
"""

from cases import factors, inverses, low_rank, products, units
from cases.case import Case, spd

__all__ = ["CASES", "Case", "spd"]

CASES = [*factors.CASES, *inverses.CASES, *low_rank.CASES, *products.CASES, *units.CASES]

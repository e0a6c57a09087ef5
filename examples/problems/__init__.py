"""Test problems of unconstrained minimisation from their published formulas.

References: J. J. Moré, B. S. Garbow and K. E. Hillstrom, Testing unconstrained optimization software, TOMS 7 (1981).
CUTEst is N. I. M. Gould, D. Orban and Ph. L. Toint, CUTEst: a constrained and unconstrained testing environment,
Comput. Optim. Appl. 60 (2015); its SIF files name the origin of each problem, and give minima. L. Lukšan and J. Vlček,
Sparse and partially separable test problems for unconstrained and equality constrained optimization, report V-767
(1999); L. Lukšan, C. Matonoha and J. Vlček, Sparse test problems for unconstrained optimization, report V-1064 (2010),
both Academy of Sciences of the Czech Republic.
"""

from __future__ import annotations

from curvblas.examples.problems import chains, cutest, mgh_fits, mgh_systems, mgh_variable
from curvblas.examples.problems.problem import Problem

__all__ = ["Problem", "all_problems"]


def all_problems() -> list[Problem]:
    """List all problems, those of few variables first.

    Returns
    -------
    list of Problem
    """
    modules = (mgh_systems, mgh_fits, mgh_variable, chains, cutest)
    return sorted((problem for module in modules for problem in module.PROBLEMS), key=lambda problem: problem.n)

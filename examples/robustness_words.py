"""The words of the robustness page that do not depend on what was measured."""

HEAD = """# Robustness of the quasi-Newton methods

`minimize_lbfgs` and `minimize_lsr1` ([quasi_newton.md](quasi_newton.md)) beside solvers of SciPy {scipy}, on
{problems} test problems of {fewest} to {most} variables (`examples/problems/`): those of Moré, Garbow and Hillstrom
1981, and some of CUTEst (Gould, Orban and Toint 2015) and of Lukšan and Vlček 1999, 2010, each from its published
start. This page and its plot are written by `python -m curvblas robustness --output docs` (which needs
`pip install '.[demo]'`), not by hand. Measured on {machine}; {seconds:.0f} s of processor time in all.

## Rules

* Every solver gets {budget} evaluations of each problem. A value with its gradient is one evaluation, counted in the
  function itself, whatever the solver asks them for.
* A problem is solved at the first evaluation with `f - f_best <= 1e-6 (f_0 - f_best)` and
  `|g|_max <= 1e-6 min(|g_0|_max, 1 + |f_best|)`; f_0 and g_0 are at the start, f_best is the lowest value that any of
  the solvers found (Moré and Wild 2009). What a solver itself says does not count. Numbers in parentheses are
  evaluations up to the first that meets the condition on f alone.
* The solvers' own tests of convergence are turned off. A run ends when the budget is spent, when the solver gives up,
  or when the gradient is a thousandth of what is asked for.
* Solvers: `minimize_lbfgs` and `minimize_lsr1` with memory 10; SciPy's L-BFGS-B with memory 10, CG, and trust-ncg,
  Newton's method with Hessian products that are differences of gradients, an evaluation each. Up to {few} variables
  also those that keep an n x n matrix: BFGS, and trust-constr with SR1 updates. All else is as they have it by default.
* An `o` tells that the gradient became small where f is not f_best: at another minimum, or at a saddle. A dash tells
  that neither happened.
* Seconds are processor time up to the evaluation that solves the problem, with that of the function in it; the least
  of three runs, where these take less than a tenth of a second.
"""

PROFILES = """## Performance profiles

Of every problem, what a solver took is divided by what the best of them took (Dolan and Moré 2002): at the left edge
is the share of problems on which a solver is the best, on the right that of problems it solves.

![Share of problems solved against the ratio of evaluations and of time to the best](robustness.png)
"""

READING = """## How to read this

Most functions are cheap, so that times are of the solvers themselves and of Python's calls. Where a function has many
minima (Nazareth, Toint, Chebyquad, Broyden tridiagonal, chained Wood) which one is found is luck: the `o` are no
failures. "lowest" is f_best; "published" is the lowest minimum that the literature gives, where it does.
"""

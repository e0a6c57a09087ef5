"""The words of the page of the quasi-Newton examples that do not depend on what was measured."""

HEAD = """# Quasi-Newton methods at work

Networks for digits and logistic regression with [L-BFGS and L-SR1](quasi_newton.md). This page and its plots are
written by `python -m curvblas quasi-newton --output docs` (which needs `pip install '.[demo]'`), not by hand. Measured
on {machine}; {seconds:.0f} s of processor time in all. Seconds are processor time.
"""

DIGITS = """## Digits

A classifier (64-128-64-10) of three quarters of scikit-learn's 1,797 digits, tested on the others, and an autoencoder
(64-128-32-128-64) of all of them, in float32. An epoch is as many evaluations of the loss of a scan with its gradient
as there are scans; those of rejected steps and of line searches count.

* L-BFGS (all) and L-SR1 (all) are `minimize_lbfgs` and `minimize_lsr1` as they are, memory 10: nothing is tuned.
* (thirds): a step evaluates one third of the scans, drawn anew in every epoch, at both ends, so that the change of the
  gradient holds no noise of the draw; it is taken only if the loss of that third falls. L-BFGS (`LBFGS`, Powell's
  damping) takes a rate times its direction; L-SR1 (`LSR1`) has a trust region as `minimize_lsr1` has, and its gamma
  is tuned.
* Adam takes all scans a step, or 256; its rate is tuned, and has no schedule. With 256 a step, the last 67 scans of
  each order (autoencoder: 5) are left out of the epoch.

What is tuned has {trials} values, tried on one seed; the best goes on to {seeds} seeds, that one among them. Lines and
numbers are medians over these, bands and "over seeds" their range. "Last five" is the median of the last five
evaluations, which also chooses the best value. Seconds are those of the method with all its derivatives; evaluation of
what is reported and drawing of scans do not count. The losses are those of the scans that are trained on.

![Loss of both networks against epochs and against seconds](quasi_newton_digits.png)
"""

LOGISTIC = """## Logistic regression

The breast-cancer data of scikit-learn: 569 cases, 30 standardised measurements and a constant, the mean logistic loss
and a ridge on all 31 weights, in float64, from zero. A run ends at the first evaluation at which the Euclidean norm of
the gradient is {tolerance:g} of that at the start; the minimisers' own tests of convergence are turned off.
L-BFGS, L-SR1 and L-BFGS-B keep 10 pairs, trust-constr a matrix of 31 x 31; trust-ncg has exact Hessian products.
Times are medians of {repeats} runs, by turns.

![Norm of the gradient against evaluations](quasi_newton_logistic.png)

In the plot a Hessian product counts as an evaluation, as it costs about as much.
"""

READING = """## How to read this

All problems are small: an evaluation in logistic regression takes a hundredth of a millisecond or two, so that times
are those of Python's calls and of the minimiser itself; what the methods need is told by evaluations. Losses of the
classifier tend to 0, and a low one no longer says anything about other scans: see the accuracies on the test scans.
"""

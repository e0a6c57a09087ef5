"""The words of the page of the low-rank examples that do not depend on what was measured."""

HEAD = """# Low-rank natural gradients at work

Three problems in plain NumPy over [TONGA, OnlineNaturalGradient and sample_space_solve](low_rank.md). This page and
its plots are written by `python -m curvblas low-rank --output docs` (which needs `pip install '.[demo]'`), not by
hand. Measured on {machine}; {seconds:.0f} s of processor time in all.

Every optimiser has two settings and {trials} combinations of them, tried on one seed; the best goes on to {seeds}
seeds. Lines and numbers are medians over these, bands and "over seeds" their range. "Last five" is the median of the
last five evaluations, which also chooses the best combination; "best" has its settings in the order in which each
part names them. Seconds are processor time of the optimiser with all its derivatives, without evaluation. No optimiser
has a schedule for its rate. What the numbers favour: the seed of the trials is one of those reported, and the values
to try were themselves moved in earlier runs until most of the best lay inside, for every optimiser; TONGA, whose rates
nobody could guess, had a wider search before.
"""

DIGITS = """## Digits: TONGA and Kaldi's online natural gradient

The autoencoder (64-256-128-32-128-256-64) and the classifier (64-128-64-10) of the demo, minibatches of 256 of
scikit-learn's 1,797 digits. Both methods put their direction in the place of the gradient in SGD with momentum 0.9
(`examples/natural.py`):

* TONGA takes the gradient of the minibatch as one vector, with a block for the weights of each neuron; settings are
  its rate and its damping. One call of `TONGA.step` a step.
* Kaldi's method takes the rows of the minibatch instead: the inputs of each layer with their 1, the derivatives of
  its outputs. One call of `OnlineNaturalGradient.precondition` has all of them; products of what comes back are the
  direction. Settings are its rate and alpha.

SGD may choose its rate and its momentum, and takes twice the steps. The losses of the classifier are those of the scans
that it is trained on, down to where they no longer say anything about others: see the accuracies on the test scans.

![Loss of the two networks against steps and against seconds](low_rank_digits.png)
"""

POISSON = """## Poisson's equation: Gauss-Newton in sample space

A network of 64 tanh units learns the solution `sin(pi x) sin(pi y)` of `-Laplace u = f` on the unit square, u = 0 on
its boundary, in float64. There is a residual for each of 144 points inside and 48 on the boundary, times the root of
the weight that a Gauss-Legendre rule gives to the point: J is 192 x 257, and exact (`examples/poisson.py`).
`sample_space_solve(J, r, damping)` has the step; it is halved until the sum of squares is less. The damping falls
after each step in full length and rises after each other one; settings are its start and by how much it falls.

SGD (rate, momentum) and Adam (rate, beta1) have the same residuals, and gradients without the Jacobian, which are ten
times as cheap as such a step; they take ten times the steps.

![Relative L2 error against steps and against seconds](low_rank_poisson.png)
"""

ISING = """## A chain of spins: minSR and SPRING

The transverse-field Ising model at its critical point, 10 spins on a ring, and a restricted Boltzmann machine of 20
hidden units with 220 real weights as its wave function (`examples/ising.py`). Each step has 128 Metropolis chains go
on for two sweeps, and one state of each as a sample: O is 128 x 220, centred, as the local energies e are
(`examples/monte_carlo.py`). minSR is `sample_space_solve(O, e, damping)`, SPRING the same with the step before and
momentum 0.9; settings are rate and damping. SGD has `2 O^T e`, and chooses rate and momentum. All sample the same
number of states.

The energy that is reported is exact, a sum over all 1,024 states; that of the ground state is by diagonalisation.
Dashed: the ground state.

![Energy, and its relative error against steps and against seconds](low_rank_ising.png)
"""

READING = """## How to read this

The problems are small: a step takes a millisecond or less, of which much is NumPy's and Python's time for a call. The
gain in steps is the method's; that in time is the method's on problems of this size. Ten spins can be diagonalised,
and a Poisson equation on a square has better solvers: here they tell how far one is from the truth.
"""

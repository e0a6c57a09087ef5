"""The words of the comparison's page that do not depend on what was measured."""

HEAD = """# All optimisers on one network

The autoencoder of the [demo](../README.md), {sizes} with tanh units and Bernoulli outputs, on scikit-learn's 1,797
scans of digits. Every optimiser of curvblas but TANGO gets {passes} passes over the data. Its settings are the best of
its grid (at the end of this page) on one seed; the best goes on to {seeds} seeds in all. Initial weights have a loss of
{start:.1f} nats, and no model has one below {floor:.2f}, the entropy of the scans; the picture shows what is above it.
Written by `python -m curvblas comparison --output docs`, not by hand; measured on
{machine}, {seconds:.0f} s of processor time in all.

![Loss against passes and against seconds](optimiser_comparison.png)

Losses are medians over the seeds; where a range is wide, the setting that was best on one seed diverged on another.
Seconds are processor time of the optimiser with all its derivatives, without
evaluation. The column "at ... s" reads the same runs after as much time as the quickest of them took for all its
passes. The last two columns tell when an optimiser first had Adam's last loss, the median of its last five looks, one
every two passes; that median also chooses the best setting. A pass is one gradient of every scan; that products with
the curvature and backward passes on targets drawn by the model are work too, only the seconds know.
"""

READING = """## How to read this

SGD and Adam have one setting that was tuned, and neither schedules nor other tricks; nor have the others. Minibatches
are of 256 scans; a third of the data for Gauss-Newton; all of it for Rprop, L-BFGS and L-SR1, which for that reason
take one step a pass where the others take seven (Gauss-Newton: three). That decides more than their directions do.

* First order: SGD with momentum 0.9, Adam, Rprop.
* Kronecker factors: K-FAC, E-KFAC and PRONG+ of `curvblas.methods`, with constant damping. The K-FAC of the demo, which
  adapts its damping and its step, is another one.
* Low rank, samples: `TONGA`, `OnlineNaturalGradient` (Kaldi), and the natural gradient of a minibatch with one sampled
  target a scan, exactly solved by `sample_space_solve_layers`, with the memory of SPRING.
* One metric a unit: the unitwise natural gradient, its quasi-diagonal reduction (of the backpropagated metric), and the
  relative Fisher metric. The first and the last keep a matrix for every unit, 18 million numbers here for 107 thousand
  weights: what they cost is not repaid on this problem.
* All weights: Gauss-Newton with conjugate gradients ("Hessian-free"), L-BFGS, L-SR1.

All directions but those of Rprop, sample space and the last family go into SGD with momentum 0.9. K-FAC, E-KFAC and the
metrics of units are shortened by `kl_clip` where their model of the loss expects too much.

TANGO is left out: it wants the gradient of each case as a row of its own, in float64, a hundred thousand numbers for
each of 1,797 scans in every pass. `python -m curvblas methods tango` has it where it belongs.

One small network, one loss, training loss alone: no word on test error, on other sizes, or on GPUs. Grids are small,
and were moved in earlier runs until the best values lay inside most of them; a setting with two values is at an edge
whatever it is. The seed of the trials is one of those reported.

Values tried:
"""

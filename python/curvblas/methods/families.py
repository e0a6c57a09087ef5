"""Exponential families: Fisher metric, divergence, natural gradient, Cramer-Rao bound, targets sampled from the model.

`Bernoulli`, `Poisson` and `Gaussian` are o independent variables, as the outputs of a network are; `Categorical` is one
of o classes. In `GaussianLogScale`, `GaussianNatural` and `MultivariateGaussian` the spread is a parameter, too.
`Family` says what they all offer.

Sources: Amari 1998, "Natural gradient works efficiently in learning"; Amari and Nagaoka 2000, "Methods of information
geometry", sections 2.2 and 3.5; Martens 2014 (arXiv 1412.1193), section 9, for networks whose outputs are parameters.

Examples
--------
>>> import numpy as np
>>> from curvblas.methods import families
>>> family, rate = families.Poisson(), np.log([4.0])
>>> family.fisher(rate), family.cramer_rao(rate, n=100)
(array([[4.]]), array([[0.0025]]))
>>> family.natural_gradient(rate, family.score(rate, np.array([6.0]))).solution
array([0.5])
"""

from ._discrete import Bernoulli, Categorical, Poisson
from ._family import Family
from ._float64 import Solution
from ._gaussians import Gaussian, GaussianLogScale, GaussianNatural
from ._multivariate import MultivariateGaussian, MultivariateGaussianMean

__all__ = [
    "Bernoulli",
    "Categorical",
    "Family",
    "Gaussian",
    "GaussianLogScale",
    "GaussianNatural",
    "MultivariateGaussian",
    "MultivariateGaussianMean",
    "Poisson",
    "Solution",
]

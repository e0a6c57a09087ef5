"""Identities of exponential families."""

import numpy as np

from curvblas.methods import families

from identities import largest
from oracle import relative_error

STEP = 1e-20  # of complex steps, whose square vanishes


def natural_gradient_is_the_gradient_in_mean_parameters() -> float:
    """F^-1 times the gradient in natural parameters == the plain gradient in mean parameters."""
    eta, family = np.array([0.7, -0.4]), families.GaussianNatural()
    mean = family.mean(eta)

    def loss(m):  # any function of the distribution
        return np.sin(m[0]) + m[0] * np.log(m[1])

    def mean_of(e):
        return np.array([-e[0] / (2 * e[1]), e[0] ** 2 / (4 * e[1] ** 2) - 1 / (2 * e[1])])

    units = np.eye(2)
    by_mean = np.array([loss(mean + 1j * STEP * u).imag / STEP for u in units])
    by_eta = np.array([loss(mean_of(eta + 1j * STEP * u)).imag / STEP for u in units])
    return relative_error(family.natural_gradient(eta, by_eta).solution, by_mean)


def fisher_of_mean_parameters_is_the_inverse() -> float:
    """Jacobian of the mean parameters by the natural ones == F, and that of the natural ones by the means == F^-1."""
    p = np.array([0.2, 0.5, 0.8])
    eta = np.log(p / (1 - p))
    F = families.Bernoulli().fisher(eta)
    forth = [(1 / (1 + np.exp(-(eta + 1j * STEP * u)))).imag / STEP for u in np.eye(3)]
    back = [np.log((p + 1j * STEP * u) / (1 - p - 1j * STEP * u)).imag / STEP for u in np.eye(3)]
    return largest(relative_error(F, np.array(forth)), relative_error(F @ np.array(back), np.eye(3)))


def second_derivative_of_expected_log_likelihood_is_minus_fisher() -> float:
    """Hessian of E[log p(x | theta)] over x of the model at theta, what DiCE differentiates == -F."""
    scores, family = np.array([0.3, -1.0, 0.8, 0.1]), families.Categorical()
    p = family.mean(scores)

    def gradient(theta):  # of sum_x p(x) log p(x | theta), with p held fixed
        odds = np.exp(theta)
        return p - odds / odds.sum()

    hessian = [gradient(scores + 1j * STEP * u).imag / STEP for u in np.eye(4)]
    return relative_error(-np.array(hessian), family.fisher(scores))


def bernoulli_is_categorical_of_two() -> float:
    """Damped natural gradient of a Bernoulli == of two classes along their difference, with half of the damping."""
    logit, g, damping = np.array([1.3]), np.array([0.4]), 0.2
    one = families.Bernoulli().natural_gradient(logit, g, damping).solution
    two = families.Categorical().natural_gradient(np.append(logit, 0), np.append(g, -g), 2 * damping).solution
    return relative_error(two[:1] - two[1:], one)


def cramer_rao_is_attained_by_the_mean() -> float:
    """Covariance of the mean of n draws of a Poisson variable, exactly rate / n == bound in mean parameters."""
    rate, n, family = np.array([0.3, 5.0]), 7, families.Poisson()
    log_rate = np.log(rate)
    slope = np.diag(rate)  # of the rate by its logarithm
    return relative_error(slope @ family.cramer_rao(log_rate, n) @ slope, np.diag(rate) / n)


IDENTITIES = [
    (natural_gradient_is_the_gradient_in_mean_parameters, 1e-14),
    (fisher_of_mean_parameters_is_the_inverse, 1e-14),
    (second_derivative_of_expected_log_likelihood_is_minus_fisher, 1e-14),
    (bernoulli_is_categorical_of_two, 1e-14),
    (cramer_rao_is_attained_by_the_mean, 1e-14),
]

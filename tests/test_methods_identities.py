"""Identities across methods that have no test file of their own: kernels that are methods themselves."""

import math

import pytest

from identities import exact, families, kernels, largest, newton, subsampled_newton


@pytest.mark.parametrize(("identity", "bound"), kernels.IDENTITIES, ids=lambda x: getattr(x, "__name__", ""))
def test_both_sides_agree(identity, bound):
    assert identity() <= bound


def test_the_largest_of_errors_is_nan_if_one_is():
    assert math.isnan(largest(0.0, math.nan, 1.0))


@pytest.mark.parametrize("module", [exact, families, kernels, newton, subsampled_newton])
def test_identities_fail_where_an_error_is_nan(module, monkeypatch):
    monkeypatch.setattr(module, "relative_error", lambda found, expected: math.nan)
    measured = [(f, bound) for f, bound in module.IDENTITIES if "relative_error" in f.__code__.co_names]

    passed = [f.__name__ for f, bound in measured if f() <= bound]

    assert measured
    assert passed == []

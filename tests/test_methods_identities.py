"""Identities across methods that have no test file of their own: kernels that are methods themselves."""

import pytest

from identities import kernels


@pytest.mark.parametrize(("identity", "bound"), kernels.IDENTITIES, ids=lambda x: getattr(x, "__name__", ""))
def test_both_sides_agree(identity, bound):
    assert identity() <= bound

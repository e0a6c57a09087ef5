"""Which methods do not see affine changes of the coordinates, and which do."""

import pytest

from identities import invariance


@pytest.mark.parametrize("name", invariance.INVARIANT)
def test_steps_do_not_depend_on_coordinates(name):
    step, kind, bound = invariance.INVARIANT[name]

    assert invariance.affine_error(step, kind) <= bound


@pytest.mark.parametrize("name", invariance.NOT_INVARIANT)
def test_steps_depend_on_coordinates(name):
    step, kind = invariance.NOT_INVARIANT[name]

    assert invariance.affine_error(step, kind) > 1e-2

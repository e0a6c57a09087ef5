"""Large matrices on a device go through the vendor's libraries; in emulation through stand-ins for these."""

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status

import backends
import emulation
import oracle
from cases import spd

pytestmark = pytest.mark.emulated
LARGE = 512


@pytest.fixture
def emu():
    return backends.Device("emu", emulation.load("_emu"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [LARGE - 1, LARGE, LARGE + 9])
def test_large_inverses(emu, rng, dtype, n):
    C = spd(rng, n, dtype)
    spoiled = np.tril(C) + np.triu(np.full_like(C, np.nan), 1)

    result = emu.damped_inverse([spoiled, C[:3, :3]], 0.1)

    assert result.ok.all()
    assert oracle.relative_error(result.inverse[0], oracle.damped_inverse(C, 0.1)) < oracle.tolerance(dtype, 100)
    assert np.array_equal(result.inverse[0], result.inverse[0].T)
    assert np.isclose(result.log_det[0], oracle.log_det(C, 0.1), atol=n * np.finfo(dtype).eps)
    assert np.array_equal(result.inverse[1], emu.damped_inverse(C[:3, :3], 0.1).inverse)


def test_statuses_of_large_matrices(emu, rng):
    good = spd(rng, LARGE, np.float64)
    indefinite, nan = good.copy(), good.copy()
    indefinite[40, 40], nan[300, 2] = -1, np.nan
    out = [np.full_like(good, 7.0) for _ in range(4)]

    result = emu.damped_inverse(
        [indefinite, good, nan, good], np.array([0.1, 0.1, 0.1, -1.0]), on_failure="keep", out=out
    )

    assert result.status.tolist() == [
        Status.NOT_POSITIVE_DEFINITE,
        Status.OK,
        Status.NOT_FINITE,
        Status.INVALID_PARAMETER,
    ]
    assert all((x == 7).all() for x in (out[0], out[2], out[3]))
    with pytest.raises(cb.NotPositiveDefiniteError, match=r"factors\[1\] .* leading minor of order 41 is not positive"):
        emu.damped_inverse([good, indefinite], 0.1, on_failure="raise")


def test_the_ladder_goes_on_where_the_library_failed(emu):
    C = np.diag(np.ones(LARGE, np.float32))
    C[5, 5] = -1e-4

    result = emu.damped_inverse(C, 0.0)

    assert result.status == Status.JITTERED
    assert oracle.residual(C, float(result.jitter), result.inverse) < 1e-2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_eigenbases(emu, rng, dtype):
    n = 130
    C = spd(rng, n, dtype)
    spoiled = np.tril(C) + np.triu(np.full_like(C, np.nan), 1)
    nan = C.copy()
    nan[n - 1, 3] = np.nan

    result = emu.eigenbasis([spoiled, nan, 0 * C, C[:3, :3]])

    V, w = np.float64(result.vectors[0]), np.float64(result.values[0])
    assert result.status.tolist() == [Status.OK, Status.NOT_FINITE, Status.OK, Status.OK]
    assert np.linalg.norm(oracle.symmetric(C) @ V - V * w) < oracle.tolerance(dtype) * np.linalg.norm(C)
    assert np.linalg.norm(V.T @ V - np.eye(n)) < n * oracle.tolerance(dtype)
    assert np.isnan(result.vectors[1]).all()
    assert not result.values[2].any()
    assert np.array_equal(result.vectors[3], emu.eigenbasis(C[:3, :3]).vectors)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
def test_large_products_of_any_layout(emu, rng, dtype, layout):
    m, n = LARGE, LARGE + 13
    V, A, G = (layout(rng.standard_normal(shape).astype(dtype)) for shape in [(m, n), (n, n), (m, m)])
    out = np.zeros((m, n + 3), dtype)[:, :n]

    P = emu.precondition(V, A, G)
    into = emu.precondition(np.ascontiguousarray(V), A, G, out=out)

    assert oracle.relative_error(P, oracle.precondition(V, A, G)) < oracle.tolerance(dtype)
    assert np.array_equal(into, P)


def test_strides_that_no_library_takes_are_multiplied_here(emu, rng):
    n = LARGE
    V, A, G = (rng.standard_normal((n, 2 * n))[:, ::2] for _ in range(3))

    assert oracle.relative_error(emu.precondition(V, A, G), oracle.precondition(V, A, G)) < oracle.tolerance(np.float64)


def test_the_kernels_around_the_library_are_clean(rng):
    module = emulation.load("_emu_checked")
    checked = backends.Device("emu-checked", module)
    module.count(True)

    result = checked.damped_inverse(
        spd(rng, LARGE, np.float32), 0.1, on_failure="keep", out=np.zeros((LARGE, LARGE), np.float32)
    )

    module.count(False)
    assert result.ok
    assert any("in load_shifted<float>" in count[0] for count in module.take_counts())

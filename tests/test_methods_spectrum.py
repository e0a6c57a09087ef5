"""Spectra: exact ones, Lanczos and its breakdown, quadrature, bulk and edges, products, the plot, arguments."""

import builtins
import copy

import numpy as np
import pytest

from curvblas import Status
from curvblas.methods import spectrum

from identities.spectrum import IDENTITIES
from oracle.methods_spectrum import density, symmetric


@pytest.mark.parametrize(("identity", "bound"), IDENTITIES, ids=[f.__name__ for f, _ in IDENTITIES])
def test_identity_holds(identity, bound):
    assert identity() <= bound


class TestLanczos:
    def test_finds_the_edges_of_a_spectrum(self, rng):
        values = np.append(np.linspace(-1, 1, 297), [-9.0, 8.0, 10.0])
        H = symmetric(rng, values)

        run = spectrum.lanczos(lambda v: H @ v, rng.standard_normal(300), 60)

        assert np.allclose(run.values[[0, -2, -1]], [-9, 8, 10], rtol=1e-12)

    def test_tridiagonal_is_the_matrix_in_the_basis(self, rng):
        H = symmetric(rng, rng.standard_normal(40))

        run = spectrum.lanczos(lambda v: H @ v, rng.standard_normal(40), 15)

        T = np.diag(run.diagonal) + np.diag(run.off_diagonal, 1) + np.diag(run.off_diagonal, -1)
        assert np.allclose(run.basis @ run.basis.T, np.eye(15), atol=1e-14)
        assert np.allclose(run.basis @ H @ run.basis.T, T, atol=1e-13)

    def test_basis_stays_orthonormal_where_values_have_converged(self, rng):
        H = symmetric(rng, np.geomspace(1e-6, 1e3, 100))

        loss = {
            how: np.abs(run.basis @ run.basis.T - np.eye(90)).max()
            for how in ("full", "none")
            if (run := spectrum.lanczos(lambda v: H @ v, np.ones(100), 90, reorthogonalize=how)).ok
        }

        assert loss["full"] < 1e-13
        assert loss["none"] > 0.5

    def test_without_projections_values_come_as_ghosts_whose_weights_add_up(self, rng):
        H = symmetric(rng, np.append(np.linspace(0, 1, 99), 50.0))

        run = spectrum.lanczos(lambda v: H @ v, np.ones(100), 90, reorthogonalize="none")

        ghosts = np.abs(run.values - 50) < 1e-8
        expected = spectrum.lanczos(lambda v: H @ v, np.ones(100), 90)
        assert ghosts.sum() > 1
        assert np.isclose(run.weights[ghosts].sum(), expected.weights[-1], rtol=1e-8)

    def test_breakdown_ends_in_an_invariant_space(self):
        run = spectrum.lanczos(lambda v: np.repeat([0.0, 2.0, 3.0], [6, 3, 1]) * v, np.ones(10), 10)

        assert run.is_invariant
        assert np.allclose(run.values, [0, 2, 3], atol=1e-13)
        assert np.allclose(run.weights, [0.6, 0.3, 0.1], rtol=1e-12)

    @pytest.mark.parametrize("unit", [1e-150, 1.0, 1e150])
    def test_has_no_unit(self, rng, unit):
        H = symmetric(rng, np.arange(1.0, 21))

        run = spectrum.lanczos(lambda v: unit * (H @ v), unit * np.ones(20), 100)

        assert len(run.values) == 20
        assert np.allclose(run.values / unit, np.arange(1, 21), rtol=1e-12)

    def test_of_one_parameter(self):
        run = spectrum.lanczos(lambda v: -3 * v, np.array([2.0]), 5)

        assert run.is_invariant
        assert run.values.tolist() == [-3.0]

    def test_of_the_zero_matrix_takes_one_step(self):
        run = spectrum.lanczos(lambda v: 0 * v, np.ones(7), 5)

        assert run.is_invariant
        assert run.values.tolist() == [0.0]

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_product_that_is_not_finite_is_a_status(self, bad):
        run = spectrum.lanczos(lambda v: np.where(np.arange(4) == 2, bad, v), np.ones(4), 3)

        assert run.status == Status.NOT_FINITE
        assert not run.ok
        assert np.isnan(run.values).all()

    def test_start_that_is_not_finite_is_a_status(self):
        assert spectrum.lanczos(lambda v: v, np.array([1.0, np.nan]), 2).status == Status.NOT_FINITE

    def test_survives_a_product_that_writes_to_its_argument(self):
        def product(v):
            v *= np.array([1.0, 2.0, 4.0])
            return v

        assert np.allclose(spectrum.lanczos(product, np.ones(3), 3).values, [1, 2, 4], rtol=1e-13)


class TestQuadrature:
    def test_of_a_projector_has_two_atoms_with_the_right_weights(self):
        diagonal = np.repeat([0.0, 1.0], [70, 30])

        found = spectrum.quadrature(lambda v: diagonal * v, 100, steps=20)

        assert np.allclose(found.nodes, [0, 1], atol=1e-13)
        assert np.allclose(found.weights, [0.7, 0.3], rtol=1e-12)

    def test_trace_lies_within_three_standard_errors(self, rng):
        H = symmetric(rng, rng.uniform(0, 4, 200))
        off_diagonal = np.linalg.norm(H) ** 2 - np.sum(np.diag(H) ** 2)

        found = spectrum.quadrature(lambda v: H @ v, 200, steps=30, draws=50)

        assert np.isclose(found.weights.sum(), 1, rtol=1e-13)
        assert abs(found.trace(lambda x: x) - np.trace(H)) < 3 * np.sqrt(2 * off_diagonal / 50)

    def test_trace_of_the_logarithm_is_that_of_the_determinant(self, rng):
        H = symmetric(rng, np.linspace(1, 4, 100))

        found = spectrum.quadrature(lambda v: H @ v, 100, steps=30, draws=100)

        assert np.isclose(found.trace(np.log), np.linalg.slogdet(H)[1], rtol=0.02)

    def test_density_of_many_draws_is_that_of_the_eigenvalues(self, rng):
        values, grid = np.append(rng.standard_normal(198), [8.0, 8.0]), np.linspace(-5, 10, 100)
        H = symmetric(rng, values)

        found = spectrum.quadrature(lambda v: H @ v, 200, steps=80, draws=100).density(grid, 0.5)

        expected = density(values, grid, 0.5)
        assert np.abs(found - expected).max() < 0.05 * expected.max()

    def test_is_reproducible(self, rng):
        H = symmetric(rng, np.arange(50.0))

        draws = [spectrum.quadrature(lambda v: H @ v, 50, steps=9, seed=s) for s in (3, 3, 4)]

        assert draws[0].nodes.tobytes() == draws[1].nodes.tobytes()
        assert draws[0].nodes.tobytes() != draws[2].nodes.tobytes()

    def test_bad_draw_is_reported_and_left_out(self):
        calls = []

        def product(v):
            calls.append(0)
            return np.full(4, np.nan) if len(calls) == 1 else 2 * v

        found = spectrum.quadrature(product, 4, draws=2)

        assert found.status.tolist() == [Status.NOT_FINITE, Status.OK]
        assert found.nodes.tolist() == [2.0]
        assert np.isclose(found.trace(lambda x: x), 8)

    def test_without_a_good_draw_is_nan(self):
        found = spectrum.quadrature(lambda v: v * np.nan, 4)

        assert not found.ok.any()
        assert np.isnan(found.trace(np.square))
        assert np.isnan(found.density(np.zeros(2), 1.0)).all()


class TestExact:
    def test_spectrum_is_that_of_the_symmetric_part(self, rng):
        H = rng.standard_normal((30, 30))

        assert np.allclose(spectrum.exact_spectrum(H), np.linalg.eigvalsh((H + H.T) / 2), atol=1e-13)

    @pytest.mark.parametrize("shape", [(5, 20), (20, 5), (7, 7), (1, 4), (4, 1)])
    def test_gram_spectrum_is_that_of_the_explicit_matrix(self, rng, shape):
        J = rng.standard_normal(shape)

        expected = np.linalg.eigvalsh(J.T @ J / len(J))

        assert np.allclose(spectrum.gram_spectrum(J), expected, atol=1e-13)

    def test_gram_spectrum_of_nan_is_nan(self):
        assert np.isnan(spectrum.gram_spectrum(np.array([[1.0, np.nan, 2.0]]))).all()

    def test_arrays_of_another_library_come_back_as_theirs(self, rng):
        torch = pytest.importorskip("torch")
        J = torch.from_numpy(rng.standard_normal((3, 6)))

        assert isinstance(spectrum.gram_spectrum(J), torch.Tensor)


class TestHessianProduct:
    def test_is_the_hessian_of_a_quartic(self, rng):
        x, v = rng.standard_normal((2, 8))

        product = spectrum.hessian_product(lambda x: x**3 + x.sum(), x)

        assert np.allclose(product(v), 3 * x**2 * v + v.sum(), atol=1e-8)

    def test_does_not_depend_on_the_length_of_the_vector(self, rng):
        x, v = rng.standard_normal((2, 8))
        product = spectrum.hessian_product(lambda x: x**3, x)

        assert np.allclose(product(1e9 * v) / 1e9, product(v), rtol=1e-8)

    def test_of_zero_is_zero(self):
        assert not spectrum.hessian_product(lambda x: x**3, np.ones(3))(np.zeros(3)).any()

    def test_takes_gradients_that_return_one_array_again_and_again(self):
        kept = np.empty(3)

        product = spectrum.hessian_product(lambda x: np.multiply(2, x, out=kept), np.ones(3))

        assert np.allclose(product(np.ones(3)), 2)


class TestBulk:
    def test_counts_outliers_and_shares_near_zero(self):
        values = np.concatenate(
            [np.zeros(80), [-0.5], np.full(9, 1e-4), np.linspace(0.1, 0.2, 5), np.linspace(6, 10, 5)]
        )

        found = spectrum.bulk_and_edges(values, taus=(1e-3, 1e-6))

        assert found.outliers == 5
        assert found.near_zero == {1e-3: 0.89, 1e-6: 0.8}
        assert (found.lowest, found.highest, found.negative) == (-0.5, 10.0, 1)

    @pytest.mark.parametrize(("values", "outliers"), [([0.0, 0.0], 0), ([-1.0, 0.0], 0), ([3.0], 1)])
    def test_of_few_values(self, values, outliers):
        assert spectrum.bulk_and_edges(np.array(values)).outliers == outliers

    def test_of_nan_is_nan(self):
        found = spectrum.bulk_and_edges(np.array([1.0, np.nan]))

        assert np.isnan(found.highest)
        assert np.isnan(list(found.near_zero.values())).all()


class TestPlot:
    def test_peaks_at_the_eigenvalues(self):
        pytest.importorskip("matplotlib")

        axes = spectrum.plot_density(np.repeat([0.0, 10.0], [9, 1]), label="H")

        grid, heights = axes.lines[0].get_data()
        assert abs(grid[np.argmax(np.where(grid > 5, heights, 0))] - 10) < 0.02
        assert axes.get_yscale() == "log"

    def test_without_matplotlib_ends_in_a_sentence(self, monkeypatch):
        imported = builtins.__import__

        def without(name, *rest):
            if name.startswith("matplotlib"):
                raise ModuleNotFoundError(name)
            return imported(name, *rest)

        monkeypatch.setattr(builtins, "__import__", without)
        with pytest.raises(ModuleNotFoundError, match="drawing needs matplotlib: pip install"):
            spectrum.plot_density(np.ones(3))

    def test_refuses_what_is_not_finite(self):
        with pytest.raises(ValueError, match="all finite"):
            spectrum.plot_density(np.array([1.0, np.nan]))


class TestArguments:
    @pytest.mark.parametrize(
        ("call", "error", "words"),
        [
            (lambda: spectrum.lanczos(np.ones((2, 3)), np.ones(4), 2), ValueError, r"shape \(N, 4\), got \(2, 3\)"),
            (lambda: spectrum.lanczos(np.ones((0, 3)), np.ones(3), 2), ValueError, "N >= 1"),
            (lambda: spectrum.lanczos(lambda v: v[:2], np.ones(3), 2), ValueError, r"shape \(3,\), got \(2,\)"),
            (lambda: spectrum.lanczos(lambda v: v, np.zeros(3), 2), ValueError, "not 0"),
            (lambda: spectrum.lanczos(lambda v: v, np.ones(3), 0), ValueError, "steps must be an int >= 1"),
            (lambda: spectrum.lanczos(lambda v: v, np.ones(3), 2, reorthogonalize="half"), ValueError, "'none', got"),
            (lambda: spectrum.quadrature(lambda v: v, 3, draws=1.5), TypeError, "draws must be an int"),
            (lambda: spectrum.exact_spectrum(np.ones((2, 3))), ValueError, r"\(2, 2\), got \(2, 3\)"),
            (lambda: spectrum.gram_spectrum(np.ones((0, 3))), ValueError, "rows and columns"),
            (lambda: spectrum.gram_spectrum(np.ones((2, 3), complex)), TypeError, "real numbers"),
            (lambda: spectrum.hessian_product(lambda x: x, np.ones(2), step=0.0), ValueError, "step must be"),
            (lambda: spectrum.bulk_and_edges(np.ones(2), taus=(2.0,)), ValueError, r"taus\[0\] must be"),
            (lambda: spectrum.bulk_and_edges(np.ones(0)), ValueError, "must not be empty"),
        ],
    )
    def test_that_are_wrong_end_in_a_sentence(self, call, error, words):
        with pytest.raises(error, match=words):
            call()

    @pytest.mark.emulated
    @pytest.mark.parametrize("backend", ["emu"], indirect=True)
    def test_of_a_device_are_refused(self, backend):
        with pytest.raises(TypeError, match="must be in the CPU's memory"):
            spectrum.gram_spectrum(backend.to_device(np.ones((2, 3))))

    def test_results_can_be_copied(self):
        run = spectrum.lanczos(lambda v: v, np.ones(3), 2)

        assert copy.deepcopy(run).values.tolist() == run.values.tolist()


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1e307])
def test_eigenvalues_do_not_see_the_scale_of_the_matrix(scale):
    H = np.array([[2.0, 1.0], [1.0, 2.0]])

    assert spectrum.exact_spectrum(scale * H) / scale == pytest.approx([1, 3])


def test_gram_eigenvalues_that_overflow_are_infinite():
    values = spectrum.gram_spectrum(np.diag([1e100, 1e200]))

    assert values == pytest.approx([5e199, np.inf])


@pytest.mark.parametrize("scale", [1e-200, 1e-300, 1e200, 1e300])
def test_hessian_products_do_not_see_the_scale_of_the_vector(scale):
    product = spectrum.hessian_product(lambda z: z, np.zeros(2))

    assert product(scale * np.ones(2)) / scale == pytest.approx([1, 1])


@pytest.mark.parametrize(("seed", "error"), [(-1, ValueError), (0.5, TypeError)])
def test_quadrature_refuses_what_is_no_seed(seed, error):
    with pytest.raises(error, match="quadrature: seed must be an int >= 0, got"):
        spectrum.quadrature(lambda v: v, 4, seed=seed)


def test_taus_that_are_no_sequence_are_refused():
    with pytest.raises(TypeError, match="bulk_and_edges: taus must be a sequence of numbers in"):
        spectrum.bulk_and_edges(np.ones(5), taus=0.1)

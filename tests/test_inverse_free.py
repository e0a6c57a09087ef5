"""Inverse-free K-FAC: its fixed point, its formula, what it leaves alone."""

import numpy as np
import pytest

import curvblas as cb

import oracle
from cases import spd

NAMES = ("K", "C", "A", "G", "K_momentum", "C_momentum")


def layer(rng, p, q, dtype=np.float64):
    """Return the arguments of one layer in a general position."""
    K, C = (np.eye(n) + 0.1 * rng.standard_normal((n, n)) for n in (p, q))
    m_K, m_C = (0.1 * rng.standard_normal((n, n)) for n in (p, q))
    return [x.astype(dtype) for x in (K, C, spd(rng, p, dtype), spd(rng, q, dtype), m_K, m_C)]


def fresh(*given):
    """Return copies, since four of the arguments are written."""
    return [x.copy() for x in given]


class TestFormula:
    @pytest.mark.parametrize("rule", ["singd", "ikfac"])
    @pytest.mark.parametrize("momentum", [0.0, 0.7])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("sizes", [(1, 1), (5, 3), (40, 70)])
    def test_all_four_results(self, backend, rng, rule, momentum, dtype, sizes):
        given = layer(rng, *sizes, dtype)
        options = {"damping": 0.2, "step": 0.3, "momentum": momentum, "rule": rule}
        expected = oracle.update_inverse_free(*given, **options)

        backend.update_inverse_free(*given, **options)

        for x, reference in zip([given[0], given[1], given[4], given[5]], expected, strict=True):
            assert oracle.relative_error(x, reference) < oracle.tolerance(dtype, 10)

    def test_large_layers(self, cpu, rng):
        given = layer(rng, 500, 30, np.float64)
        expected = oracle.update_inverse_free(*given, damping=0.2, step=0.1)

        cpu.update_inverse_free(*given, damping=0.2, step=0.1)

        assert oracle.relative_error(given[0], expected[0]) < 1e-13
        assert oracle.relative_error(given[1], expected[1]) < 1e-13

    def test_nothing_is_read_of_a_momentum_that_is_not_kept(self, backend, rng):
        given = layer(rng, 4, 3)
        expected = oracle.update_inverse_free(*given, damping=0.2, step=0.1, momentum=0.0)
        given[4][...] = given[5][...] = np.nan

        backend.update_inverse_free(*given, damping=0.2, step=0.1, momentum=0.0)

        assert np.allclose(given[0], expected[0])

    @pytest.mark.parametrize("momentum", [0.0, 0.7])
    def test_copies_leave_the_arguments_alone(self, backend, rng, momentum):
        given = layer(rng, 5, 3, np.float32)
        before = fresh(*given)
        for x in given:
            x.setflags(write=False)
        options = {"damping": 0.2, "step": 0.3, "momentum": momentum}

        copies = backend.update_inverse_free(*[[x] for x in given], **options, copy=True)

        in_place = backend.update_inverse_free(*fresh(*before), **options)
        assert all(np.array_equal(x, y) for x, y in zip(given, before, strict=True))
        assert all(np.array_equal(x[0], y) for x, y in zip(copies, in_place, strict=True))


class TestMathematics:
    def test_ikfac_ends_at_the_damped_inverse(self, cpu, rng):
        K, C, A, G, m_K, m_C = layer(rng, 6, 4)

        for _ in range(400):
            cpu.update_inverse_free(K, C, A, G, m_K, m_C, damping=0.1, step=0.3, momentum=0.0, rule="ikfac")

        assert np.allclose(K @ K.T, np.linalg.inv(A + 0.1 * np.eye(6)), rtol=1e-10)
        assert np.allclose(C @ C.T, np.linalg.inv(G + 0.1 * np.eye(4)), rtol=1e-10)

    def test_one_step_follows_the_inverse_of_the_moving_average(self, cpu, rng):
        K, C, A, G, m_K, m_C = layer(rng, 6, 4)
        errors = []

        for step in (1e-2, 1e-3):
            new_K, new_C = K.copy(), C.copy()
            cpu.update_inverse_free(new_K, new_C, A, G, m_K, m_C, damping=0.1, step=step, momentum=0.0, rule="ikfac")
            average = (1 - step) * np.linalg.inv(K @ K.T) + step * (A + 0.1 * np.eye(6))
            errors.append(np.linalg.norm(new_K @ new_K.T - np.linalg.inv(average)))

        assert errors[1] < errors[0] / 80  # of second order

    def test_singd_stays_where_the_product_is_whitened(self, cpu):
        """With K^T A K = I, C^T G C = I and no damping the brackets vanish."""
        K, C, A, G = np.diag([0.5, 1.0]), np.diag([2.0, 4.0, 1.0]), np.diag([4.0, 1.0]), np.diag([0.25, 0.0625, 1.0])
        before = K.copy(), C.copy()

        cpu.update_inverse_free(K, C, A, G, np.zeros((2, 2)), np.zeros((3, 3)), damping=0.0, step=0.3)

        assert np.allclose(K, before[0])
        assert np.allclose(C, before[1])


class TestGroups:
    def test_layers_are_the_same_alone_and_in_a_group(self, backend, rng):
        layers = [layer(rng, p, q, np.float32) for p, q in [(1, 4), (33, 5), (7, 7), (0, 3)]]
        group, alone = [fresh(*x) for x in layers], [fresh(*x) for x in layers]
        lists = [[x[k] for x in group] for k in range(6)]

        backend.update_inverse_free(*lists, damping=0.1)
        for x in alone:
            backend.update_inverse_free(*x, damping=0.1)

        assert all(np.array_equal(x, y) for a, b in zip(group, alone, strict=True) for x, y in zip(a, b, strict=True))

    def test_a_stack_has_numbers_of_its_own_for_each_layer(self, backend, rng):
        layers = [layer(rng, 5, 3) for _ in range(3)]
        stacked = [np.stack([x[k] for x in layers]) for k in range(6)]
        options = {"damping": np.array([0.1, 0.2, 0.3]), "step": np.array([0.1, 0.0, 0.2])}

        backend.update_inverse_free(*stacked, **options)

        for k, x in enumerate(layers):
            expected = oracle.update_inverse_free(*x, damping=options["damping"][k], step=options["step"][k])
            assert np.allclose(stacked[0][k], expected[0])
            assert np.allclose(stacked[5][k], expected[3])

    def test_nan_and_bad_numbers_stay_within_their_layer(self, backend, rng):
        layers = [layer(rng, 5, 3) for _ in range(5)]
        layers[1][2][0, 0] = np.nan
        lists = [[x[k] for x in layers] for k in range(6)]
        bad = np.array([0.1, 0.1, -1.0, np.nan, 0.1])

        backend.update_inverse_free(*lists, damping=bad, step=np.array([0.1, 0.1, 0.1, 0.1, np.inf]))

        assert [np.isnan(x[0]).any() for x in layers] == [False, True, True, True, True]
        assert [np.isnan(x[1]).any() for x in layers] == [False, True, True, True, True]

    def test_the_same_bits_for_any_number_of_threads(self, cpu, rng):
        given = [layer(rng, p, q, np.float32) for p, q in [(500, 30), (40, 400), (8, 8)]]
        results = []

        for threads in (1, 2, 3, 7):
            cb.set_num_threads(threads)
            copies = [fresh(*x) for x in given]
            cpu.update_inverse_free(*[[x[k] for x in copies] for k in range(6)], damping=0.1)
            results.append([x[0] for x in copies] + [x[1] for x in copies])

        assert all(np.array_equal(x, y) for other in results[1:] for x, y in zip(results[0], other, strict=True))


class TestArguments:
    @pytest.mark.parametrize(
        ("changed", "error", "message"),
        [
            ({"rule": "kfac"}, ValueError, 'rule must be "singd" or "ikfac", got "kfac"'),
            ({"rule": None}, TypeError, "rule must be a str, got NoneType"),
            ({"copy": 1}, TypeError, "copy must be True or False, got int"),
            ({"momentum": 1.5}, ValueError, r"momentum must be .*\[0, 1\].*got 1.5"),
            ({"damping": -1.0}, ValueError, "damping must be .*got -1"),
            ({"step": float("nan")}, ValueError, "step must be .*got nan"),
            ({"A": np.eye(3)}, ValueError, r"A must have shape \(2, 2\) like K, got \(3, 3\)"),
            ({"C_momentum": np.eye(2)}, ValueError, r"C_momentum must have shape \(3, 3\) like C, got \(2, 2\)"),
            ({"G": np.eye(3, dtype="f")}, TypeError, "G must be float64 like K, got float32"),
        ],
    )
    def test_are_named_and_nothing_is_written(self, changed, error, message):
        given = dict(
            zip(NAMES, [np.eye(2), np.eye(3), np.eye(2), np.eye(3), np.zeros((2, 2)), np.zeros((3, 3))], strict=True)
        )

        with pytest.raises(error, match=f"update_inverse_free: {message}"):
            cb.update_inverse_free(**{**given, **changed})

        assert np.array_equal(given["K"], np.eye(2))
        assert np.array_equal(given["K_momentum"], np.zeros((2, 2)))

    def test_memory_that_is_written_belongs_to_one_argument(self):
        K, C, m = np.eye(2), np.eye(2), np.zeros((2, 2))

        with pytest.raises(ValueError, match="share memory"):
            cb.update_inverse_free(K, C, np.eye(2), np.eye(2), m, m)
        with pytest.raises(ValueError, match="share memory"):
            cb.update_inverse_free(K, C, K, np.eye(2), m, m.copy())

    def test_read_only_roots_are_refused(self):
        K = np.eye(2)
        K.setflags(write=False)

        with pytest.raises(ValueError, match="K must be writable, got a read-only array: copy=True returns new roots"):
            cb.update_inverse_free(K, np.eye(2), np.eye(2), np.eye(2), np.zeros((2, 2)), np.zeros((2, 2)))

"""Packing: lower triangles of a group in one flat array, and back."""

import numpy as np
import pytest

import curvblas as cb

import oracle

SIZES = [0, 1, 2, 31, 32, 33, 65, 128, 129, 257]
DTYPES = [np.float32, np.float64]
all_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def matrices(rng, sizes, dtype=np.float64):
    return [rng.standard_normal((n, n)).astype(dtype) for n in sizes]


def packed(group):
    """What NumPy makes of a list of matrices."""
    return np.concatenate([oracle.pack_symmetric(C) for C in group])


def symmetric(C):
    return oracle.symmetric(C).astype(C.dtype)


def views(C):
    """The same matrix in memory of other kinds."""
    n = len(C)
    room = np.zeros((4, 3 * n, 2 * n + 1), C.dtype)
    strided, reversed_, offset = room[0, : 3 * n : 3, 1::2], room[1, n - 1 :: -1, n - 1 :: -1], room[2, :n, 1 : n + 1]
    if n:
        for view in (strided, reversed_, offset):
            view[...] = C
    else:
        strided = reversed_ = offset = C
    return {"columns": np.asfortranarray(C), "strided": strided, "reversed": reversed_, "offset": offset}


class TestPack:
    @all_dtypes
    @pytest.mark.parametrize("n", SIZES)
    def test_one_matrix_gives_numpys_lower_triangle(self, backend, rng, n, dtype):
        (C,) = matrices(rng, [n], dtype)

        flat = backend.pack_symmetric(C)

        assert flat.dtype == dtype
        assert np.array_equal(flat, C[np.tril_indices(n)])

    def test_a_ragged_group_is_one_array(self, backend, rng):
        group = matrices(rng, SIZES, np.float32)

        assert np.array_equal(backend.pack_symmetric(tuple(group)), packed(group))

    @pytest.mark.parametrize("n", [3, 33, 130])
    def test_a_stack_is_the_list_of_its_matrices(self, backend, rng, n):
        stack = rng.standard_normal((3, 2, n, n))

        assert np.array_equal(backend.pack_symmetric(stack), packed(stack.reshape(6, n, n)))
        assert np.array_equal(
            backend.pack_symmetric(stack.transpose(1, 0, 3, 2)),
            packed(stack.transpose(1, 0, 3, 2).reshape(6, n, n)),
        )

    @all_dtypes
    @pytest.mark.parametrize("n", [1, 2, 33, 200])
    def test_any_strides(self, backend, rng, n, dtype):
        (C,) = matrices(rng, [n], dtype)

        for view in views(C).values():
            view.setflags(write=False)
            assert np.array_equal(backend.pack_symmetric(view), C[np.tril_indices(n)])

    def test_only_the_lower_triangle_is_read(self, backend, rng):
        (C,) = matrices(rng, [70])
        expected = packed([C])
        C[np.triu_indices(70, 1)] = np.nan

        assert np.array_equal(backend.pack_symmetric(C), expected)

    def test_out_receives_the_result_whatever_its_stride(self, backend, rng):
        group = matrices(rng, [5, 140, 0, 3])
        expected = packed(group)

        for out in (np.zeros(len(expected)), np.zeros(3 * len(expected))[::3], np.zeros(len(expected))[::-1]):
            assert backend.pack_symmetric(group, out=out) is out
            assert np.array_equal(out, expected)

    def test_nothing_gives_an_empty_array(self, backend):
        assert backend.pack_symmetric([]).shape == (0,)
        assert backend.pack_symmetric(np.zeros((3, 0, 0))).shape == (0,)
        assert backend.pack_symmetric(np.zeros((0, 3, 3), np.float32)).dtype == np.float32


class TestUnpack:
    @all_dtypes
    @pytest.mark.parametrize("n", SIZES)
    def test_undoes_pack(self, backend, rng, n, dtype):
        (C,) = matrices(rng, [n], dtype)

        back = backend.unpack_symmetric(backend.pack_symmetric(C), n)

        assert back.tobytes() == symmetric(C).tobytes()

    def test_a_list_of_sizes_gives_a_list(self, backend, rng):
        group = matrices(rng, SIZES, np.float32)

        back = backend.unpack_symmetric(packed(group), tuple(np.array(SIZES)))

        assert isinstance(back, list)
        assert all(np.array_equal(a, symmetric(C)) for a, C in zip(back, group, strict=True))

    @all_dtypes
    @pytest.mark.parametrize("n", [1, 2, 33, 200])
    def test_out_of_any_strides(self, backend, rng, n, dtype):
        (C,) = matrices(rng, [n], dtype)

        for out in views(np.zeros_like(C)).values():
            assert backend.unpack_symmetric(packed([C]), n, out=out) is out
            assert np.array_equal(out, symmetric(C))

    @pytest.mark.parametrize("n", [3, 33, 130])
    def test_an_int_is_the_size_of_all_matrices_of_a_stack(self, backend, rng, n):
        stack = rng.standard_normal((2, 3, n, n))
        flat = backend.pack_symmetric(stack)

        out = backend.unpack_symmetric(flat, n, out=np.zeros((2, 3, n, n)))
        swapped = backend.unpack_symmetric(flat, n, out=np.zeros((3, 2, n, n)).transpose(1, 0, 2, 3))

        expected = np.tril(stack) + np.tril(stack, -1).swapaxes(-1, -2)
        assert np.array_equal(out, expected)
        assert np.array_equal(swapped, expected)

    @pytest.mark.parametrize("n", [2, 33, 200])
    def test_a_strided_flat_array(self, backend, rng, n):
        (C,) = matrices(rng, [n])
        flat = packed([C])

        for view in (np.repeat(flat, 2)[::2], flat[::-1].copy()[::-1]):
            view.setflags(write=False)
            assert np.array_equal(backend.unpack_symmetric(view, n), symmetric(C))

    def test_nan_and_infinity_are_numbers_like_others(self, backend):
        flat = np.array([np.nan, -0.0, np.inf])

        assert backend.unpack_symmetric(flat, 2).tobytes() == flat[[0, 1, 1, 2]].tobytes()

    def test_no_sizes_give_no_matrices(self, backend):
        assert backend.unpack_symmetric(np.zeros(0), []) == []
        assert backend.unpack_symmetric(np.zeros(0), 0).shape == (0, 0)


@all_dtypes
def test_large_groups_have_the_same_bits_for_any_number_of_threads(rng, dtype):
    """Above 8 MiB the stores go past the caches."""
    sizes = [1000, 64, 1500, 333]
    group = matrices(rng, sizes, dtype)

    for threads in (1, 2, 3, 7):
        cb.set_num_threads(threads)
        flat = cb.pack_symmetric([*group, *group])
        back = cb.unpack_symmetric(flat, sizes * 2)

        assert np.array_equal(flat, packed([*group, *group]))
        assert all(np.array_equal(a, symmetric(C)) for a, C in zip(back, group * 2, strict=True))


@all_dtypes
def test_large_groups_may_begin_anywhere_in_a_cache_line(rng, dtype):
    n = 2100
    C = matrices(rng, [n], dtype)[0]
    room, square = np.zeros(n * (n + 1) // 2 + 2, dtype), np.zeros(n * n + 2, dtype)

    flat = cb.pack_symmetric(C, out=room[1:-1])
    back = cb.unpack_symmetric(flat, n, out=square[1:-1].reshape(n, n))

    assert np.array_equal(flat, packed([C]))
    assert np.array_equal(back, symmetric(C))
    assert not room[[0, -1]].any()
    assert not square[[0, -1]].any()


class TestWrongCalls:
    @pytest.mark.parametrize("length", [0, 9, 11])
    def test_another_length(self, length):
        with pytest.raises(ValueError, match=rf"out must have shape \(10,\), .* factors, got \({length},\)"):
            cb.pack_symmetric(np.eye(4), out=np.zeros(length))
        with pytest.raises(ValueError, match=rf"flat must have shape \(10,\), .* got \({length},\)"):
            cb.unpack_symmetric(np.zeros(length), 4)
        with pytest.raises(ValueError, match=rf"flat must have shape \(13,\), .* got \({length},\)"):
            cb.unpack_symmetric(np.zeros(length), [4, 2])
        with pytest.raises(ValueError, match=rf"flat must have shape \(20,\), .* out, got \({length},\)"):
            cb.unpack_symmetric(np.zeros(length), 4, out=np.zeros((2, 4, 4)))

    def test_flat_is_one_array_with_one_axis(self):
        with pytest.raises(ValueError, match=r"flat must have shape \(1,\), .* got \(1, 1\)"):
            cb.unpack_symmetric(np.zeros((1, 1)), 1)
        with pytest.raises(TypeError, match="flat must be one array, got list"):
            cb.unpack_symmetric([np.zeros(1)], 1)
        with pytest.raises(TypeError, match="out must be one array, got tuple"):
            cb.pack_symmetric(np.eye(1), out=(np.zeros(1),))

    @pytest.mark.parametrize("wrong", [True, np.True_, 2.0, np.float64(2), "2", None, np.zeros(3, int)])
    def test_sizes_that_are_no_integers(self, wrong):
        with pytest.raises(TypeError, match=r"sizes must be an int >= 0, or a list of them, got "):
            cb.unpack_symmetric(np.zeros(3), wrong)
        with pytest.raises(TypeError, match=r"sizes\[1\] must be an int >= 0, got "):
            cb.unpack_symmetric(np.zeros(3), [2, wrong])

    @pytest.mark.parametrize("wrong", [-1, 2**31, 2**70])
    def test_sizes_out_of_range(self, wrong):
        with pytest.raises(ValueError, match=rf"sizes\[0\] must be in 0 \.\.\. 2147483647, got {wrong}"):
            cb.unpack_symmetric(np.zeros(3), [wrong])

    def test_sizes_whose_lengths_no_integer_holds(self):
        with pytest.raises(ValueError, match=r"flat must have shape \(4611686018427387904,\)"):
            cb.unpack_symmetric(np.zeros(0), [2**31 - 1] * 8)

    def test_out_of_other_sizes_or_forms(self):
        with pytest.raises(ValueError, match=r"out must have shape \(\.\.\., 2, 2\) for sizes = 2, got \(3, 3\)"):
            cb.unpack_symmetric(np.zeros(3), 2, out=np.zeros((3, 3)))
        with pytest.raises(ValueError, match=r"out\[1\] must have shape \(1, 1\) for sizes\[1\] = 1, got \(2, 2\)"):
            cb.unpack_symmetric(np.zeros(4), [2, 1], out=[np.zeros((2, 2))] * 2)
        with pytest.raises(ValueError, match=r"out must have shape \(\.\.\., n, n\), got \(2, 3\)"):
            cb.unpack_symmetric(np.zeros(3), 2, out=np.zeros((2, 3)))
        with pytest.raises(ValueError, match="out must have one array for each of the 2 of sizes, got 1"):
            cb.unpack_symmetric(np.zeros(4), [2, 1], out=[np.zeros((2, 2))])
        with pytest.raises(TypeError, match="out must be a list of arrays like sizes"):
            cb.unpack_symmetric(np.zeros(3), [2], out=np.zeros((1, 2, 2)))

    def test_other_dtypes(self):
        with pytest.raises(TypeError, match="out must be float32 like factors, got float64"):
            cb.pack_symmetric(np.eye(2, dtype=np.float32), out=np.zeros(3))
        with pytest.raises(TypeError, match="out must be float64 like flat, got float32"):
            cb.unpack_symmetric(np.zeros(3), 2, out=np.zeros((2, 2), np.float32))
        with pytest.raises(TypeError, match="flat must be float32 or float64, got float16"):
            cb.unpack_symmetric(np.zeros(3, np.float16), 2)

    def test_shared_memory(self):
        memory = np.arange(9.0)
        with pytest.raises(ValueError, match="out is written and must not share memory with factors"):
            cb.pack_symmetric(memory.reshape(3, 3), out=memory[:6])
        with pytest.raises(ValueError, match="out is written and must not share memory with flat"):
            cb.unpack_symmetric(memory[:6], 3, out=memory.reshape(3, 3))

        assert np.array_equal(memory, np.arange(9.0))

    def test_read_only_out(self):
        flat = np.zeros(3)
        flat.setflags(write=False)
        with pytest.raises(ValueError, match="out must be writable"):
            cb.pack_symmetric(np.eye(2), out=flat)


@pytest.mark.parametrize("library", ["torch", "jax.numpy"])
def test_results_are_arrays_of_the_callers_library(library, rng):
    xp = pytest.importorskip(library)
    group = matrices(rng, [3, 2], np.float32)

    flat = cb.pack_symmetric([xp.asarray(C) for C in group])
    back = cb.unpack_symmetric(flat, [3, 2])

    assert type(flat) is type(back[0]) is type(xp.asarray(group[0]))
    assert np.array_equal(np.asarray(flat), packed(group))

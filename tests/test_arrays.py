"""Arrays from other libraries, and memory that is not what it seems."""

import array

import numpy as np
import pytest

import curvblas as cb


class Producer:
    """A CPU array of a library called `producer`, with nothing but DLPack."""

    def __init__(self, data, device=(1, 0), versioned=True):
        self.data, self.device, self.versioned = data, device, versioned

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **options):
        if not self.versioned and options:
            raise TypeError("__dlpack__() takes no keyword arguments")
        return self.data.__dlpack__(**options)


@pytest.fixture
def producer_library(monkeypatch):
    """Make the library of `Producer` importable: results are built through its from_dlpack."""
    import sys
    import types

    module = types.ModuleType("producer")
    module.from_dlpack = lambda array: Producer(np.from_dlpack(array))
    monkeypatch.setitem(sys.modules, "producer", module)
    monkeypatch.setattr(Producer, "__module__", "producer.arrays")


@pytest.mark.parametrize("versioned", [True, False])
def test_dlpack_arrays_are_read_and_results_returned_in_kind(producer_library, rng, versioned):
    C, rows = np.eye(3), rng.standard_normal((5, 3))
    expected = cb.update_factors(C.copy(), rows)
    factors = Producer(C, versioned=versioned)

    updated = cb.update_factors(factors, Producer(rows, versioned=versioned))
    result = cb.damped_inverse([factors], 0.1)

    assert updated is factors
    assert np.array_equal(C, expected)
    assert isinstance(result.inverse[0], Producer)
    assert isinstance(result.status, Producer)
    assert np.array_equal(result.inverse[0].data, cb.damped_inverse(C, 0.1).inverse)


def test_read_only_dlpack_arrays_are_not_written(producer_library):
    C = np.eye(3)
    C.setflags(write=False)

    with pytest.raises(
        ValueError, match="factors must be writable, got a read-only array: copy=True returns new factors"
    ):
        cb.update_factors(Producer(C), Producer(np.ones((2, 3))))
    updated = cb.update_factors(Producer(C), Producer(np.ones((2, 3))), copy=True)

    assert isinstance(updated, Producer)
    assert np.array_equal(C, np.eye(3))


@pytest.mark.skipif(cb.info()["backends"]["cuda"].startswith("usable"), reason="there is a CUDA device")
def test_arrays_on_a_device_without_a_backend_are_refused(producer_library):
    on_cuda = Producer(np.eye(3), device=(2, 0))

    with pytest.raises(
        TypeError,
        match=r"factors must be in the CPU's memory, since the CUDA backend is .*not .*; got",
    ):
        cb.damped_inverse(on_cuda, 0.1)
    with pytest.raises(TypeError, match=r"A_inv\[0\] must be in the CPU's memory like the rest of the call"):
        cb.precondition([Producer(np.eye(3))], [on_cuda], [Producer(np.eye(3))])


def test_mixed_libraries_are_refused(producer_library):
    with pytest.raises(
        TypeError,
        match=r"factors\[1\] must be an array of numpy like the arrays before it, got one of producer",
    ):
        cb.damped_inverse([np.eye(2), Producer(np.eye(2))], 0.1)


def test_a_producer_that_refuses_is_quoted():
    class Refusing(Producer):
        def __dlpack__(self, **options):
            raise BufferError("detach it first")

    with pytest.raises(
        TypeError, match="factors must be exportable through DLPack, but its library refused: detach it first"
    ):
        cb.damped_inverse(Refusing(np.eye(2)), 0.1)


def test_objects_that_lie_about_dlpack_are_named():
    class NoDevice:
        def __dlpack__(self, **options):
            return 7

    class NoCapsule(NoDevice):
        def __dlpack_device__(self):
            return (1, 0)

    class Broken(NoCapsule):
        def __dlpack_device__(self):
            raise RuntimeError("lost device")

    for lie, reason in [(NoDevice(), "no attribute"), (NoCapsule(), "capsule .* got 7"), (Broken(), "lost device")]:
        with pytest.raises(
            TypeError, match=f"damped_inverse: factors must export.*{reason}|must be exportable.*{reason}"
        ):
            cb.damped_inverse(lie, 0.1)


def test_out_of_another_library_is_returned_as_it_is(producer_library):
    out = (Producer(np.zeros((2, 2))),)

    result = cb.damped_inverse((Producer(np.eye(2)),), 1.0, out=out)

    assert result.inverse is out
    assert np.allclose(out[0].data, np.eye(2) / 2)


def test_a_list_that_changes_during_the_call_does_no_harm(rng):
    import threading

    good = [np.eye(300) * (k + 1) for k in range(8)]
    factors = list(good)
    thread = threading.Thread(target=lambda: results.append(cb.damped_inverse(factors, 0.0)))
    results = []
    thread.start()
    for k in range(8):
        factors[k] = np.full((300, 300), np.nan)
    factors.clear()
    thread.join()

    assert len(results) == 1


def test_the_buffer_protocol_is_read_and_written():
    memory = array.array("d", [1.0, 0.0, 0.0, 1.0])
    view = memoryview(memory).cast("B").cast("d", (2, 2))

    cb.update_factors(view, np.array([[2.0, 0.0]]), decay=0.5)

    assert memory.tolist() == [2.5, 0.0, 0.0, 0.5]


@pytest.mark.parametrize("library", ["torch", "jax.numpy"])
def test_real_libraries_get_their_own_arrays_back(library, rng):
    xp = pytest.importorskip(library)
    C, rows = np.eye(4, dtype=np.float32), rng.standard_normal((6, 4)).astype(np.float32)

    updated = cb.update_factors([xp.asarray(C)], [xp.asarray(rows)], copy=True)
    result = cb.damped_inverse(updated, 0.1)

    assert type(updated[0]) is type(xp.asarray(C))
    assert type(result.inverse[0]) is type(result.status) is type(xp.asarray(C))
    assert np.array_equal(np.asarray(updated[0]), cb.update_factors(C, rows))


def test_jax_arrays_are_immutable():
    jnp = pytest.importorskip("jax.numpy")

    with pytest.raises(ValueError, match="factors must be writable, got a read-only array: copy=True"):
        cb.update_factors(jnp.eye(3), jnp.ones((2, 3)))


class TestMemory:
    def test_read_only_factors_are_refused_with_advice(self):
        C = np.eye(3)
        C.setflags(write=False)

        with pytest.raises(
            ValueError,
            match="factors must be writable, got a read-only array: copy=True returns new factors instead",
        ):
            cb.update_factors(C, np.ones((2, 3)))

    def test_rows_that_share_memory_with_factors_are_refused(self):
        memory = np.eye(6)
        before = memory.copy()

        with pytest.raises(ValueError, match="factors is written and must not share memory with rows"):
            cb.update_factors(memory[:3, :3], memory[2:4, :3])

        assert np.array_equal(memory, before)

    def test_factors_that_share_memory_are_refused(self):
        C = np.eye(3)

        with pytest.raises(
            ValueError, match=r"factors\[[02]\] is written and must not share memory with factors\[[02]\]"
        ):
            cb.update_factors([C, np.eye(3), C], [np.ones((2, 3))] * 3)

    def test_blocks_of_one_matrix_do_not_share_memory(self, rng):
        memory, rows = np.zeros((8, 8)), rng.standard_normal((5, 4))

        cb.update_factors([memory[:4, :4], memory[4:, 4:], memory[:4, 4:].T], [rows] * 3, decay=0.0)

        assert np.array_equal(memory[:4, :4], memory[4:, 4:])
        assert np.array_equal(memory[:4, :4], memory[:4, 4:])

    def test_a_factor_that_overlaps_itself_is_refused(self):
        with pytest.raises(ValueError, match="factors must not overlap itself"):
            cb.update_factors(np.lib.stride_tricks.as_strided(np.zeros(5), (3, 3), (8, 8)), np.ones((2, 3)))

    @pytest.mark.parametrize("function", ["damped_inverse", "precondition"])
    def test_out_may_not_be_an_input(self, function):
        C = np.eye(3)

        with pytest.raises(ValueError, match="out is written and must not share memory with"):
            cb.damped_inverse(C, 0.1, out=C) if function == "damped_inverse" else cb.precondition(C, C, C, out=C)

    def test_repeated_elements_may_be_read(self):
        rows = np.broadcast_to(np.array([1.0, 2.0]), (7, 2))

        C = cb.update_factors(np.zeros((2, 2)), rows, decay=0.0)

        assert np.array_equal(C, [[1, 2], [2, 4]])

    def test_memory_that_is_not_aligned_is_refused(self):
        memory = np.frombuffer(bytearray(8 * 9 + 1), np.uint8)[1:].view(np.float64).reshape(3, 3)

        with pytest.raises(
            ValueError, match="factors must be aligned to its item size of 8 bytes, got an unaligned view"
        ):
            cb.damped_inverse(memory, 0.1)

    def test_more_axes_than_anybody_needs_are_refused(self):
        with pytest.raises(ValueError, match="factors must have at most 8 dimensions, got 9"):
            cb.damped_inverse(np.zeros((1,) * 9), 0.1)

"""Arrays on a device: what they say of themselves is checked before it is believed."""

import ml_dtypes
import numpy as np
import pytest

import curvblas as cb

import emulation
from doubles import Liar

pytestmark = pytest.mark.emulated


@pytest.fixture
def emu():
    return emulation.load("_emu")


def test_the_honest_interface_is_accepted(emu):
    C = emu.Array.to_device(np.eye(3))

    result = cb.damped_inverse(Liar(C), 1.0)

    assert np.allclose(result.inverse.to_host(), np.eye(3) / 2)


LIES = {
    "no version": ({"version": None}, TypeError, "must have 'version' 2 or 3, got None"),
    "old version": ({"version": 0}, TypeError, "must have 'version' 2 or 3, got 0"),
    "future version": ({"version": 4}, TypeError, "must have 'version' 2 or 3, got 4"),
    "version that is no number": ({"version": "3"}, TypeError, "must have 'version' 2 or 3, got '3'"),
    "strides for other axes": ({"strides": (8,)}, TypeError, r"must have 'strides' of 2 integers, got \(8,\)"),
    "strides of floats": ({"strides": (24.0, 8.0)}, TypeError, "must have 'strides' of 2 integers"),
    "strides that are no tuple": ({"strides": [24, 8]}, TypeError, "must have 'strides' of 2 integers"),
    "strides of half elements": ({"strides": (24, 4)}, ValueError, "must be aligned to its item size of 8 bytes"),
    "strides beyond the allocation": (
        {"strides": (32, 8)},
        ValueError,
        "must lie within its allocation of 72 bytes, .* reach from byte 0 to byte 88",
    ),
    "strides before the allocation": (
        {"strides": (-24, 8)},
        ValueError,
        "must lie within its allocation of 72 bytes, .* reach from byte -48 to byte 24",
    ),
    "strides beyond all memory": ({"strides": (1 << 62, 8)}, ValueError, "must lie within its allocation"),
    "a larger shape": ({"shape": (4, 4), "strides": None}, ValueError, "must lie within its allocation of 72 bytes"),
    "a shape beyond all memory": (
        {"shape": (1 << 40, 1 << 40), "strides": None},
        ValueError,
        "must lie within its allocation",
    ),
    "a negative shape": ({"shape": (-3, -3), "strides": None}, TypeError, "must have 'shape' of 2 integers >= 0"),
    "a shape of floats": ({"shape": (3.0, 3.0)}, TypeError, "must have 'shape' of 2 integers >= 0"),
    "a shape that is no tuple": ({"shape": 9}, TypeError, "must have 'shape' of integers, got 9"),
    "a wider dtype": ({"typestr": "<i8"}, TypeError, "must be float64 or float32 .* got typestr '<i8'"),
    "the other byte order": ({"typestr": ">f8"}, TypeError, "must be float64 or float32 .* got typestr '>f8'"),
    "a dtype that is no text": ({"typestr": 8}, TypeError, "must be float64 or float32 .* got typestr 8"),
    "two bytes of anything": ({"typestr": "<V2"}, TypeError, "must be float64 or float32 .* got typestr '<V2'"),
    "a null pointer": ({"data": (0, False)}, ValueError, "must be in the memory of a CUDA device"),
    "a pointer without a flag": ({"data": (4096,)}, TypeError, "must have 'data' of a pointer and whether"),
    "a flag that is no bool": ({"data": (4096, 0)}, TypeError, "must have 'data' of a pointer and whether"),
    "a negative pointer": ({"data": (-1, False)}, TypeError, "must have 'data' of a pointer and whether"),
    "a mask": ({"mask": object()}, TypeError, "must have no 'mask'"),
    "stream 0": ({"stream": 0}, TypeError, "must have 'stream' None, 1, 2 or a handle, got 0"),
    "a stream that is no number": ({"stream": "main"}, TypeError, "must have 'stream' None, 1, 2 or a handle"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_refused_by_name(emu, lie):
    lies, error, message = LIES[lie]
    C = emu.Array.to_device(np.eye(3))

    with pytest.raises(error, match=f"(?s)damped_inverse: factors.*{message}"):
        cb.damped_inverse(Liar(C, **lies), 1.0)

    assert np.array_equal(C.to_host(), np.eye(3))


def test_memory_of_the_host_is_not_memory_of_the_device(emu):
    host = np.eye(3)

    with pytest.raises(ValueError, match=r"factors must be in the memory of a CUDA device, got the address .* is not"):
        cb.damped_inverse(Liar(emu.Array.to_device(host), data=(host.ctypes.data, False)), 1.0)


def test_a_pointer_into_freed_memory_is_refused(emu):
    C = emu.Array.to_device(np.eye(3))
    freed = Liar(emu.Array.to_device(np.eye(50)))
    del freed.array

    with pytest.raises(ValueError, match=r"factors\[1\] must be in the memory of a CUDA device"):
        cb.damped_inverse([C, freed], 1.0)


def test_an_interface_that_is_no_dict_or_fails_is_named(emu):
    class NoDict:
        __module__ = "curvblas._emu"
        __cuda_array_interface__ = 7

    with pytest.raises(TypeError, match=r"factors.__cuda_array_interface__ must be a dict, got 7"):
        cb.damped_inverse(NoDict(), 1.0)


def test_read_only_memory_is_not_written(emu):
    C, rows = np.eye(3), emu.Array.to_device(np.ones((2, 3)))
    C.setflags(write=False)
    there = emu.Array.to_device(C)

    with pytest.raises(ValueError, match="factors must be writable, got a read-only array: copy=True returns new"):
        cb.update_factors(there, rows)
    updated = cb.update_factors(there, rows, copy=True)

    assert np.array_equal(there.to_host(), C)
    assert np.allclose(updated.to_host(), 0.95 * C + 0.05)


def test_arrays_of_the_host_are_refused_beside_those_of_a_device(emu):
    V, A = emu.Array.to_device(np.ones((2, 3))), np.eye(3)

    with pytest.raises(
        TypeError, match=r"A_inv must be on a CUDA device like the rest of the call, got a numpy.ndarray"
    ):
        cb.precondition(V, A, emu.Array.to_device(np.eye(2)))
    with pytest.raises(TypeError, match=r"A_inv must be in the CPU's memory|A_inv must be an array"):
        cb.precondition(np.ones((2, 3)), emu.Array.to_device(np.eye(3)), np.eye(2))


@pytest.mark.parametrize("dtype", [np.int32, np.complex64, ">f8", np.bool_])
def test_other_dtypes_are_refused(emu, dtype):
    with pytest.raises(TypeError, match=r"factors must be float64 or float32 .* got typestr"):
        cb.damped_inverse(emu.Array.to_device(np.eye(3).astype(dtype)), 1.0)


@pytest.mark.parametrize("name", ["bfloat16", "torch.bfloat16"])
def test_bfloat16_is_told_from_two_bytes_of_anything_by_the_name_of_its_dtype(emu, name):
    rows = np.arange(6).reshape(2, 3)
    C = emu.Array.to_device(np.zeros((3, 3)))
    there = Liar(emu.Array.to_device(rows.astype(ml_dtypes.bfloat16)))
    there.dtype = name

    cb.update_factors(C, there, decay=0.0)

    assert np.array_equal(C.to_host(), rows.T @ rows / 2)


def test_results_are_arrays_of_the_device_and_parameters_may_be(emu):
    A, G = (emu.Array.to_device(np.stack([np.eye(n), 4 * np.eye(n)])) for n in (3, 2))

    damping_A, damping_G = cb.factored_damping(A, G, np.array([0.04, 0.01]))
    result = cb.damped_inverse(A, damping_A)
    single = emu.Array.to_device(damping_A.to_host().astype(np.float32))
    again = cb.damped_inverse(A, single)

    assert type(damping_G) is type(result.inverse) is type(result.status) is emu.Array
    assert damping_A.to_host().tolist() == [0.2, 0.1]
    assert result.status.to_host().tolist() == [0, 0]
    assert np.allclose(result.inverse.to_host()[1], np.eye(3) / 4.1)
    assert np.allclose(again.inverse.to_host(), result.inverse.to_host(), rtol=1e-6)


def test_a_parameter_may_be_a_part_of_what_is_written(emu):
    checked = emulation.load("_emu_checked")
    C, rows = np.full((130, 130), 0.5), np.ones((1, 130))
    there = checked.Array.to_device(C)
    interface = there.__cuda_array_interface__
    decay = Liar(there, shape=(), strides=())
    decay.__class__ = type("Part", (Liar,), {"__module__": "curvblas._emu_checked"})

    cb.update_factors(there, checked.Array.to_device(rows), decay=decay)

    assert interface["shape"] == (130, 130)
    assert np.array_equal(there.to_host(), np.full((130, 130), 0.75))


def test_results_without_elements_know_their_device(emu):
    result = cb.damped_inverse(emu.Array.to_device(np.zeros((4, 0, 0))), 1.0)

    assert result.inverse.__dlpack_device__() == result.status.__dlpack_device__() == (2, 0)
    assert result.ok.tolist() == [True] * 4


def test_a_strided_parameter_and_one_for_all(emu):
    C = emu.Array.to_device(np.stack([np.eye(2)] * 4).reshape(2, 2, 2, 2))
    damping = np.arange(8.0).reshape(2, 4)[:, ::2]

    each = cb.damped_inverse(C, emu.Array.to_device(damping)).inverse.to_host()
    all_ = cb.damped_inverse(C, emu.Array.to_device(np.array(3.0))).inverse.to_host()

    assert np.allclose(each[..., 0, 0], 1 / (1 + damping))
    assert np.allclose(all_[..., 0, 0], 0.25)

"""Loading the backends and choosing one by the type of an array."""

import ctypes
import importlib.util
import os
import platform
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ._threads import MOST_THREADS, default_num_threads, register_with_threadpoolctl


def _load_blas() -> None:
    """Load scipy-openblas32, so that `_cpu` finds it wherever it is installed, and before it starts threads.

    Loaded with local visibility: SciPy's own OpenBLAS exports the same names and must not get ours.

    Raises
    ------
    ImportError
        The package is not installed.
    """
    spec = importlib.util.find_spec("scipy_openblas32")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(
            "curvblas needs the package scipy-openblas32, which is not installed: pip install scipy-openblas32"
        )
    suffix = ".dylib" if sys.platform == "darwin" else ".so"
    library = Path(spec.submodule_search_locations[0]) / "lib" / f"libscipy_openblas{suffix}"
    before = os.environ.get("OPENBLAS_NUM_THREADS")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    try:
        ctypes.CDLL(str(library), mode=ctypes.RTLD_LOCAL)
    finally:
        if before is None:
            del os.environ["OPENBLAS_NUM_THREADS"]
        else:
            os.environ["OPENBLAS_NUM_THREADS"] = before


_load_blas()
from . import _cpu  # noqa: E402  (needs the BLAS)

_why_no_cuda = "not built"
try:
    from . import _cuda
except ImportError as error:
    _cuda = None  # type: ignore[assignment]
    if importlib.util.find_spec(f"{__package__}._cuda") is not None:
        _why_no_cuda = f"built, but cannot be loaded: {error}"

_cpu.set_num_threads(default_num_threads())
register_with_threadpoolctl(_cpu)
if "CURVBLAS_ISA" in os.environ:
    _cpu.set_isa(os.environ["CURVBLAS_ISA"])

_CPU_DEVICES = (1, 3)  # DLPack: the CPU's memory, and pinned memory of it


def backend_of(function: str, argument: str, arrays: Any) -> ModuleType:
    """Return the extension module for an argument: an array, or a list whose first array decides.

    Parameters
    ----------
    function, argument : str
        Named in the error.
    arrays : array, or list of arrays
        The argument itself.

    Returns
    -------
    module
        One of the backends' extension modules.

    Raises
    ------
    TypeError
        The array lives on a device for which no backend is built.
    """
    if isinstance(arrays, np.ndarray):  # first, as most calls are so: half a microsecond
        return _cpu
    first = arrays[0] if isinstance(arrays, list | tuple) and arrays else arrays
    if isinstance(first, np.ndarray):
        return _cpu
    if type(first).__module__.startswith("curvblas._"):  # an array of one of the backends
        return sys.modules[type(first).__module__]
    if not _is_on_device(first):
        return _cpu
    if _cuda is not None and not _cuda.why_not_usable():
        return _cuda
    raise TypeError(
        f"{function}: {argument} must be in the CPU's memory, since the CUDA backend is {_cuda_state()}; "
        f"got a {type(first).__module__}.{type(first).__qualname__} on a device"
    )


def _is_on_device(array: Any) -> bool:
    if hasattr(array, "__dlpack_device__"):
        try:
            return array.__dlpack_device__()[0] not in _CPU_DEVICES
        except Exception:
            return False
    return hasattr(array, "__cuda_array_interface__")


def set_num_threads(threads: int) -> None:
    """Set how many threads work on a call, the caller included.

    It may exceed the number of cores. The result of no function depends on it.

    Parameters
    ----------
    threads : int >= 1
        At the start: the environment variable ``CURVBLAS_NUM_THREADS``, else the cores that the process may use.

    Raises
    ------
    TypeError
        ``threads`` is not an integer.
    ValueError
        ``threads`` is not in 1 ... 64.

    Examples
    --------
    >>> import curvblas as cb
    >>> before = cb.get_num_threads()
    >>> cb.set_num_threads(2)
    >>> cb.get_num_threads()
    2
    >>> cb.set_num_threads(before)
    """
    if isinstance(threads, bool) or not isinstance(threads, int | np.integer):
        raise TypeError(f"set_num_threads: threads must be an integer >= 1, got {type(threads).__name__}")
    if not 1 <= threads <= MOST_THREADS:
        raise ValueError(f"set_num_threads: threads must be in 1 ... {MOST_THREADS}, got {threads}")
    _cpu.set_num_threads(int(threads))


def get_num_threads() -> int:
    """Return how many threads work on a call, the caller included."""
    return _cpu.get_num_threads()


def _cuda_state() -> str:
    if _cuda is None:
        return _why_no_cuda
    reason = _cuda.why_not_usable()
    if reason:
        return f"built for {_cuda.architectures}, not usable: {reason}"
    return f"usable: {_cuda.device_name()}"


def info() -> dict[str, Any]:
    """Return what this installation is and can do.

    Returns
    -------
    dict
        ``version``, ``backends`` (name: usable or why not), ``isa`` (the level in use), ``isa_levels`` (those this
        machine can run), ``threads``, ``blas``, ``python``, ``numpy``, ``platform``.

    Examples
    --------
    >>> import curvblas as cb
    >>> cb.info()["backends"]["cpu"]
    'usable'
    """
    from . import __version__  # not above: the package imports this module

    return {
        "version": __version__,
        "backends": {"cpu": "usable", "cuda": _cuda_state()},
        "isa": _cpu.isa(),
        "isa_levels": _cpu.isa_levels(),
        "threads": _cpu.get_num_threads(),
        "blas": _cpu.blas(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
    }

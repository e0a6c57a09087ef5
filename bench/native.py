"""Peers in C and C++: loops over threads around MKL, OpenBLAS, Eigen and LIBXSMM, compiled here and now.

MKL and OpenBLAS come as Python packages; their functions are handed to the loops as pointers. Eigen and LIBXSMM are
found where the system keeps them (Debian: libeigen3-dev, libxsmm-dev).
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from machine import cpu

HERE = Path(__file__).parent
OPTIONS = ("-std=c++20", "-O3", "-march=native", "-fopenmp", "-fPIC", "-shared", "-DNDEBUG")
HEADERS = {"native_eigen": "Eigen/Dense", "native_xsmm": "libxsmm.h"}
LIBRARIES = {"native_xsmm": ("-lxsmmext", "-lxsmm", "-lxsmmnoblas", "-ldl", "-lpthread")}
REAL = {"float32": "float", "float64": "double"}
DIRECTORIES = ("-I/usr/include/eigen3", "-I/usr/local/include/eigen3")

# The names of a BLAS's and a LAPACK's functions; {} is s or d.
AVX512_FORMAT = 183  # MKL_COMPACT_AVX512
COMPACT = ("gepack", "geunpack", "getrfnp", "getrinp", "potrf", "trsm", "gemm")


def unavailable(name: str) -> str:
    """Return why the peers of ``NAME.cpp`` cannot be compiled; the empty string where they can."""
    compiler = shutil.which("g++")
    if compiler is None:
        return "no g++"
    header = HEADERS.get(name, "omp.h")
    test = f"#if !__has_include(<{header}>)\n#error\n#endif\n"
    command = [compiler, "-fopenmp", *DIRECTORIES, "-E", "-x", "c++", "-"]
    found = subprocess.run(command, input=test, capture_output=True, text=True, check=False)
    return "" if found.returncode == 0 else f"no header {header}"


@lru_cache(maxsize=1)
def directory() -> Path:
    """Return where compiled peers are kept: a directory of this user's for these sources."""
    sources = sorted([*HERE.glob("native*.cpp"), *HERE.glob("native*.h")])
    key = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    result = Path(tempfile.gettempdir()) / f"curvblas-bench-{os.getuid()}" / key
    result.mkdir(mode=0o700, parents=True, exist_ok=True)
    return result


@lru_cache(maxsize=4)
def compiled(name: str, dtype: str) -> ctypes.CDLL:
    """Compile ``NAME.cpp`` for a dtype unless that was done before, and load it."""
    library = directory() / f"{name}_{dtype}.so"
    if not library.exists():
        unfinished = library.with_suffix(f".{os.getpid()}")
        command = [
            "g++",
            *OPTIONS,
            f"-DREAL={REAL[dtype]}",
            *DIRECTORIES,
            str(HERE / f"{name}.cpp"),
            "-o",
            str(unfinished),
        ]
        subprocess.run([*command, *LIBRARIES.get(name, ())], check=True)
        unfinished.replace(library)
    return ctypes.CDLL(str(library))


def threads() -> int:
    """Return how many threads every peer has."""
    return int(os.environ.get("OMP_NUM_THREADS", "1"))


class Library(NamedTuple):
    """A BLAS with LAPACK: where its functions are, what they are called, and who sets its threads."""

    functions: ctypes.CDLL
    prefix: str
    set_threads: str

    def pointer(self, name: str) -> ctypes.c_void_p:
        """Return where a function is."""
        return ctypes.cast(getattr(self.functions, name), ctypes.c_void_p)

    def lapack(self, name: str, dtype: Any) -> ctypes.c_void_p:
        """Return a function of LAPACK, as Fortran calls it."""
        return self.pointer(f"{self.prefix}{letter(dtype)}{name}_")

    def cblas(self, name: str, dtype: Any) -> ctypes.c_void_p:
        """Return a function of the CBLAS."""
        return self.pointer(f"{self.prefix}cblas_{letter(dtype)}{name}")

    def compact(self, dtype: Any) -> Any:
        """Return the table of MKL's compact functions, in the order that `native_compact.cpp` expects."""
        of_type = [f"mkl_{letter(dtype)}{name}_compact" for name in COMPACT]
        names = [f"mkl_{letter(dtype)}get_size_compact", *of_type]
        return (ctypes.c_void_p * len(names))(*(self.pointer(name).value for name in names))

    def formats(self) -> list[int]:
        """Return how many matrices MKL may interleave: as it advises, which on AMD are SSE's lanes, or AVX-512's."""
        advised: int = self.functions.mkl_get_format_compact()
        return list(dict.fromkeys([advised, AVX512_FORMAT] if "avx512f" in cpu()[1] else [advised]))

    def head(self, dtype: Any, *functions: str, large: int) -> list[Any]:
        """Return the first arguments of a loop: functions, who sets threads, how many, and what size is large."""
        pointers = [self.lapack(name, dtype) for name in functions if name != "gemm"]
        pointers += [self.cblas(name, dtype) for name in functions if name == "gemm"]
        return [*pointers, self.pointer(self.set_threads), threads(), large]


def mkl() -> Library:
    """Load MKL from the package that Intel puts on PyPI."""
    files = importlib.metadata.files("mkl") or []
    path = next(file.locate() for file in files if file.name.startswith("libmkl_rt."))
    return Library(ctypes.CDLL(os.path.realpath(str(path))), "", "MKL_Set_Num_Threads")


def openblas() -> Library:
    """Load OpenBLAS from the package of SciPy's makers."""
    folder: str = importlib.import_module("scipy_openblas32").get_lib_dir()
    library = ctypes.CDLL(str(Path(folder) / "libscipy_openblas.so"))
    return Library(library, "scipy_", "scipy_openblas_set_num_threads")


def letter(dtype: Any) -> str:
    """Return what BLAS calls the type."""
    return {"float32": "s", "float64": "d"}[np.dtype(dtype).name]


def pointers(arrays: Sequence[Any]) -> Any:
    """Return a C array of pointers to NumPy arrays, which the caller keeps."""
    return (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))


def integers(values: Sequence[int]) -> Any:
    """Return a C array of int."""
    return (ctypes.c_int * len(values))(*values)


def double(value: float) -> ctypes.c_double:
    """Return a C double."""
    return ctypes.c_double(value)


def single(value: float) -> ctypes.c_float:
    """Return a C float."""
    return ctypes.c_float(value)


def address(array: Any) -> ctypes.c_void_p:
    """Return where a NumPy array is."""
    return ctypes.c_void_p(array.ctypes.data)

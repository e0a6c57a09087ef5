"""What a page says of the machine that its numbers were measured on."""

from __future__ import annotations

import os
import platform

import curvblas as cb


def machine() -> str:
    """Describe one thread of this machine.

    Returns
    -------
    str
        To go on after "measured on".
    """
    isa = cb.info()["isa"]
    return f"one thread of a machine with {os.cpu_count()} cores ({platform.machine()}, kernels for {isa})"

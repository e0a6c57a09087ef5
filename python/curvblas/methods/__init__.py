"""Natural-gradient and second-order methods, each a thin layer over the kernels."""

from . import relative_fisher, unitwise

__all__ = ["relative_fisher", "unitwise"]

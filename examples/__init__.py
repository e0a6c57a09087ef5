"""Demonstrations of curvblas: second-order optimisers in plain NumPy, on data that scikit-learn ships."""

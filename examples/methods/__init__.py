"""One example for each method of `curvblas.methods`, on real data or a control task."""

// Loops that a device's compiler is not to unroll: that would cost a thread registers, and gain nothing.
#pragma once

#ifdef __CUDACC__
#define CURVBLAS_ROLLED _Pragma("unroll 1")
#else
#define CURVBLAS_ROLLED
#endif

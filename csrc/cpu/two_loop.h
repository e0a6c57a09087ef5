// The two loops of limited-memory BFGS for one model in a core's caches. Compiled once per instruction set
// (two_loop.isa.cpp).
#pragma once

#include "cpu/long_rows.h"

namespace curvblas::cpu {

/// Products of one pair with itself, and with q.
struct PairDots {
    double ss, sy, yy, sq;
};

template <class T>
struct TwoLoop {
    /// s.s, s.y, y.y and s.q.
    PairDots (*multiply)(Index n, const T* s, const T* y, const double* q);
    /// y.q.
    double (*dot)(Index n, const T* y, const double* q);
    /// q += a x.
    void (*add)(Index n, double a, const T* x, double* q);
};

}  // namespace curvblas::cpu

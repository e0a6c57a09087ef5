// The elimination of small/symmetric_solve.h, a lane a system. Included by *.isa.cpp only: all of it has internal
// linkage.
#pragma once

#include "cpu/lanes.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

/// Exchanges rows k and i of a lane where `wanted`, from column `from` on.
template <int U>
inline void exchange_rows(const Mask<double, U>& wanted, Lanes<double, U>* k, Lanes<double, U>* i, Index from,
                          Index columns) {
    for (Index j = from; j < columns; ++j) {
        const Lanes<double, U> a = k[j], b = i[j];
        k[j] = select(wanted, b, a), i[j] = select(wanted, a, b);
    }
}

/// As eliminate of small/symmetric_solve.h, for systems of which a lane has `used` rows, and behind these rows of the
/// identity: the smallest pivot over the largest, 0 for an A that is singular or has a pivot below 1e-300, whose
/// reciprocal might not be finite.
template <int U>
inline Lanes<double, U> eliminate(Lanes<double, U>* A, Index m, Index n, const Lanes<double, U>& used,
                                  Lanes<double, U>* X, Index columns) {
    using L = Lanes<double, U>;
    const L zero = L::all(0), one = L::all(1);
    L least = L::all(1e300), most = zero;
    Mask<double, U> is_regular = zero == zero;
    for (Index k = 0; k < n; ++k) {
        L* const row = A + k * m;
        L* const right = X + k * m;
        L size = absolute(row[k]), best = L::all(static_cast<double>(k));
        for (Index i = k + 1; i < n; ++i) {
            const L other = absolute(A[i * m + k]);
            const auto is_larger = other > size;
            size = select(is_larger, other, size), best = select(is_larger, L::all(static_cast<double>(i)), best);
        }
        for (Index i = k + 1; i < n; ++i) {
            const auto wanted = best == L::all(static_cast<double>(i));
            if (!wanted.any()) continue;
            exchange_rows(wanted, row, A + i * m, k, n);
            exchange_rows(wanted, right, X + i * m, 0, columns);
        }
        const L at = L::all(static_cast<double>(k));
        const auto is_own = at < used;
        is_regular = is_regular & ((used <= at) | (L::all(1e-300) <= size));  // NaN is not, either
        least = select(is_own & (size < least), size, least), most = select(is_own & (size > most), size, most);
        const L inverse = one / row[k];
        for (Index i = k + 1; i < n; ++i) {
            const L factor = A[i * m + k] * inverse;
            for (Index j = k + 1; j < n; ++j) A[i * m + j] = A[i * m + j] - factor * row[j];
            for (Index j = 0; j < columns; ++j) X[i * m + j] = X[i * m + j] - factor * right[j];
        }
    }
    for (Index k = n - 1; k >= 0; --k) {
        L* const right = X + k * m;
        const L inverse = one / A[k * m + k];
        for (Index i = k + 1; i < n; ++i) {
            const L factor = A[k * m + i];
            for (Index j = 0; j < columns; ++j) right[j] = right[j] - factor * X[i * m + j];
        }
        for (Index j = 0; j < columns; ++j) right[j] = right[j] * inverse;
    }
    return select(is_regular, least / most, zero);
}

}  // namespace
}  // namespace curvblas::cpu::CURVBLAS_ISA

// Householder tridiagonalisation of symmetric matrices, a lane a matrix (Golub and Van Loan 2013, section 8.3.1;
// EISPACK tred2). Included by *.isa.cpp only: all of it has internal linkage.
#pragma once

#include "cpu/ql_lanes.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

template <class T, int U>
struct Householder {
    using L = Lanes<T, U>;
    using M = Mask<T, U>;

    const Index n;
    // Both n x n, in rows of row_length(n).
    L* const lower;  ///< the lower triangle counts: A, and then the reflections
    L* const Vt;     ///< receives Q^T
    L *const d, *const e, *const tau;
    L *const v, *const p;  ///< n each, to work in
    const Index ld = row_length(n);

    /// T = Q^T A Q with diagonal d and subdiagonal e. v_k of the reflection I - tau_k v_k v_k^T is left in column k.
    void tridiagonalise() const {
        for (Index k = 0; k + 2 < n; ++k) {
            const Index first = k + 1;
            d[k] = A(k, k);
            L squares = L::all(0);
            for (Index i = first + 1; i < n; ++i) squares = squares + A(i, k) * A(i, k);
            const L alpha = A(first, k), zero = L::all(0), one = L::all(1);
            const M none = squares < L::all(negligible_square<T>);
            L beta = square_root(select(none, one, alpha * alpha + squares));
            beta = select(alpha > zero, zero - beta, beta);
            const L factor = select(none, zero, one / (alpha - beta));
            e[k] = select(none, alpha, beta);
            tau[k] = select(none, zero, (beta - alpha) / beta);
            v[first] = A(first, k) = one;
            for (Index i = first + 1; i < n; ++i) v[i] = A(i, k) = A(i, k) * factor;
            multiply_trailing(first);
            update_trailing(first, tau[k]);
        }
        if (n > 1) d[n - 2] = A(n - 2, n - 2), e[n - 2] = A(n - 1, n - 2);
        d[n - 1] = A(n - 1, n - 1), e[n - 1] = L::all(0);
    }

    /// Vt = Q^T, from the last reflection on, because it changes fewer columns.
    void form_vectors() const {
        for (Index i = 0; i < n; ++i)
            for (Index j = 0; j < n; ++j) Vt[i * ld + j] = L::all(i == j ? T(1) : T(0));
        for (Index k = n - 3; k >= 0; --k) {
            for (Index i = k + 1; i < n; ++i) v[i] = A(i, k);
            Index j = k + 1;
            for (; j + 4 <= n; j += 4) reflect<4>(k + 1, j, tau[k]);
            for (; j < n; ++j) reflect<1>(k + 1, j, tau[k]);
        }
    }

  private:
    L& A(Index i, Index j) const { return lower[i * ld + j]; }

    /// p = A v from `first` on. Two rows at a time, so that p_j is loaded and stored once for both.
    void multiply_trailing(Index first) const {
        for (Index i = first; i < n; ++i) p[i] = A(i, i) * v[i];
        Index i = first;
        for (; i + 2 <= n; i += 2) {
            const L v0 = v[i], v1 = v[i + 1];
            const L* const row0 = &A(i, 0);
            const L* const row1 = row0 + ld;
            L sum0 = row1[i] * v1, sum1 = row1[i] * v0;
            for (Index j = first; j < i; ++j) {
                const L a0 = row0[j], a1 = row1[j], v_j = v[j];
                sum0 = sum0 + a0 * v_j, sum1 = sum1 + a1 * v_j;
                p[j] = p[j] + a0 * v0 + a1 * v1;
            }
            p[i] = p[i] + sum0, p[i + 1] = p[i + 1] + sum1;
        }
        for (; i < n; ++i) {
            L sum = L::all(0);
            for (Index j = first; j < i; ++j) sum = sum + A(i, j) * v[j], p[j] = p[j] + A(i, j) * v[i];
            p[i] = p[i] + sum;
        }
    }

    /// A <- A - v w^T - w v^T with w = tau p - tau^2 (p.v) / 2 v.
    void update_trailing(Index first, const L& tau_k) const {
        L dot = L::all(0);
        for (Index i = first; i < n; ++i) dot = dot + p[i] * v[i];
        const L half = L::all(T(0.5)) * tau_k * tau_k * dot;
        for (Index i = first; i < n; ++i) p[i] = tau_k * p[i] - half * v[i];
        Index i = first;
        for (; i + 2 <= n; i += 2) {
            const L v0 = v[i], v1 = v[i + 1], w0 = p[i], w1 = p[i + 1];
            L* const row0 = &A(i, 0);
            L* const row1 = row0 + ld;
            for (Index j = first; j <= i; ++j) {
                const L v_j = v[j], w_j = p[j];
                row0[j] = row0[j] - v0 * w_j - w0 * v_j;
                row1[j] = row1[j] - v1 * w_j - w1 * v_j;
            }
            row1[i + 1] = row1[i + 1] - v1 * w1 - w1 * v1;
        }
        for (; i < n; ++i)
            for (Index j = first; j <= i; ++j) A(i, j) = A(i, j) - v[i] * p[j] - p[i] * v[j];
    }

    template <int rows>
    void reflect(Index first, Index j, const L& tau_k) const {
        L* const row = Vt + j * ld;
        L sum[rows];
        for (int r = 0; r < rows; ++r) sum[r] = L::all(0);
        for (Index i = first; i < n; ++i)
            for (int r = 0; r < rows; ++r) sum[r] = sum[r] + v[i] * row[r * ld + i];
        for (int r = 0; r < rows; ++r) sum[r] = sum[r] * tau_k;
        for (Index i = first; i < n; ++i)
            for (int r = 0; r < rows; ++r) row[r * ld + i] = row[r * ld + i] - sum[r] * v[i];
    }
};

}  // namespace
}  // namespace curvblas::cpu::CURVBLAS_ISA

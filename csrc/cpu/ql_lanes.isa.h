// Implicit QL with Wilkinson's shift on symmetric tridiagonal matrices, a lane a matrix (Golub and Van Loan 2013,
// section 8.3.3; EISPACK tql2). Included by *.isa.cpp only: all of it has internal linkage.
#pragma once

#include "cpu/lanes.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

constexpr int most_iterations = 50;  // for one eigenvalue; one to three are usual

template <class T>
struct Limits;
template <>
struct Limits<float> {
    // Of matrices scaled to 1: squares below `tiny` are taken for zero, so that no rotation or reflection is made of
    // numbers whose squares underflow. Their roots are far below eps.
    static constexpr float eps = 0x1p-23f, tiny = 1e-30f, tiny_root = 1e-15f;
};
template <>
struct Limits<double> {
    static constexpr double eps = 0x1p-52, tiny = 1e-280, tiny_root = 1e-140;
};

/// All lanes go through the steps of the slowest; one that has nothing to do takes rotations by zero, which change no
/// bit.
template <class T, int U>
struct ImplicitQL {
    using L = Lanes<T, U>;
    using M = Mask<T, U>;

    const Index n;
    L *const d, *const e;          ///< diagonal and subdiagonal (n; the last one is 0)
    L *const cosine, *const sine;  ///< n each: the rotations of a step
    L* const Vt;                   ///< n x n: what the rotations are applied to, from the left

    /// d becomes the eigenvalues, row j of Vt the eigenvector of d[j]. Returns which lanes have converged.
    M iterate() const {
        M converged = L::all(0) <= L::all(0);
        for (Index l = 0; l + 1 < n; ++l)
            for (int iteration = 0;; ++iteration) {
                L m = L::all(static_cast<T>(n - 1));
                for (Index i = n - 2; i >= l; --i) m = select(is_negligible(i), L::all(static_cast<T>(i)), m);
                const M active = m > L::all(static_cast<T>(l));
                if (!active.any()) break;
                if (iteration == most_iterations) {
                    for (int u = 0; u < U; ++u) converged.part[u] &= ~active.part[u];
                    break;
                }
                Index last = l;
                for (int k = 0; k < L::count; ++k)
                    if (static_cast<Index>(m[k]) > last) last = static_cast<Index>(m[k]);
                chase(l, last, m, active);
                apply(l, last);
            }
        return converged;
    }

  private:
    M is_negligible(Index i) const {
        const L size = absolute(e[i]);
        return (size <= L::all(Limits<T>::eps / 2) * (absolute(d[i]) + absolute(d[i + 1]))) |
               (size <= L::all(Limits<T>::tiny_root));
    }

    /// One QL step of the block l ... m of each active lane: its rotations, and what they make of d and e.
    void chase(Index l, Index last, const L& m, const M& active) const {
        const L zero = L::all(0), one = L::all(1), two = L::all(2);
        const L off = select(active, e[l], one);
        const L half = (d[l + 1] - d[l]) / (two * off);
        const L length = square_root(half * half + one);
        L g = d[l];
        for (Index i = l + 1; i <= last; ++i) g = select(m == L::all(static_cast<T>(i)), d[i], g);
        g = g - d[l] + off / (half + select(half < zero, zero - length, length));
        L s = one, c = one, p = zero;
        for (Index i = last - 1; i >= l; --i) {
            const M on = active & (m > L::all(static_cast<T>(i)));
            const L f = s * e[i], b = c * e[i];
            const L squares = f * f + g * g;
            const M none = squares < L::all(Limits<T>::tiny);
            const L r = square_root(select(none, one, squares)), reciprocal = one / r;
            const L si = select(none, zero, f * reciprocal), ci = select(none, one, g * reciprocal);
            e[i + 1] = select(on, select(none, g, r), e[i + 1]);
            const L gi = d[i + 1] - p, t = (d[i] - gi) * si + two * ci * b, pi = si * t;
            d[i + 1] = select(on, gi + pi, d[i + 1]);
            g = select(on, ci * t - b, g), p = select(on, pi, p);
            s = select(on, si, s), c = select(on, ci, c);
            cosine[i] = select(on, ci, one), sine[i] = select(on, si, zero);
        }
        d[l] = select(active, d[l] - p, d[l]);
        e[l] = select(active, g, e[l]);
        for (Index i = l + 1; i <= last; ++i) e[i] = select(active & (m == L::all(static_cast<T>(i))), zero, e[i]);
    }

    /// The rotations of a step, applied to a few columns of Vt at a time: an element that two rotations change stays in
    /// a register between them.
    void apply(Index l, Index last) const {
        Index k = 0;
        for (; k + 4 <= n; k += 4) apply_to<4>(l, last, k);
        for (; k < n; ++k) apply_to<1>(l, last, k);
    }
    template <int columns>
    void apply_to(Index l, Index last, Index k) const {
        L carried[columns];
        for (int q = 0; q < columns; ++q) carried[q] = Vt[last * n + k + q];
        for (Index i = last - 1; i >= l; --i) {
            L* const row = Vt + i * n + k;
            const L c = cosine[i], s = sine[i];
            for (int q = 0; q < columns; ++q) {
                const L x = row[q];
                row[n + q] = s * x + c * carried[q];
                carried[q] = c * x - s * carried[q];
            }
        }
        for (int q = 0; q < columns; ++q) Vt[l * n + k + q] = carried[q];
    }
};

}  // namespace
}  // namespace curvblas::cpu::CURVBLAS_ISA

// Implicit QL with Wilkinson's shift on symmetric tridiagonal matrices, a lane a matrix (Golub and Van Loan 2013,
// section 8.3.3; EISPACK tql2). Included by *.isa.cpp only: all of it has internal linkage.
#pragma once

#include "cpu/lanes.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

/// How far rows of n x n lanes lie apart: an odd number, because rows that are 4 kB apart share cache lines' places,
/// and loads of one wait for stores to the other.
constexpr Index row_length(Index n) { return n | 1; }

constexpr Index most_iterations = 30;  // for each eigenvalue, on average; one to three are usual

template <class T>
struct Limits;
template <>
struct Limits<float> {
    static constexpr float eps = 0x1p-23f, tiny_root = 1e-15f;
};
template <>
struct Limits<double> {
    static constexpr double eps = 0x1p-52, tiny_root = 1e-140;
};

/// A step works on one block of each lane. A lane takes rotations by zero, which change nothing but the sign of zeros,
/// where another lane's block reaches beyond its own, and when it is done.
template <class T, int U>
struct ImplicitQL {
    using L = Lanes<T, U>;
    using M = Mask<T, U>;

    /// Steps whose rotations are applied together: a few columns of Vt stay in the first-level cache meanwhile.
    static constexpr Index most_steps = 4;

    const Index n;
    L *const d, *const e;          ///< diagonal and subdiagonal (n; the last one is 0)
    L *const cosine, *const sine;  ///< most_steps x n each: rotations that are still to be applied
    L* const Vt;  ///< n x n, in rows of row_length(n): what the rotations are applied to, from the left

    Index steps = 0, first[most_steps] = {}, last[most_steps] = {};  ///< rows that each step rotates

    /// d becomes the eigenvalues, row j of Vt the eigenvector of d[j]. Returns which lanes have converged.
    M iterate() {
        for (int iteration = 0; iteration < most_iterations * n; ++iteration) {
            const Blocks blocks = find_blocks();
            const M active = blocks.begin < blocks.end;
            if (!active.any()) break;
            first[steps] = n, last[steps] = 0;
            for (int k = 0; k < L::count; ++k) {
                if (!active[k]) continue;
                const Index l = static_cast<Index>(blocks.begin[k]), m = static_cast<Index>(blocks.end[k]);
                first[steps] = l < first[steps] ? l : first[steps], last[steps] = m > last[steps] ? m : last[steps];
            }
            chase(blocks, active);
            if (++steps == most_steps) apply();
        }
        apply();
        const Blocks left = find_blocks();
        return left.end <= left.begin;
    }

  private:
    /// The first block of each lane that is not diagonal yet, [begin, end]; both are 0 where there is none.
    struct Blocks {
        L begin, end;
    };
    Blocks find_blocks() const {
        Blocks blocks{L::all(0), L::all(0)};
        L end = L::all(static_cast<T>(n - 1));
        for (Index i = n - 2; i >= 0; --i) {
            const L here = L::all(static_cast<T>(i)), size = absolute(e[i]);
            const M is_negligible = (size <= L::all(Limits<T>::eps / 2) * (absolute(d[i]) + absolute(d[i + 1]))) |
                                    (size <= L::all(Limits<T>::tiny_root));
            blocks.begin = select(is_negligible, blocks.begin, here);
            blocks.end = select(is_negligible, blocks.end, end);
            end = select(is_negligible, here, end);
        }
        return blocks;
    }

    /// One QL step of the block of each active lane: its rotations, and what they make of d and e.
    void chase(const Blocks& blocks, const M& active) const {
        const Index begin = first[steps], end = last[steps];
        L *const cosines = cosine + steps * n, *const sines = sine + steps * n;
        const L zero = L::all(0), one = L::all(1), two = L::all(2);
        L d_begin = d[begin], d_next = d[begin + 1], off = e[begin], g = d[end];
        for (Index i = begin + 1; i < end; ++i) {
            const L here = L::all(static_cast<T>(i));
            const M is_begin = blocks.begin == here;
            d_begin = select(is_begin, d[i], d_begin), d_next = select(is_begin, d[i + 1], d_next);
            off = select(is_begin, e[i], off), g = select(blocks.end == here, d[i], g);
        }
        off = select(active, off, one);
        const L half = (d_next - d_begin) / (two * off);
        const L length = square_root(half * half + one);
        g = g - d_begin + off / (half + select(half < zero, zero - length, length));
        L s = one, c = one, p = zero;
        for (Index i = end - 1; i >= begin; --i) {
            const L here = L::all(static_cast<T>(i));
            const M on = active & (blocks.end > here) & (blocks.begin <= here);
            const L f = s * e[i], b = c * e[i];
            const L squares = f * f + g * g;
            const M none = squares < L::all(negligible_square<T>);
            const L r = square_root(select(none, one, squares)), reciprocal = one / r;
            const L si = select(none, zero, f * reciprocal), ci = select(none, one, g * reciprocal);
            e[i + 1] = select(on, select(none, g, r), e[i + 1]);
            const L gi = d[i + 1] - p, t = (d[i] - gi) * si + two * ci * b, pi = si * t;
            d[i + 1] = select(on, gi + pi, d[i + 1]);
            g = select(on, ci * t - b, g), p = select(on, pi, p);
            s = select(on, si, s), c = select(on, ci, c);
            cosines[i] = select(on, ci, one), sines[i] = select(on, si, zero);
            const M is_last = on & (blocks.begin == here);
            d[i] = select(is_last, d[i] - p, d[i]), e[i] = select(is_last, g, e[i]);
        }
        for (Index i = begin + 1; i <= end; ++i)
            e[i] = select(active & (blocks.end == L::all(static_cast<T>(i))), zero, e[i]);
    }

    /// The rotations of all steps, applied to a few columns of Vt at a time: an element that two rotations of a step
    /// change stays in a register between them.
    void apply() {
        Index k = 0;
        for (; k + 4 <= n; k += 4)
            for (Index step = 0; step < steps; ++step) apply_to<4>(step, k);
        for (; k < n; ++k)
            for (Index step = 0; step < steps; ++step) apply_to<1>(step, k);
        steps = 0;
    }
    template <int columns>
    void apply_to(Index step, Index k) const {
        const L *const cosines = cosine + step * n, *const sines = sine + step * n;
        const Index ld = row_length(n);
        L carried[columns];
        for (int q = 0; q < columns; ++q) carried[q] = Vt[last[step] * ld + k + q];
        for (Index i = last[step] - 1; i >= first[step]; --i) {
            L* const row = Vt + i * ld + k;
            const L c = cosines[i], s = sines[i];
            for (int q = 0; q < columns; ++q) {
                const L x = row[q];
                row[ld + q] = s * x + c * carried[q];
                carried[q] = c * x - s * carried[q];
            }
        }
        for (int q = 0; q < columns; ++q) Vt[first[step] * ld + k + q] = carried[q];
    }
};

}  // namespace
}  // namespace curvblas::cpu::CURVBLAS_ISA

// Cholesky factor, its inverse and the inverse of matrices that lie in lanes: 4 x 4 blocks of vectors whose lane l
// belongs to matrix l. Included by *.isa.cpp only: all of it has internal linkage.
#pragma once

#include "cpu/lane_pack.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

// Columns of a 4 x 4 block whose sums stay in registers, with what is multiplied: 16 of 32, or 8 of 16.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int strip = 4;
#else
constexpr int strip = 2;
#endif
/// The lower 4 x 4 blocks of a symmetric matrix, or a triangle, of vectors.
template <class W>
struct Blocks {
    W* data;
    Vector<W>* operator()(Index i, Index j) const {
        return reinterpret_cast<Vector<W>*>(data) + 16 * (i * (i + 1) / 2 + j);
    }
};

enum class Form : std::uint8_t { normal, transposed };

/// sum += x y for the columns from `first` on of 4 x 4 blocks.
template <class W, Form of_x, Form of_y>
inline void add_product(const Vector<W>* x, const Vector<W>* y, int first, Vector<W> (&sum)[4][strip]) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
        Vector<W> row[strip];
#pragma GCC unroll 4
        for (int b = 0; b < strip; ++b) row[b] = of_y == Form::normal ? y[4 * k + first + b] : y[4 * (first + b) + k];
#pragma GCC unroll 4
        for (int a = 0; a < 4; ++a) {
            const Vector<W> f = of_x == Form::normal ? x[4 * a + k] : x[4 * k + a];
#pragma GCC unroll 4
            for (int b = 0; b < strip; ++b) sum[a][b] += f * row[b];
        }
    }
}

/// x <- x y^T with y lower triangular.
template <class W>
inline void multiply_by_transposed_triangle(Vector<W>* x, const Vector<W>* y) {
#pragma GCC unroll 4
    for (int a = 0; a < 4; ++a) {
        const Vector<W> row[4] = {x[4 * a], x[4 * a + 1], x[4 * a + 2], x[4 * a + 3]};
#pragma GCC unroll 4
        for (int b = 0; b < 4; ++b) {
            Vector<W> sum = row[0] * y[4 * b];
            for (int k = 1; k <= b; ++k) sum += row[k] * y[4 * b + k];
            x[4 * a + b] = sum;
        }
    }
}

/// x <- -y x with y lower triangular.
template <class W>
inline void multiply_by_negative_triangle(const Vector<W>* y, Vector<W>* x) {
#pragma GCC unroll 4
    for (int b = 0; b < 4; ++b) {
        const Vector<W> column[4] = {x[b], x[4 + b], x[8 + b], x[12 + b]};
#pragma GCC unroll 4
        for (int a = 0; a < 4; ++a) {
            Vector<W> sum = y[4 * a] * column[0];
            for (int k = 1; k <= a; ++k) sum += y[4 * a + k] * column[k];
            x[4 * a + b] = -sum;
        }
    }
}

/// The product of the pivots, as mantissas in [1, 2) multiplied and exponents added: at most 2^64, so that it fits.
template <class W>
struct Determinant {
    using I = typename MaskOf<W>::type;
    static constexpr int mantissa = sizeof(W) == 4 ? 23 : 52;
    static constexpr I one = static_cast<I>((sizeof(W) == 4 ? I{127} : I{1023}) << mantissa);
    Vector<W> product = Vector<W>{} + 1;
    Vector<I> exponents = {};

    void multiply(Vector<W> pivot) {
        const Vector<I> bits = reinterpret_cast<const Vector<I>&>(pivot);
        exponents += (bits >> mantissa) - (one >> mantissa);
        const Vector<I> in_one_to_two = (bits & ((I{1} << mantissa) - 1)) | one;
        product *= reinterpret_cast<const Vector<W>&>(in_one_to_two);
    }
    /// The logarithms of all lanes: of a mantissa m as 2 atanh((m - 1) / (m + 1)), with the terms that W can tell.
    void logarithms(double* to) const {
        constexpr int terms = sizeof(W) == 4 ? 5 : 11;
        Determinant last;
        last.multiply(product);
        Vector<W> m = last.product;
        const auto is_large = m > W(1.41421356237309505);
        m = is_large ? m / 2 : m;
        const Vector<I> sum = exponents + last.exponents - is_large;  // which is -1 where it is true
        const Vector<W> x = (m - 1) / (m + 1), square = x * x;
        Vector<W> series = {};
        for (int k = terms - 1; k >= 0; --k) series = series * square + W(1) / static_cast<W>(2 * k + 1);
        series *= 2 * x;
        using Doubles = typename Neighbours<W, double>::type;
        *reinterpret_cast<Doubles*>(to) =
            __builtin_convertvector(series, Doubles) + 0.693147180559945309 * __builtin_convertvector(sum, Doubles);
    }
};

/// The inverse of the Cholesky factor of a symmetric 4 x 4 block, in place, zeros above its diagonal.
template <class W>
inline void invert_factor(Vector<W>* S, Determinant<W>& determinant) {
    using V = Vector<W>;
    V L[4][4], K[4][4];
#pragma GCC unroll 4
    for (int b = 0; b < 4; ++b) {
        V pivot = S[5 * b];
        for (int k = 0; k < b; ++k) pivot -= L[b][k] * L[b][k];
        determinant.multiply(pivot);
        K[b][b] = W(1) / square_root(pivot);  // NaN if the pivot is negative, Inf if it is zero
#pragma GCC unroll 4
        for (int a = b + 1; a < 4; ++a) {
            V sum = S[4 * a + b];
            for (int k = 0; k < b; ++k) sum -= L[a][k] * L[b][k];
            L[a][b] = sum * K[b][b];
        }
#pragma GCC unroll 4
        for (int j = 0; j < b; ++j) {
            V sum = L[b][j] * K[j][j];
            for (int k = j + 1; k < b; ++k) sum += L[b][k] * K[k][j];
            K[b][j] = -sum * K[b][b];
        }
    }
    for (int a = 0; a < 4; ++a)
        for (int b = 0; b < 4; ++b) S[4 * a + b] = b <= a ? K[a][b] : V{};
}

/// A = L L^T, left-looking: L below the diagonal blocks, their inverses on it.
template <class W>
void factor(Index blocks, const Blocks<W>& A, const Blocks<W>& L, Determinant<W>& determinant) {
    for (Index j = 0; j < blocks; ++j)
        for (Index i = j; i < blocks; ++i) {
            const Vector<W>* const a = A(i, j);
            Vector<W>* const to = L(i, j);
            for (int first = 0; first < 4; first += strip) {
                Vector<W> sum[4][strip] = {};
                const Vector<W>*x = L(i, 0), *y = L(j, 0);
                for (Index k = 0; k < j; ++k, x += 16, y += 16)
                    add_product<W, Form::normal, Form::transposed>(x, y, first, sum);
#pragma GCC unroll 4
                for (int r = 0; r < 4; ++r)
#pragma GCC unroll 4
                    for (int c = 0; c < strip; ++c) to[4 * r + first + c] = a[4 * r + first + c] - sum[r][c];
            }
            i == j ? invert_factor<W>(to, determinant) : multiply_by_transposed_triangle<W>(to, L(j, j));
        }
}

template <class W>
inline void store(const Vector<W> (&sum)[4][strip], int first, Vector<W>* to) {
#pragma GCC unroll 4
    for (int a = 0; a < 4; ++a)
#pragma GCC unroll 4
        for (int b = 0; b < strip; ++b) to[4 * a + first + b] = sum[a][b];
}

/// L^-1 in place of L, column by column, each from the diagonal down: L(i, j) is read once more, for M(i, j).
template <class W>
void invert_triangle(Index blocks, const Blocks<W>& L) {
    for (Index j = 0; j < blocks; ++j)
        for (Index i = j + 1; i < blocks; ++i) {
            Vector<W> product[16];
            for (int first = 0; first < 4; first += strip) {
                Vector<W> sum[4][strip] = {};
                for (Index k = j; k < i; ++k) add_product<W, Form::normal, Form::normal>(L(i, k), L(k, j), first, sum);
                store<W>(sum, first, product);
            }
            Vector<W>* const to = L(i, j);
            for (int e = 0; e < 16; ++e) to[e] = product[e];
            multiply_by_negative_triangle<W>(L(i, i), to);
        }
}

template <class T, class W>
inline Vector<W> rounded(Vector<W> x) {
    if constexpr (__is_same(T, W))
        return x;
    else {
        typedef T Narrow __attribute__((vector_size(sizeof(T) * lanes<W>)));
        return __builtin_convertvector(__builtin_convertvector(x, Narrow), Vector<W>);
    }
}

/// X = M^T M in place of M, rounded to T: row i of blocks needs none of the rows above, and its diagonal block last.
template <class T, class W>
void multiply_by_transpose(Index blocks, const Blocks<W>& M) {
    for (Index i = 0; i < blocks; ++i)
        for (Index j = 0; j <= i; ++j) {
            Vector<W> product[16];
            for (int first = 0; first < 4; first += strip) {
                Vector<W> sum[4][strip] = {};
                for (Index k = i; k < blocks; ++k)
                    add_product<W, Form::transposed, Form::normal>(M(k, i), M(k, j), first, sum);
                store<W>(sum, first, product);
            }
            Vector<W>* const to = M(i, j);
            for (int e = 0; e < 16; ++e) to[e] = rounded<T, W>(product[e]);
        }
}

/// y = S x; adds ||S||_F^2 to `squares`, without the rows that are padding (`inside` is 0 there, else 1).
template <class W, bool with_squares>
void multiply_symmetric(Index blocks, const Blocks<W>& S, const Vector<W>* inside, const Vector<W>* x, Vector<W>* y,
                        Vector<W>& squares) {
    using V = Vector<W>;
    V below = {}, diagonal = {};
    for (Index i = 0; i < blocks; ++i) {
        V sum[4] = {};
        const V x_i[4] = {x[4 * i], x[4 * i + 1], x[4 * i + 2], x[4 * i + 3]};
        for (Index j = 0; j < i; ++j) {
            const V* const block = S(i, j);
#pragma GCC unroll 4
            for (int b = 0; b < 4; ++b) {
                const V x_j = x[4 * j + b];
                V mirrored = y[4 * j + b], column = {};
#pragma GCC unroll 4
                for (int a = 0; a < 4; ++a) {
                    const V s = block[4 * a + b];
                    sum[a] += s * x_j, mirrored += s * x_i[a];
                    if (with_squares) column += s * s;
                }
                y[4 * j + b] = mirrored;
                if (with_squares) below += column;
            }
        }
        const V* const block = S(i, i);
#pragma GCC unroll 4
        for (int a = 0; a < 4; ++a) {
            V row = {};
#pragma GCC unroll 4
            for (int b = 0; b < 4; ++b) {
                const V s = block[4 * a + b];
                sum[a] += s * x_i[b];
                if (with_squares) row += s * s;
            }
            y[4 * i + a] = sum[a];
            if (with_squares) diagonal += row * inside[4 * i + a];
        }
    }
    if (with_squares) squares += below + below + diagonal;
}

}  // namespace
}  // namespace curvblas::cpu::CURVBLAS_ISA

// Products of rows that are much longer than there are rows (see long_rows.h). Nothing but the two tables leaves this
// file.
#include "cpu/long_rows.h"

#include "cpu/vector.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

// What is worked on at a time of all rows together: squares come back to it and find it in the first-level cache; where
// vectors alone are multiplied, it is long for the sake of memory.
constexpr Index chunk_bytes(bool squares) { return (squares ? 32 : 160) << 10; }
constexpr int edge = RowKernels<float>::edge;

/// The two halves of every group of 2 h lanes added up: first those of x, then those of y.
template <class W, int h>
inline Vector<W> add_halves(Vector<W> x, Vector<W> y) {
    constexpr int L = lanes<W>;
    Vector<typename MaskOf<W>::type> low, high;
#pragma GCC unroll 16
    for (int l = 0; l < L; ++l) {
        low[l] = (l < L / 2 ? 0 : L) + l % (L / 2) / h * 2 * h + l % h;
        high[l] = low[l] + h;
    }
    return __builtin_shuffle(x, y, low) + __builtin_shuffle(x, y, high);
}

/// Lane l is the sum of the lanes of x[l]; each level halves the vectors that are left, 2 h of them. Spoils x.
template <class W, int h = lanes<W> / 2>
inline Vector<W> sums_of(Vector<W>* x) {
    if constexpr (h == 0) {
        return x[0];
    } else {
#pragma GCC unroll 16
        for (int k = 0; k < h; ++k) x[k] = add_halves<W, h>(x[2 * k], x[2 * k + 1]);
        return sums_of<W, h / 2>(x);
    }
}

/// The elements of each of so many rows that are worked on at a time: n of them in chunks of about the same length, in
/// whole cache lines.
template <class T>
Index chunk_of(Index rows, Index n, bool squares) {
    constexpr Index least = 64, line = 16;
    constexpr Index most = 4096 / static_cast<Index>(sizeof(T));  // four of them in the first-level cache
    const Index fitting = chunk_bytes(squares) / ((rows > 0 ? rows : 1) * static_cast<Index>(sizeof(T)));
    const Index length = fitting < least ? least : fitting < most ? fitting : most, chunks = (n + length - 1) / length;
    return chunks <= 1 ? n : (n + chunks * line - 1) / (chunks * line) * line;
}

/// Rows that are read next, in the columns that follow: while a tile works on its columns, as many of these are
/// fetched.
template <class T>
struct Next {
    const T* data;
    Index count, stride;

    void fetch(Index k) const {
        for (Index r = 0; r < count; ++r) __builtin_prefetch(data + r * stride + k);
    }
};

/// The rows of the tile after that of row j, of columns from k on, or at last the first ones of the next chunk.
template <class T>
inline Next<T> rows_after(const LongRows<T>& rows, Index j, Index k, Index chunk) {
    const bool is_last = j + edge >= rows.count;
    const Index row = is_last ? 0 : j + edge, left = rows.count - row;
    return {rows.data + row * rows.stride + (is_last ? k + chunk : k), left < edge ? left : edge, rows.stride};
}

/// Products of `rows` rows of A and `columns` of B, of which those above the diagonal are left out if `lower`.
template <class T, class W, int rows, int columns, bool lower>
class Products {
  public:
    void add(const T* a, Index a_stride, const T* b, Index b_stride) {
        add(a, a_stride, b, b_stride, [](const T* x) { return widened<T, W>(x); });
    }
    /// Of `count` columns, fewer than there are lanes.
    void add_rest(const T* a, Index a_stride, const T* b, Index b_stride, Index count) {
        add(a, a_stride, b, b_stride, [=](const T* x) { return widened_rest<T, W>(x, count); });
    }

    /// Sum i * columns + j of a tile's sixteen.
    void add_to(double* sums) {
        constexpr int L = lanes<W>, D = lanes<double>;
#pragma GCC unroll 16
        for (int first = 0; first < whole; first += L) {
            const Vector<W> some = sums_of<W>(sum_ + first);
            W each[L];
            *reinterpret_cast<Vector<W>*>(each) = some;
#pragma GCC unroll 16
            for (int l = 0; l < L; l += D)
                *reinterpret_cast<Vector<double>*>(sums + first + l) += widened<W, double>(each + l);
        }
    }

  private:
    template <class Load>
    void add(const T* a, Index a_stride, const T* b, Index b_stride, const Load& load) {
        Vector<W> y[columns];
#pragma GCC unroll 4
        for (int j = 0; j < columns; ++j) y[j] = load(b + j * b_stride);
#pragma GCC unroll 4
        for (int i = 0; i < rows; ++i) {
            const Vector<W> x = lower ? y[i] : load(a + i * a_stride);  // A is B
#pragma GCC unroll 4
            for (int j = 0; j < columns; ++j)
                if (!lower || j <= i) sum_[i * columns + j] += x * y[j];
        }
    }

    static constexpr int whole = (rows * columns + lanes<W> - 1) / lanes<W> * lanes<W>;
    Vector<W> sum_[whole] = {};
};

template <class T, class W, int rows, int columns, bool lower>
void add_products_of_tile(const T* a, Index a_stride, const T* b, Index b_stride, Index n, Next<T> next, double* sums) {
    constexpr int L = lanes<W>;
    Products<T, W, rows, columns, lower> products;
    Index k = 0;
    for (; k + L <= n; k += L) {
        next.fetch(k);
        products.add(a + k, a_stride, b + k, b_stride);
    }
    if (k < n) products.add_rest(a + k, a_stride, b + k, b_stride, n - k);
    products.add_to(sums);
}

/// `rows` and `columns` at run time.
template <class T, class W, int rows = edge, int columns = edge>
void add_tile(int height, int width, bool lower, const T* a, Index a_stride, const T* b, Index b_stride, Index n,
              Next<T> next, double* sums) {
    if constexpr (rows > 1)
        if (height < rows)
            return add_tile<T, W, rows - 1, columns>(height, width, lower, a, a_stride, b, b_stride, n, next, sums);
    if constexpr (columns > 1)
        if (width < columns)
            return add_tile<T, W, rows, columns - 1>(height, width, lower, a, a_stride, b, b_stride, n, next, sums);
    if constexpr (rows == columns)
        if (lower) return add_products_of_tile<T, W, rows, columns, true>(a, a_stride, b, b_stride, n, next, sums);
    add_products_of_tile<T, W, rows, columns, false>(a, a_stride, b, b_stride, n, next, sums);
}

template <class T, class W>
void add_all(const LongRows<T>& R, const LongRows<T>& V, Index n, bool squares, double* sums) {
    const Index chunk = chunk_of<T>(R.count + V.count, n, squares);
    const Index high = (R.count + edge - 1) / edge, pairs = high * (high + 1) / 2;
    const Index share = (R.count + pairs - 1) / (pairs > 0 ? pairs : 1);  // of the next chunk, a tile
    for (Index k = 0; k < n; k += chunk) {
        const Index length = n - k < chunk ? n - k : chunk;
        double* tile = sums;
        const auto add = [&](Index i, const LongRows<T>& B, Index j, bool lower, const Next<T>& next) {
            const int height = static_cast<int>(R.count - i < edge ? R.count - i : edge);
            const int width = static_cast<int>(B.count - j < edge ? B.count - j : edge);
            add_tile<T, W>(height, width, lower, R.data + i * R.stride + k, R.stride, B.data + j * B.stride + k,
                           B.stride, length, next, tile);
            tile += edge * edge;
        };
        Index row = 0;
        for (Index i = 0; i < R.count && squares; i += edge)
            for (Index j = 0; j <= i; j += edge, row += share) {
                const Index left = R.count > row ? R.count - row : 0;
                add(i, R, j, j == i, {R.data + row * R.stride + k + chunk, left < share ? left : share, R.stride});
            }
        for (Index i = 0; i < R.count; i += edge)
            for (Index j = 0; j < V.count; j += edge)
                add(i, V, j, false,
                    !squares ? rows_after(R, i, k, chunk)
                    : i == 0 ? rows_after(V, j, k, chunk)
                             : Next<T>{});
    }
}

template <class T>
void add_products(const LongRows<T>& R, const LongRows<T>& V, Index n, bool squares, bool exact, double* sums) {
    if (exact)
        add_all<T, double>(R, V, n, squares, sums);
    else
        add_all<T, T>(R, V, n, squares, sums);
}

/// sums += Q R for p rows of sums and `rows` of R, which are read along: memory sees a few streams.
template <class T, int rows>
void add_rows(Index p, const double* Q, Index Q_stride, const T* R, Index R_stride, Index n, const Next<T>& next,
              double* sums, Index stride) {
    constexpr int L = lanes<double>;
    Index j = 0;
    for (; j + L <= n; j += L) {
        next.fetch(j);
        Vector<double> x[rows];
#pragma GCC unroll 4
        for (int r = 0; r < rows; ++r) x[r] = widened<T, double>(R + r * R_stride + j);
        for (Index i = 0; i < p; ++i) {
            Vector<double>& to = *reinterpret_cast<Vector<double>*>(sums + i * stride + j);
            Vector<double> sum = to;
#pragma GCC unroll 4
            for (int r = 0; r < rows; ++r) sum += Q[i * Q_stride + r] * x[r];
            to = sum;
        }
    }
    for (; j < n; ++j)
        for (Index i = 0; i < p; ++i)
            for (int r = 0; r < rows; ++r)
                sums[i * stride + j] += Q[i * Q_stride + r] * static_cast<double>(R[r * R_stride + j]);
}

/// sums = w g for n elements; zeros without g (null).
template <class T>
void begin_row(double w, const T* g, Index n, double* sums) {
    constexpr int L = lanes<double>;
    Index j = 0;
    for (; j + L <= n && g; j += L) *reinterpret_cast<Vector<double>*>(sums + j) = w * widened<T, double>(g + j);
    for (; j < n; ++j) sums[j] = g ? w * static_cast<double>(g[j]) : 0;
}

/// P = sums for n elements.
template <class T>
void end_row(const double* sums, Index n, const Next<T>& next, T* P) {
    constexpr int L = lanes<double>;
    using Narrow = typename Neighbours<double, T>::type;
    Index j = 0;
    for (; j + L <= n; j += L) {
        next.fetch(j);
        *reinterpret_cast<Narrow*>(P + j) = __builtin_convertvector(widened<double, double>(sums + j), Narrow);
    }
    for (; j < n; ++j) P[j] = static_cast<T>(sums[j]);
}

constexpr Index gap = 8;  // rows of sums that lie 4 kB apart wait for each other

/// Columns [j, j + n) of rows [i, i + p) of P, whose sums stay in the first-level cache.
template <class T>
void combine_some(const Combination<T>& of, Index i, Index p, Index j, Index n, Index chunk, double* sums) {
    const Index stride = chunk + gap;
    for (Index r = 0; r < p; ++r)
        begin_row(of.w ? of.w[i + r] : 0, of.w ? of.G + (i + r) * of.G_stride + j : nullptr, n, sums + r * stride);
    const double* Q = of.Q + i * of.Q_stride;
    const LongRows<T>* const both[] = {&of.R, &of.R_2};
    for (const LongRows<T>* rows : both) {
        const T* const R = rows->data + j;
        Index k = 0;
        for (; k + edge <= rows->count; k += edge)
            add_rows<T, edge>(p, Q + k, of.Q_stride, R + k * rows->stride, rows->stride, n,
                              rows_after(*rows, k, j, chunk), sums, stride);
        for (; k + 2 <= rows->count; k += 2)
            add_rows<T, 2>(p, Q + k, of.Q_stride, R + k * rows->stride, rows->stride, n, {}, sums, stride);
        if (k < rows->count)
            add_rows<T, 1>(p, Q + k, of.Q_stride, R + k * rows->stride, rows->stride, n, {}, sums, stride);
        Q += rows->count;
    }
    for (Index r = 0; r < p; ++r) {
        const T* const g = of.w ? of.G + (i + r) * of.G_stride + j : nullptr;
        end_row(sums + r * stride, n, Next<T>{g ? g + chunk : nullptr, g ? 1 : 0, 0}, of.P + (i + r) * of.P_stride + j);
    }
}

template <class T>
void combine(const Combination<T>& of) {
    constexpr Index words = 3072, most_rows = 16, longest = 1024, step = 64;
    double sums[words + most_rows * gap];
    const Index rows = of.p < most_rows ? of.p : most_rows, fitting = words / (rows > 0 ? rows : 1) / step * step;
    const Index chunk = fitting < longest ? fitting : longest;
    for (Index j = 0; j < of.n; j += chunk)
        for (Index i = 0; i < of.p; i += most_rows)
            combine_some(of, i, of.p - i < most_rows ? of.p - i : most_rows, j, of.n - j < chunk ? of.n - j : chunk,
                         chunk, sums);
}

template <class T>
void subtract(const T* x, T* y, Index n, double* sums) {
    constexpr int L = lanes<double>, unroll = 2;
    Vector<double> before[unroll] = {}, after[unroll] = {};
    Index j = 0;
    for (; j + unroll * L <= n; j += unroll * L)
#pragma GCC unroll 2
        for (int u = 0; u < unroll; ++u) {
            using Narrow = typename Neighbours<double, T>::type;
            Narrow& to = *reinterpret_cast<Narrow*>(y + j + u * L);
            to = *reinterpret_cast<const Narrow*>(x + j + u * L) - to;
            const Vector<double> old = widened<T, double>(x + j + u * L), left = widened<T, double>(y + j + u * L);
            before[u] += old * old, after[u] += left * left;
        }
    sums[0] += sum_of<double>(before[0] + before[1]), sums[1] += sum_of<double>(after[0] + after[1]);
    for (; j < n; ++j) {
        y[j] = x[j] - y[j];
        const double old = static_cast<double>(x[j]), left = static_cast<double>(y[j]);
        sums[0] += old * old, sums[1] += left * left;
    }
}

template <class T>
void scale(double factor, T* x, Index n) {
    constexpr int L = lanes<double>;
    using Narrow = typename Neighbours<double, T>::type;
    Index j = 0;
    for (; j + L <= n; j += L)
        *reinterpret_cast<Narrow*>(x + j) = __builtin_convertvector(factor * widened<T, double>(x + j), Narrow);
    for (; j < n; ++j) x[j] = static_cast<T>(factor * static_cast<double>(x[j]));
}

}  // namespace

extern const RowKernels<float> row_kernels_float32;
extern const RowKernels<double> row_kernels_float64;
const RowKernels<float> row_kernels_float32 = {add_products<float>, combine<float>, subtract<float>, scale<float>};
const RowKernels<double> row_kernels_float64 = {add_products<double>, combine<double>, subtract<double>, scale<double>};

}  // namespace curvblas::cpu::CURVBLAS_ISA

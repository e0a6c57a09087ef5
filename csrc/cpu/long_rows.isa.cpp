// Products of rows that are much longer than there are rows (see long_rows.h). Nothing but the two tables leaves this
// file.
#include "cpu/long_rows.h"

#include "cpu/vector.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

constexpr Index line = 64;                // bytes
constexpr Index chunk_bytes = 160 << 10;  // of all rows together: they stay in the second-level cache
constexpr int edge = RowKernels<float>::edge;

/// Neighbours in memory, as W.
template <class T, class W>
inline Vector<W> widened(const T* x) {
#if defined(__AVX512F__)  // gcc 12 converts each half apart
    if constexpr (sizeof(T) < sizeof(W)) return _mm512_maskz_cvtps_pd(0xff, _mm256_loadu_ps(x));
#endif
    return __builtin_convertvector(*reinterpret_cast<const typename Neighbours<W, T>::type*>(x), Vector<W>);
}

template <class T>
inline void store(Vector<double> x, T* to) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) return _mm256_storeu_ps(to, _mm512_maskz_cvtpd_ps(0xff, x));
#endif
    using Narrow = typename Neighbours<double, T>::type;
    *reinterpret_cast<Narrow*>(to) = __builtin_convertvector(x, Narrow);
}

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

/// The elements of each of so many rows that are worked on at a time.
template <class T>
Index chunk_of(Index rows) {
    constexpr Index least = 64, most = 4096 / static_cast<Index>(sizeof(T));  // four of them in the first-level cache
    const Index fitting = chunk_bytes / ((rows > 0 ? rows : 1) * static_cast<Index>(sizeof(T))) / least * least;
    return fitting < least ? least : fitting < most ? fitting : most;
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

/// Hands the rows of the next chunk out among `turns` tiles.
template <class T>
class NextChunk {
  public:
    NextChunk(const LongRows<T>& rows, Index turns)
        : rows_(rows), share_((rows.count + turns - 1) / (turns > 0 ? turns : 1)) {}

    void begin(Index k) { k_ = k, row_ = 0; }
    Next<T> take() {
        const Index left = rows_.count - row_, count = left < share_ ? left : share_;
        const Next<T> next{rows_.data + row_ * rows_.stride + k_, count, rows_.stride};
        row_ += count;
        return next;
    }

  private:
    const LongRows<T>& rows_;
    const Index share_;
    Index k_ = 0, row_ = 0;
};

/// Products of `rows` rows of A and `columns` of B, of which those above the diagonal are left out if `lower`.
template <class T, class W, int rows, int columns, bool lower>
class Products {
  public:
    void add(const T* a, Index a_stride, const T* b, Index b_stride) {
        Vector<W> y[columns];
#pragma GCC unroll 4
        for (int j = 0; j < columns; ++j) y[j] = widened<T, W>(b + j * b_stride);
#pragma GCC unroll 4
        for (int i = 0; i < rows; ++i) {
            const Vector<W> x = lower ? y[i] : widened<T, W>(a + i * a_stride);  // A is B
#pragma GCC unroll 4
            for (int j = 0; j < columns; ++j)
                if (!lower || j <= i) sum_[i * columns + j] += x * y[j];
        }
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
    static constexpr int whole = (rows * columns + lanes<W> - 1) / lanes<W> * lanes<W>;
    Vector<W> sum_[whole] = {};
};

/// The elements from k on that no vector holds, and zeros behind them.
template <class T, int width>
__attribute__((noinline)) void copy_rest(int rows, const T* from, Index stride, Index count, T* to) {
    for (int i = 0; i < rows; ++i)
        for (int l = 0; l < width; ++l) to[i * width + l] = l < count ? from[i * stride + l] : T(0);
}

template <class T, class W, int rows, int columns, bool lower>
void add_products_of_tile(const T* a, Index a_stride, const T* b, Index b_stride, Index n, Next<T> next, double* sums) {
    constexpr int L = lanes<W>;
    Products<T, W, rows, columns, lower> products;
    Index k = 0;
    for (; k + L <= n; k += L) {
        next.fetch(k);
        products.add(a + k, a_stride, b + k, b_stride);
    }
    if (k < n) {
        T left[edge * L], right[edge * L];
        copy_rest<T, L>(rows, a + k, a_stride, n - k, left);
        copy_rest<T, L>(columns, b + k, b_stride, n - k, right);
        products.add(left, L, right, L);
    }
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
    const Index chunk = chunk_of<T>(R.count + V.count);
    const Index high = (R.count + edge - 1) / edge, wide = (V.count + edge - 1) / edge;
    NextChunk<T> next_R(R, squares ? high * (high + 1) / 2 : high * wide), next_V(V, high * wide);
    for (Index k = 0; k < n; k += chunk) {
        const Index length = n - k < chunk ? n - k : chunk;
        double* tile = sums;
        const auto add = [&](Index i, const LongRows<T>& B, Index j, bool lower, NextChunk<T>& next) {
            const int height = static_cast<int>(R.count - i < edge ? R.count - i : edge);
            const int width = static_cast<int>(B.count - j < edge ? B.count - j : edge);
            add_tile<T, W>(height, width, lower, R.data + i * R.stride + k, R.stride, B.data + j * B.stride + k,
                           B.stride, length, next.take(), tile);
            tile += edge * edge;
        };
        next_R.begin(k + chunk), next_V.begin(k + chunk);
        for (Index i = 0; i < R.count && squares; i += edge)
            for (Index j = 0; j <= i; j += edge) add(i, R, j, j == i, next_R);
        for (Index i = 0; i < R.count; i += edge)
            for (Index j = 0; j < V.count; j += edge) add(i, V, j, false, next_V);
    }
}

template <class T>
void add_products(const LongRows<T>& R, const LongRows<T>& V, Index n, bool squares, double* sums) {
    if (R.count <= RowKernels<T>::most_exact)
        add_all<T, double>(R, V, n, squares, sums);
    else
        add_all<T, T>(R, V, n, squares, sums);
}

/// `rows` rows of P for the columns of `vectors` vectors, from column j on.
template <class T, int rows, int vectors>
void combine_tile(const Combination<T>& of, Index i, Index j) {
    constexpr int L = lanes<double>;
    using W = Vector<double>;
    const double* const Q = of.Q + i * of.Q_stride;
    W sum[rows][vectors] = {};
    if (of.w)
        for (int r = 0; r < rows; ++r)
            for (int v = 0; v < vectors; ++v)
                sum[r][v] = of.w[i + r] * widened<T, double>(of.G + (i + r) * of.G_stride + j + v * L);
    const T* R = of.R.data + j;
    for (Index k = 0; k < of.R.count; ++k, R += of.R.stride) {
        W x[vectors];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) x[v] = widened<T, double>(R + v * L);
#pragma GCC unroll 4
        for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) sum[r][v] += Q[r * of.Q_stride + k] * x[v];
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) store(sum[r][v], of.P + (i + r) * of.P_stride + j + v * L);
}

/// Columns [j, last) of `rows` rows of P; what vectors leave, one by one.
template <class T, int rows>
void combine_rows(const Combination<T>& of, Index i, Index j, Index last, const Next<T>& next) {
    constexpr int vectors = rows == 1 ? 2 * edge : edge, L = lanes<double>;
    const Index begin = j;
    for (; j + vectors * L <= last; j += vectors * L) {
        for (Index k = 0; k < vectors * L; k += line / static_cast<Index>(sizeof(T))) next.fetch(j - begin + k);
        combine_tile<T, rows, vectors>(of, i, j);
    }
    for (; j + L <= last; j += L) combine_tile<T, rows, 1>(of, i, j);
    for (; j < last; ++j)
        for (Index r = i; r < i + rows; ++r) {
            double sum = of.w ? of.w[r] * static_cast<double>(of.G[r * of.G_stride + j]) : 0;
            for (Index k = 0; k < of.R.count; ++k)
                sum += of.Q[r * of.Q_stride + k] * static_cast<double>(of.R.data[k * of.R.stride + j]);
            of.P[r * of.P_stride + j] = static_cast<T>(sum);
        }
}

template <class T>
void combine(const Combination<T>& of) {
    const Index chunk = chunk_of<T>(of.R.count);
    NextChunk<T> next(of.R, (of.p + edge - 1) / edge);
    for (Index j = 0; j < of.n; j += chunk) {
        const Index last = of.n - j < chunk ? of.n : j + chunk;
        next.begin(last);
        Index i = 0;
        for (; i + edge <= of.p; i += edge) {
            combine_rows<T, edge>(of, i, j, last, next.take());
        }
        for (; i < of.p; ++i) combine_rows<T, 1>(of, i, j, last, next.take());
    }
}

}  // namespace

extern const RowKernels<float> row_kernels_float32;
extern const RowKernels<double> row_kernels_float64;
const RowKernels<float> row_kernels_float32 = {add_products<float>, combine<float>};
const RowKernels<double> row_kernels_float64 = {add_products<double>, combine<double>};

}  // namespace curvblas::cpu::CURVBLAS_ISA

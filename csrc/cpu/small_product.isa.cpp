// Products of small matrices in registers. Nothing but the two tables leaves this file.
#include "cpu/small_product.h"

#include "cpu/vector.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

// A register block has most_rows rows and up to most_vectors vectors of columns. With one vector 8 rows hide the
// latency of the multiply-adds.
constexpr int most_vectors = 3;
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int most_rows = 8;  // 24 accumulators of 32 registers
constexpr Index most_bytes = Index{3} << 19;
#else
constexpr int most_rows = 4;  // 12 accumulators of 16 registers
constexpr Index most_bytes = Index{1} << 18;
#endif

/// `vectors` vectors of columns, of which the last one begins at column `last` and may overlap the one before: the
/// elements that both hold are written twice, with the same bits.
template <class T, int width, int rows, int vectors>
void multiply_block(const Matrix<const T>& A, Index i, const T* b, Index ldb, T* c, Index ldc, Index last) {
    typedef typename VectorOf<T, width* static_cast<int>(sizeof(T))>::type V;
    const Index step = A.row_stride, next = A.column_stride;
    const T* a = A.data + i * step;
    V sum[rows][vectors] = {};
    for (Index k = A.columns; k > 0; --k, a += next, b += ldb) {
        V columns[vectors];
        for (int v = 0; v < vectors; ++v)
            columns[v] = *reinterpret_cast<const V*>(b + (v + 1 < vectors ? v * width : last));
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; ++v) sum[r][v] += a[r * step] * columns[v];
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r, c += ldc)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) *reinterpret_cast<V*>(c + (v + 1 < vectors ? v * width : last)) = sum[r][v];
}

/// Rows [first, end) of C for `vectors` vectors of columns, in blocks of `height` rows; `rows` is tried for the height.
template <class T, int width, int vectors, int rows>
void multiply_rows(Index height, const Matrix<const T>& A, Index first, Index end, const T* b, Index ldb, T* c,
                   Index ldc, Index last) {
    if constexpr (rows > 1)
        if (height < rows)
            return multiply_rows<T, width, vectors, rows - 1>(height, A, first, end, b, ldb, c, ldc, last);
    for (Index i = first; i < end; i += rows)
        multiply_block<T, width, rows, vectors>(A, i, b, ldb, c + i * ldc, ldc, last);
}

/// All rows, in blocks of about equal height.
template <class T, int width, int vectors>
void multiply_columns(const Matrix<const T>& A, const T* b, Index ldb, T* c, Index ldc, Index last) {
    constexpr int most = vectors == 1 ? 8 : most_rows;
    const Index m = A.rows, blocks = (m + most - 1) / most, height = (m + blocks - 1) / blocks, rest = m % height;
    multiply_rows<T, width, vectors, most>(height, A, 0, m - rest, b, ldb, c, ldc, last);
    if (rest > 0) multiply_rows<T, width, vectors, most>(rest, A, m - rest, m, b, ldb, c, ldc, last);
}

/// Columns [first, end) of C, at least `width` of them.
template <class T, int width>
void multiply_panels(const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C, Index first, Index end) {
    const Index vectors = (end - first + width - 1) / width;
    const Index panels = (vectors + most_vectors - 1) / most_vectors, each = (vectors + panels - 1) / panels;
    for (Index v = 0; v < vectors; v += each) {
        const Index count = each < vectors - v ? each : vectors - v, reached = first + (v + count) * width;
        const Index last = (reached < end ? reached : end) - width, j = count == 1 ? last : first + v * width;
        const auto run = [&](auto columns) {
            columns(A, B.data + j, B.row_stride, C.data + j, C.row_stride, last - j);
        };
        if (count == 1) run(multiply_columns<T, width, 1>);
        if constexpr (width > 1)
            if (count == 2) run(multiply_columns<T, width, 2>);
        if constexpr (width == lanes<T>)  // narrower vectors are for less than two of them
            if (count == 3) run(multiply_columns<T, width, 3>);
    }
}

/// Of the columns beyond the whole vectors, those that half a vector holds: 512 bits take twice the time of 256.
template <class T>
void multiply_wide(const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C) {
    const Index n = C.columns, rest = n % lanes<T>;
    if constexpr (vector_bytes == 64) {
        constexpr int half = lanes<T> / 2;
        if (rest > 0 && rest <= half) {
            multiply_panels<T, lanes<T>>(A, B, C, 0, n - rest);
            return multiply_panels<T, half>(A, B, C, n - half, n);
        }
    }
    multiply_panels<T, lanes<T>>(A, B, C, 0, n);
}

// The widest vectors that are not wider than C.
template <class T>
void multiply(const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C) {
    const Index n = C.columns;
    if (A.rows == 0 || n == 0) return;
    if (n >= lanes<T>) return multiply_wide(A, B, C);
    if constexpr (lanes<T> > 8)
        if (n >= 8) return multiply_panels<T, 8>(A, B, C, 0, n);
    if constexpr (lanes<T> > 4)
        if (n >= 4) return multiply_panels<T, 4>(A, B, C, 0, n);
    if constexpr (lanes<T> > 2)
        if (n >= 2) return multiply_panels<T, 2>(A, B, C, 0, n);
    multiply_panels<T, 1>(A, B, C, 0, n);
}

}  // namespace

extern const SmallProduct<float> small_product_float32;
extern const SmallProduct<double> small_product_float64;
const SmallProduct<float> small_product_float32 = {multiply<float>, most_bytes};
const SmallProduct<double> small_product_float64 = {multiply<double>, most_bytes};

}  // namespace curvblas::cpu::CURVBLAS_ISA

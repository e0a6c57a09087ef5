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

/// A matrix that is read soon: so many cache lines of it are fetched with each register block.
struct Fetch {
    static constexpr Index line = 64, most = 64;  // more lines at a time only wait for each other
    const char* next = nullptr;
    Index lines = 0;

    void some() {
        for (Index k = 0; k < lines; ++k) __builtin_prefetch(next + k * line);
        next += lines * line;
    }
};

/// What is fetched during a product; the second kind costs small matrices nothing.
struct NextProduct {
    Fetch first, second;

    void fetch() { first.some(), second.some(); }
};
struct NothingAhead {
    void fetch() const {}
};

/// `vectors` vectors of columns, of which the last one begins at column `last` and may overlap the one before: the
/// elements that both hold are written twice, with the same bits.
template <class T, int width, int rows, int vectors, class Next>
void multiply_block(const Matrix<const T>& A, Index i, const T* b, Index ldb, T* c, Index ldc, Index last,
                    Next& ahead) {
    typedef typename VectorOf<T, width* static_cast<int>(sizeof(T))>::type V;
    const Index step = A.row_stride, next = A.column_stride;
    const T* a = A.data + i * step;
    V sum[rows][vectors] = {};
    ahead.fetch();
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
template <class T, int width, int vectors, int rows, class Next>
void multiply_rows(Index height, const Matrix<const T>& A, Index first, Index end, const T* b, Index ldb, T* c,
                   Index ldc, Index last, Next& ahead) {
    if constexpr (rows > 1)
        if (height < rows)
            return multiply_rows<T, width, vectors, rows - 1>(height, A, first, end, b, ldb, c, ldc, last, ahead);
    for (Index i = first; i < end; i += rows)
        multiply_block<T, width, rows, vectors>(A, i, b, ldb, c + i * ldc, ldc, last, ahead);
}

/// All rows, in blocks of about equal height.
template <class T, int width, int vectors, class Next>
void multiply_columns(const Matrix<const T>& A, const T* b, Index ldb, T* c, Index ldc, Index last, Next& ahead) {
    constexpr int most = vectors == 1 ? 8 : most_rows;
    const Index m = A.rows;
    if (m <= most)
        return multiply_rows<T, width, vectors, most>(m, A, 0, m, b, ldb, c, ldc, last, ahead);  // no divisions
    const Index blocks = (m + most - 1) / most, height = (m + blocks - 1) / blocks, rest = m % height;
    multiply_rows<T, width, vectors, most>(height, A, 0, m - rest, b, ldb, c, ldc, last, ahead);
    if (rest > 0) multiply_rows<T, width, vectors, most>(rest, A, m - rest, m, b, ldb, c, ldc, last, ahead);
}

/// Columns [first, end) of C, at least `width` of them.
template <class T, int width, class Next>
void multiply_panels(const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C, Index first, Index end,
                     Next& ahead) {
    const Index vectors = (end - first + width - 1) / width;
    const Index panels = (vectors + most_vectors - 1) / most_vectors;
    const Index each = panels == 1 ? vectors : (vectors + panels - 1) / panels;
    for (Index v = 0; v < vectors; v += each) {
        const Index count = each < vectors - v ? each : vectors - v, reached = first + (v + count) * width;
        const Index last = (reached < end ? reached : end) - width, j = count == 1 ? last : first + v * width;
        const auto run = [&](auto columns) {
            columns(A, B.data + j, B.row_stride, C.data + j, C.row_stride, last - j, ahead);
        };
        if (count == 1) run(multiply_columns<T, width, 1, Next>);
        if constexpr (width > 1)
            if (count == 2) run(multiply_columns<T, width, 2, Next>);
        if constexpr (width == lanes<T>)  // narrower vectors are for less than two of them
            if (count == 3) run(multiply_columns<T, width, 3, Next>);
    }
}

/// Of the columns beyond the whole vectors, those that half a vector holds: 512 bits take twice the time of 256.
template <class T, class Next>
void multiply_wide(const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C, Next& ahead) {
    const Index n = C.columns, rest = n % lanes<T>;
    if constexpr (vector_bytes == 64) {
        constexpr int half = lanes<T> / 2;
        if (rest > 0 && rest <= half) {
            multiply_panels<T, lanes<T>>(A, B, C, 0, n - rest, ahead);
            return multiply_panels<T, half>(A, B, C, n - half, n, ahead);
        }
    }
    multiply_panels<T, lanes<T>>(A, B, C, 0, n, ahead);
}

/// C = A B where B is width x width, at most 8 x 8: its rows stay in registers, so that each multiply-add loads one
/// element of A and nothing else. Sixteen registers for 16 x 16 gained nothing.
template <class T, int width, class Next>
void multiply_kept(const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C, Next& ahead) {
    typedef typename VectorOf<T, width* static_cast<int>(sizeof(T))>::type V;
    V rows[width];
#pragma GCC unroll 8
    for (int k = 0; k < width; ++k) rows[k] = *reinterpret_cast<const V*>(B.data + k * B.row_stride);
    const Index next = A.column_stride;
    for (Index i = 0; i < A.rows; ++i) {
        if (i % most_rows == 0) ahead.fetch();
        const T* const a = A.row(i);
        V sum = {};
#pragma GCC unroll 8
        for (int k = 0; k < width; ++k) sum += a[k * next] * rows[k];
        *reinterpret_cast<V*>(C.row(i)) = sum;
    }
}

// The widest vectors that are not wider than C.
template <class T, class Next>
void multiply_ahead(const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C, Next ahead) {
    const Index n = C.columns;
    if (A.rows == 0 || n == 0) return;
    if constexpr (lanes<T> <= 8)
        if (n == lanes<T> && A.columns == n) return multiply_kept<T, lanes<T>>(A, B, C, ahead);
    if (n >= lanes<T>) return multiply_wide(A, B, C, ahead);
    if constexpr (lanes<T> > 8) {
        if (n == 8 && A.columns == n) return multiply_kept<T, 8>(A, B, C, ahead);
        if (n >= 8) return multiply_panels<T, 8>(A, B, C, 0, n, ahead);
    }
    if constexpr (lanes<T> > 4)
        if (n >= 4) return multiply_panels<T, 4>(A, B, C, 0, n, ahead);
    if constexpr (lanes<T> > 2)
        if (n >= 2) return multiply_panels<T, 2>(A, B, C, 0, n, ahead);
    multiply_panels<T, 1>(A, B, C, 0, n, ahead);
}

template <class T>
__attribute__((noinline)) void multiply(const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C) {
    multiply_ahead<T>(A, B, C, NothingAhead{});
}

/// The lines of A that each of `blocks` register blocks fetches; none of small matrices, where the elements are not
/// neighbours, and of stacks that caches hold, from where the processor fetches itself.
template <class T>
Index lines_of_block(const Stack<const T>& A, Index blocks) {
    constexpr Index least = 1024, least_of_stack = Index{6} << 20;
    const Index extent = (A.rows - 1) * A.row_stride + (A.columns - 1) * A.column_stride + 1;
    const Index bytes = extent * static_cast<Index>(sizeof(T));
    if (bytes < least || bytes * A.batch < least_of_stack || extent > 2 * A.rows * A.columns) return 0;
    if (A.batch_stride == 0) return 0;
    const Index lines = (bytes / Fetch::line + blocks - 1) / blocks;
    return lines < Fetch::most ? lines : Fetch::most;
}

/// The two larger matrices of the next product are fetched during the first product of this one.
template <class T>
void multiply_two_sided(Index first, Index count, bool left_first, const Stack<const T>& L, const Stack<const T>& V,
                        const Stack<const T>& R, const Stack<T>& P, T* half) {
    const Index m = V.rows, n = V.columns, panel = most_vectors * lanes<T>;
    const Index blocks = ((m + most_rows - 1) / most_rows) * ((n + panel - 1) / panel);
    const Index of_L = lines_of_block(L, blocks), of_V = lines_of_block(V, blocks), of_R = lines_of_block(R, blocks);
    const auto fetch = [](const Stack<const T>& A, Index b, Index lines) {
        return Fetch{reinterpret_cast<const char*>(A.data + b * A.batch_stride), lines};
    };
    const Matrix<T> product{half, m, n, n, 1};
    const Matrix<const T> factor{half, m, n, n, 1};
    const bool fetches = of_L + of_V + of_R > 0;
    for (Index b = first; b < first + count; ++b) {
        const Matrix<const T> A = left_first ? L[b] : V[b], B = left_first ? V[b] : R[b];
        const Matrix<const T> C = left_first ? factor : L[b], D = left_first ? R[b] : factor;
        // Beyond the last one too: mostly the same thread goes on with the next stretch of a stack.
        const Index next = b + 1;
        if (fetches && next < V.batch) {
            const Fetch next_V = fetch(V, next, of_V), next_L = fetch(L, next, of_L), next_R = fetch(R, next, of_R);
            multiply_ahead<T>(A, B, product, NextProduct{next_V, left_first ? next_L : next_R});
            multiply_ahead<T>(C, D, P[b], NextProduct{left_first ? next_R : next_L, {}});
        } else {
            multiply<T>(A, B, product);
            multiply<T>(C, D, P[b]);
        }
    }
}

}  // namespace

extern const SmallProduct<float> small_product_float32;
extern const SmallProduct<double> small_product_float64;
const SmallProduct<float> small_product_float32 = {multiply<float>, multiply_two_sided<float>, most_bytes};
const SmallProduct<double> small_product_float64 = {multiply<double>, multiply_two_sided<double>, most_bytes};

}  // namespace curvblas::cpu::CURVBLAS_ISA

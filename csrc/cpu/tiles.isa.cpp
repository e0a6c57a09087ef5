// Sums of outer products in registers. Nothing but the two tables leaves this file.
#include "cpu/tiles.h"

#include "cpu/half.h"
#include "cpu/vector.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

// A register block has tile_rows rows and up to tile_vectors vectors of columns.
#if defined(__AVX512F__)
constexpr int tile_rows = 8, tile_vectors = 3;  // 24 accumulators of 32 registers
constexpr int edge_bytes = 288 * 4;             // these processors have at least 1 MB of second-level cache a core
#elif defined(__AVX2__)
constexpr int tile_rows = 4, tile_vectors = 3;  // 12 accumulators of 16 registers
constexpr int edge_bytes = 192 * 4;             // two packed panels and the sums take 350 kB
#elif defined(__aarch64__)
constexpr int tile_rows = 4, tile_vectors = 4;  // 16 accumulators of 32 registers
constexpr int edge_bytes = 192 * 4;
#else
constexpr int tile_rows = 4, tile_vectors = 2;  // 8 accumulators of 16 registers
constexpr int edge_bytes = 192 * 4;
#endif

template <class T>
constexpr int panel_columns = tile_vectors * lanes<T>;
template <class T>
constexpr int granule = lanes<T> > tile_rows ? lanes<T> : tile_rows;

template <class T, int rows, int vectors>
void multiply_block(const Steps& steps, const T* A, Index lda, const T* B, Index ldb, bool add, T* C, Index ldc) {
    using V = Vector<T>;
    V sum[rows][vectors] = {};
    for (Index p = 0; p < steps.planes; ++p)
        for (Index l = 0; l < steps.lines; ++l) {
            const Index first = p * steps.plane_stride + l * steps.line_stride;
            const T* a = A + first * lda;
            const T* b = B + first * ldb;
            for (Index k = 0; k < steps.depth; ++k, a += lda, b += ldb) {
                V columns[vectors];
                for (int v = 0; v < vectors; ++v) columns[v] = *reinterpret_cast<const V*>(b + v * lanes<T>);
                for (int i = 0; i < rows; ++i)
                    for (int v = 0; v < vectors; ++v) sum[i][v] += a[i] * columns[v];
            }
        }
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 16
        for (int v = 0; v < vectors; ++v) {
            V* const to = reinterpret_cast<V*>(C + i * ldc + v * lanes<T>);
            *to = add ? *to + sum[i][v] : sum[i][v];
        }
}

template <class T, int vectors>
void multiply_rows(int rows, const Steps& steps, const T* A, Index lda, const T* B, Index ldb, bool add, T* C,
                   Index ldc) {
    if constexpr (vectors == 1)
        if (rows == 2 * tile_rows) return multiply_block<T, 2 * tile_rows, 1>(steps, A, lda, B, ldb, add, C, ldc);
    multiply_block<T, tile_rows, vectors>(steps, A, lda, B, ldb, add, C, ldc);
}

template <class T>
void multiply(const Steps& steps, const Panels<const T>& A, const Panels<const T>& B, Index height, Index width,
              bool lower, bool add, T* C, Index ldc) {
    constexpr int panel = panel_columns<T>;
    for (Index j = 0; j < width; j += panel) {
        const int most = static_cast<int>((width - j < panel ? width - j : panel) + lanes<T> - 1) / lanes<T>;
        // Vectors of columns that rows from i on need: with `lower`, those that reach the diagonal or lie left of it.
        const auto needed = [&](Index i) {
            const Index reached = (i + tile_rows - 1 - j) / lanes<T> + 1;
            return lower && reached < most ? static_cast<int>(reached) : most;
        };
        const T* const b = B.data + j / panel * B.stride;
        int rows = tile_rows;
        for (Index i = lower ? j : 0; i < height; i += rows) {
            const int vectors = needed(i);
            // One vector of columns leaves registers free for twice as many rows.
            const bool twice = vectors == 1 && i + tile_rows < height && i % panel + 2 * tile_rows <= panel &&
                               needed(i + tile_rows) == 1;
            rows = twice ? 2 * tile_rows : tile_rows;
            const T* const a = A.data + i / panel * A.stride + i % panel;
            T* const c = C + i * ldc + j;
            if (vectors == 1) multiply_rows<T, 1>(rows, steps, a, A.ld, b, B.ld, add, c, ldc);
            if (vectors == 2) multiply_rows<T, 2>(rows, steps, a, A.ld, b, B.ld, add, c, ldc);
            if constexpr (tile_vectors > 2)
                if (vectors == 3) multiply_rows<T, 3>(rows, steps, a, A.ld, b, B.ld, add, c, ldc);
            if constexpr (tile_vectors > 3)
                if (vectors == 4) multiply_rows<T, 4>(rows, steps, a, A.ld, b, B.ld, add, c, ldc);
        }
    }
}

template <int n, class S, class T>
inline void convert(const S* x, T f, T* y) {
    for (int j = 0; j < n; ++j) y[j] = f * static_cast<T>(x[j]);
}

#if defined(__F16C__)
template <int n>
inline void convert(const Float16* x, float f, float* y) {
    for (int j = 0; j < n; j += 8)
        _mm256_storeu_ps(y + j,
                         _mm256_set1_ps(f) * _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x + j))));
}
#endif

/// Zeros from column `used` up to the granule, in the panel that holds column used - 1.
template <class T>
inline void fill_up(T* panel_row, Index used) {
    for (; used % granule<T>; ++used) panel_row[used] = 0;
}

// Along the rows, whose elements are neighbours: with the width known, a panel is a few vector instructions.
template <class S, class T>
void pack_along_rows(const PackedFrom<T>& from, const S* x, const Panels<T>& to) {
    constexpr int panel = panel_columns<T>;
    for (Index k = 0; k < from.count; ++k, x += from.row_stride) {
        const T f = from.weights ? from.weights[k] : T(1);
        T* y = to.data + k * from.step * to.ld;
        Index j = 0;
        for (; j + panel <= from.columns; j += panel, y += to.stride) convert<panel>(x + j, f, y);
        Index rest = 0;
        const Index left = from.columns - j;
        for (; rest + lanes<T> <= left; rest += lanes<T>) convert<lanes<T>>(x + j + rest, f, y + rest);
        for (; rest < left; ++rest) y[rest] = f * static_cast<T>(x[j + rest]);
        if (from.ones) y[rest++] = f;
        fill_up(y, rest);
    }
}

// Along the columns, for rows whose elements are not neighbours.
template <class S, class T>
inline void pack_column(const PackedFrom<T>& from, const S* x, T* y, Index ld) {
    for (Index k = 0; k < from.count; ++k)
        y[k * from.step * ld] = (from.weights ? from.weights[k] : T(1)) * static_cast<T>(x[k * from.row_stride]);
}

template <class T>
inline void pack_four_columns(const PackedFrom<T>& from, const T* x, T* y, Index ld) {
    using V = typename VectorOf<T, 4 * sizeof(T)>::type;
    typedef std::int32_t Order __attribute__((vector_size(16)));
    const Index stride = from.column_stride;
    Index k = 0;
    for (; k + 4 <= from.count; k += 4) {
        V column[4];
        for (int j = 0; j < 4; ++j) column[j] = *reinterpret_cast<const V*>(x + j * stride + k);
        const V even0 = __builtin_shuffle(column[0], column[1], Order{0, 4, 2, 6});
        const V odd0 = __builtin_shuffle(column[0], column[1], Order{1, 5, 3, 7});
        const V even1 = __builtin_shuffle(column[2], column[3], Order{0, 4, 2, 6});
        const V odd1 = __builtin_shuffle(column[2], column[3], Order{1, 5, 3, 7});
        V row[4] = {
            __builtin_shuffle(even0, even1, Order{0, 1, 4, 5}), __builtin_shuffle(odd0, odd1, Order{0, 1, 4, 5}),
            __builtin_shuffle(even0, even1, Order{2, 3, 6, 7}), __builtin_shuffle(odd0, odd1, Order{2, 3, 6, 7})};
        for (int i = 0; i < 4; ++i) {
            if (from.weights) row[i] *= from.weights[k + i];
            *reinterpret_cast<V*>(y + (k + i) * from.step * ld) = row[i];
        }
    }
    for (; k < from.count; ++k)
        for (int j = 0; j < 4; ++j)
            y[k * from.step * ld + j] = (from.weights ? from.weights[k] : T(1)) * x[j * stride + k];
}

template <class S, class T>
constexpr bool is_float = sizeof(S) == 4 && sizeof(T) == 4;

template <class S, class T>
void pack_along_columns(const PackedFrom<T>& from, const S* x, const Panels<T>& to) {
    constexpr int panel = panel_columns<T>;
    const auto column = [&](Index j) { return to.data + j / panel * to.stride + j % panel; };
    Index j = 0;
    if constexpr (is_float<S, T>)
        if (from.row_stride == 1)
            for (; j + 4 <= from.columns; j += 4) pack_four_columns(from, x + j * from.column_stride, column(j), to.ld);
    for (; j < from.columns; ++j) pack_column(from, x + j * from.column_stride, column(j), to.ld);
    const Index used = from.columns + (from.ones ? 1 : 0);
    for (Index k = 0; k < from.count; ++k) {
        T* const y = to.data + k * from.step * to.ld;
        if (from.ones) y[from.columns / panel * to.stride + from.columns % panel] = from.weights ? from.weights[k] : 1;
        if (used > 0) fill_up(y + (used - 1) / panel * to.stride, (used - 1) % panel + 1);
    }
}

template <class S, class T>
void pack_from(const PackedFrom<T>& from, const Panels<T>& to) {
    const S* const x = static_cast<const S*>(from.data);
    from.column_stride == 1 ? pack_along_rows(from, x, to) : pack_along_columns(from, x, to);
}

template <class T>
void pack(const PackedFrom<T>& from, const Panels<T>& to) {
    switch (from.dtype) {
        case DType::float64:
            return pack_from<double>(from, to);
        case DType::float32:
            return pack_from<float>(from, to);
        case DType::float16:
            return pack_from<Float16>(from, to);
        case DType::bfloat16:
            return pack_from<BFloat16>(from, to);
    }
}

}  // namespace

extern const Tile<float> tile_float32;
extern const Tile<double> tile_float64;
const Tile<float> tile_float32 = {panel_columns<float>, edge_bytes / 4, granule<float>, multiply<float>, pack<float>};
const Tile<double> tile_float64 = {panel_columns<double>, edge_bytes / 8, granule<double>, multiply<double>,
                                   pack<double>};

}  // namespace curvblas::cpu::CURVBLAS_ISA

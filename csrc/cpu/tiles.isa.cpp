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

// Of one line, sums of that many products are formed in registers: of equal products, whose rounding errors all have
// one sign, 512 were off by up to 8e-6, 128 by 2e-6.
constexpr Index chain = 128;

template <class T, int rows, int vectors>
void multiply_block(const Steps& steps, const T* A, Index lda, const T* B, Index ldb, bool add, T* C, Index ldc) {
    using V = Vector<T>;
    V sum[rows][vectors] = {};
    const auto store = [&] {
#pragma GCC unroll 16
        for (int i = 0; i < rows; ++i)
#pragma GCC unroll 16
            for (int v = 0; v < vectors; ++v) {
                V* const to = reinterpret_cast<V*>(C + i * ldc + v * lanes<T>);
                *to = add ? *to + sum[i][v] : sum[i][v];
                sum[i][v] = V{};
            }
        add = true;
    };
    for (Index p = 0; p < steps.planes; ++p)
        for (Index l = 0; l < steps.lines; ++l) {
            const Index first = p * steps.plane_stride + l * steps.line_stride;
            const T* a = A + first * lda;
            const T* b = B + first * ldb;
            for (Index left = steps.depth; left > 0; left -= chain) {
                for (Index k = left < chain ? left : chain; k > 0; --k, a += lda, b += ldb) {
                    V columns[vectors];
                    for (int v = 0; v < vectors; ++v) columns[v] = *reinterpret_cast<const V*>(b + v * lanes<T>);
                    for (int i = 0; i < rows; ++i)
                        for (int v = 0; v < vectors; ++v) sum[i][v] += a[i] * columns[v];
                }
                if (left > chain) store();
            }
        }
    store();
}

template <class T, int vectors>
void multiply_rows(int rows, const Steps& steps, const T* A, Index lda, const T* B, Index ldb, bool add, T* C,
                   Index ldc) {
    if constexpr (vectors == 1)
        if (rows == 2 * tile_rows) return multiply_block<T, 2 * tile_rows, 1>(steps, A, lda, B, ldb, add, C, ldc);
    multiply_block<T, tile_rows, vectors>(steps, A, lda, B, ldb, add, C, ldc);
}

/// Brings memory into the second-level cache, a share of it at a time.
class Fetcher {
  public:
    Fetcher(const Ahead& ahead, Index shares) : left_(ahead) {
        const Index lines = ahead.runs * ((ahead.bytes + line - 1) / line);
        const Index even = (lines + shares - 1) / shares;
        share_ = even < most ? even : most;
    }
    void fetch() {
        for (Index f = 0; f < share_ && left_.runs > 0; ++f) {
            __builtin_prefetch(left_.data + fetched_, 0, 2);
            fetched_ += line;
            if (fetched_ >= left_.bytes) left_.data += left_.stride, --left_.runs, fetched_ = 0;
        }
    }

  private:
    static constexpr Index line = 64, most = 64;  // more lines at a time only wait for each other
    Ahead left_;
    Index share_, fetched_ = 0;
};

template <class T>
void multiply(const Steps& steps, const Panels<const T>& A, const Panels<const T>& B, Index height, Index width,
              bool lower, bool add, T* C, Index ldc, Ahead ahead) {
    constexpr int panel = panel_columns<T>;
    // A few less register blocks than there are.
    Fetcher fetcher(ahead, height * width / (lower ? 2 : 1) / (tile_rows * panel) + 1);
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
            fetcher.fetch();
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

template <class T>
inline T* column(const Panels<T>& to, Index j) {
    return to.data + j / panel_columns<T> * to.stride + j % panel_columns<T>;
}

/// The 1 of the bias, and zeros from column `used` up to the granule.
template <class T>
inline void finish_row(const PackedFrom<T>& from, Index k, const Panels<T>& to) {
    Index used = from.first + from.columns;
    const Index row = k * from.step * to.ld;
    if (from.ones) column(to, used++)[row] = from.weights ? from.weights[k] : T(1);
    if (!from.fill || used == 0) return;
    T* const last = column(to, used - 1) + row;
    for (Index j = 1; (used - 1 + j) % granule<T> != 0; ++j) last[j] = 0;
}

// Along the rows, whose elements are neighbours: with the width known, a panel is a few vector instructions.
template <class S, class T>
void pack_along_rows(const PackedFrom<T>& from, const S* x, const Panels<T>& to) {
    constexpr int panel = panel_columns<T>;
    for (Index k = 0; k < from.count; ++k, x += from.row_stride) {
        const T f = from.weights ? from.weights[k] : T(1);
        for (Index j = 0, end; j < from.columns; j = end) {
            T* y = column(to, from.first + j) + k * from.step * to.ld;
            end = j + panel - (from.first + j) % panel;
            if (end > from.columns) end = from.columns;
            if (end - j == panel) {
                convert<panel>(x + j, f, y);
                continue;
            }
            Index e = j;
            for (; e + lanes<T> <= end; e += lanes<T>, y += lanes<T>) convert<lanes<T>>(x + e, f, y);
            for (; e < end; ++e) *y++ = f * static_cast<T>(x[e]);
        }
        finish_row(from, k, to);
    }
}

// Along the columns, for rows whose elements are not neighbours.
template <class S, class T>
inline void pack_column(const PackedFrom<T>& from, Index first, const S* x, T* y, Index ld) {
    const Index step = from.step * ld;
    for (Index k = first; k < from.count; ++k)
        y[k * step] = (from.weights ? from.weights[k] : T(1)) * static_cast<T>(x[k * from.row_stride]);
}

/// Four columns of rows that are neighbours in memory, turned in registers.
template <class T>
inline void pack_four_columns(const PackedFrom<T>& from, const T* const* x, T* y, Index ld) {
    using V = typename VectorOf<T, 4 * static_cast<int>(sizeof(T))>::type;
    const Index step = from.step * ld;
    const auto turn = [&](Index k) {
        V c[4];  // a function that returned them would depend on the instruction set
        for (int j = 0; j < 4; ++j) c[j] = *reinterpret_cast<const V*>(x[j] + k);
        const V upper01 = __builtin_shufflevector(c[0], c[1], 0, 4, 1, 5),
                lower01 = __builtin_shufflevector(c[0], c[1], 2, 6, 3, 7);
        const V upper23 = __builtin_shufflevector(c[2], c[3], 0, 4, 1, 5),
                lower23 = __builtin_shufflevector(c[2], c[3], 2, 6, 3, 7);
        V row[4] = {__builtin_shufflevector(upper01, upper23, 0, 1, 4, 5),
                    __builtin_shufflevector(upper01, upper23, 2, 3, 6, 7),
                    __builtin_shufflevector(lower01, lower23, 0, 1, 4, 5),
                    __builtin_shufflevector(lower01, lower23, 2, 3, 6, 7)};
        for (int i = 0; i < 4; ++i) {
            if (from.weights) row[i] *= from.weights[k + i];
            *reinterpret_cast<V*>(y + (k + i) * step) = row[i];
        }
    };
    Index k = 0;
    for (; k + 4 <= from.count; k += 4) turn(k);
    if (k > 0 && k < from.count) return turn(from.count - 4);  // some of them a second time
    for (int j = 0; j < 4; ++j) pack_column(from, k, x[j], y + j, ld);
}

template <class S, class T>
void pack_along_columns(const PackedFrom<T>& from, const S* x, const Panels<T>& to) {
    constexpr bool turns = __is_same(S, T);
    const auto begin = [&](Index j) {
        if constexpr (__is_same(S, T))
            if (from.begins) return from.begins[j];
        return x + j * from.column_stride;
    };
    for (Index j = 0; j < from.columns;) {
        T* const target = column(to, from.first + j);
        if constexpr (turns) {
            const bool in_panel = j + 4 <= from.columns && (from.first + j) % panel_columns<T> + 4 <= panel_columns<T>;
            if (in_panel && from.row_stride == 1) {
                const T* const four[] = {begin(j), begin(j + 1), begin(j + 2), begin(j + 3)};
                pack_four_columns(from, four, target, to.ld);
                j += 4;
                continue;
            }
        }
        pack_column(from, 0, begin(j), target, to.ld);
        ++j;
    }
    if (from.ones || from.fill)
        for (Index k = 0; k < from.count; ++k) finish_row(from, k, to);
}

template <class S, class T>
void pack_from(const PackedFrom<T>& from, const Panels<T>& to) {
    const S* const x = static_cast<const S*>(from.data);
    from.column_stride == 1 && !from.begins ? pack_along_rows(from, x, to) : pack_along_columns(from, x, to);
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

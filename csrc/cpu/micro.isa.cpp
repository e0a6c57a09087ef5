// Micro-kernels, compiled once per instruction set with CURVBLAS_ISA naming it. Nothing but the table leaves this file:
// the rest has internal linkage, and no standard template enters it, because the linker would keep one copy for all
// levels.
#include "cpu/micro.h"

#include "cpu/half.h"
#include "cpu/vector.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

// A = R^T R for 8 x 8 elements, -A given; `factor` gets R with the reciprocals of its diagonal.
template <class T>
inline int factor_negative(const T* A, Index ld, T (&factor)[8][8], T* diagonal) {
    for (int k = 0; k < 8; ++k) {
        T row[8];
        for (int j = k; j < 8; ++j) row[j] = -A[k * ld + j];
        for (int i = 0; i < k; ++i)
            for (int j = k; j < 8; ++j) row[j] -= factor[i][k] * factor[i][j];
        // Written as not(>) so that NaN fails too.
        if (!(row[k] > 0)) return k + 1;
        const T root = square_root(row[k]);
        diagonal[k] = root;
        factor[k][k] = 1 / root;
        for (int j = k + 1; j < 8; ++j) factor[k][j] = row[j] * factor[k][k];
    }
    return 0;
}

// x <- R^-T (-x), a vector of columns at a time.
template <class T>
inline void solve_negative(const T (&factor)[8][8], Index width, T* x, Index ld) {
    using V = Vector<T>;
    for (Index j = 0; j < width; j += lanes<T>) {
        V y[8];
#pragma GCC unroll 8
        for (int k = 0; k < 8; ++k) {
            V* const element = reinterpret_cast<V*>(x + k * ld + j);
            V sum = -*element;
#pragma GCC unroll 8
            for (int i = 0; i < k; ++i) sum -= factor[i][k] * y[i];
            *element = y[k] = sum * factor[k][k];
        }
    }
}

template <class T>
int eliminate(Index right, T* U, Index left, T* M, Index ld, T* diagonal) {
    T factor[8][8];
    if (const int minor = factor_negative(U, ld, factor, diagonal)) return minor;
    solve_negative(factor, right, U, ld);
    solve_negative(factor, left, M, ld);
    return 0;
}

// Row i of the lower triangle is also its column: four rows for one load and store of y.
template <class T, int rows>
inline void add_rows(Index i, const T* A, Index ld, const double* x, double* y) {
    using V = Vector<double>;
    V dot[rows] = {};
    Index j = 0;
    for (; j + lanes<double> <= i; j += lanes<double>) {
        const V x_j = *reinterpret_cast<const V*>(x + j);
        V y_j = *reinterpret_cast<const V*>(y + j);
#pragma GCC unroll 4
        for (int r = 0; r < rows; ++r) {
            const V a = widened<T, double>(A + r * ld + j);
            dot[r] += a * x_j, y_j += a * x[i + r];
        }
        *reinterpret_cast<V*>(y + j) = y_j;
    }
    for (int r = 0; r < rows; ++r) {
        double sum = sum_of<double>(dot[r]);
        for (Index k = j; k < i + r; ++k) {
            const double a = static_cast<double>(A[r * ld + k]);
            sum += a * x[k], y[k] += a * x[i + r];
        }
        y[i + r] += sum + static_cast<double>(A[r * ld + i + r]) * x[i + r];
    }
}

template <class T>
void add_symmetric_product(Index first, Index last, const T* A, Index ld, const double* x, double* y) {
    Index i = first;
    for (; i + 4 <= last; i += 4) add_rows<T, 4>(i, A + i * ld, ld, x, y);
    for (; i < last; ++i) add_rows<T, 1>(i, A + i * ld, ld, x, y);
}

template <class T>
double symmetric_squares(Index first, Index last, const T* A, Index ld, double scale) {
    using V = Vector<double>;
    double total = 0;
    for (Index i = first; i < last; ++i) {
        const T* const row = A + i * ld;
        V sum[2] = {};
        Index j = 0;
        for (; j + 2 * lanes<double> <= i; j += 2 * lanes<double>)
            for (int k = 0; k < 2; ++k) {
                const V a = widened<T, double>(row + j + k * lanes<double>) * scale;
                sum[k] += a * a;
            }
        double below = sum_of<double>(sum[0] + sum[1]);
        for (; j < i; ++j) below += static_cast<double>(row[j]) * scale * (static_cast<double>(row[j]) * scale);
        const double diagonal = static_cast<double>(row[i]) * scale;
        total += 2 * below + diagonal * diagonal;
    }
    return total;
}

void widen_bfloat16(Index n, const std::uint16_t* x, float* y) {
    for (Index i = 0; i < n; ++i) y[i] = BFloat16{x[i]};
}

void widen_float16(Index n, const std::uint16_t* x, float* y) {
    Index i = 0;
#if defined(__F16C__)
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i))));
#endif
    for (; i < n; ++i) y[i] = Float16{x[i]};
}

// Blocks without a branch inside, so that they become vector code, and an early end between them.
template <class Bits>
bool finite(Index n, const Bits* x, Bits exponent_mask) {
    constexpr Index block = 1024;
    for (Index start = 0; start < n; start += block) {
        const Index end = start + block < n ? start + block : n;
        Bits bad = 0;
        for (Index i = start; i < end; ++i) bad |= static_cast<Bits>((x[i] & exponent_mask) == exponent_mask);
        if (bad) return false;
    }
    return true;
}

bool finite_16(Index n, const std::uint16_t* x, std::uint16_t exponent_mask) { return finite(n, x, exponent_mask); }
bool finite_32(Index n, const std::uint32_t* x) { return finite(n, x, std::uint32_t{0x7f800000u}); }
bool finite_64(Index n, const std::uint64_t* x) { return finite(n, x, std::uint64_t{0x7ff0000000000000u}); }

}  // namespace

extern const Tile<float> tile_float32;
extern const Tile<double> tile_float64;
extern const LaneInverse<float, float> lane_inverse_float32;
extern const LaneInverse<float, double> lane_inverse_mixed;
extern const LaneInverse<double, double> lane_inverse_float64;
extern const EigenLanes<float> eigen_lanes_float32;
extern const EigenLanes<double> eigen_lanes_float64;
extern const TridiagonalPanel<float> tridiagonal_panel_float32;
extern const TridiagonalPanel<double> tridiagonal_panel_float64;
extern const TridiagonalLanes<float> tridiagonal_lanes_float32;
extern const TridiagonalLanes<double> tridiagonal_lanes_float64;
extern const Secular<float> secular_float32;
extern const Secular<double> secular_float64;
extern const SmallProduct<float> small_product_float32;
extern const SmallProduct<double> small_product_float64;
extern const RowKernels<float> row_kernels_float32;
extern const RowKernels<double> row_kernels_float64;
extern const TwoLoop<float> two_loop_float32;
extern const TwoLoop<double> two_loop_float64;
extern const QuasiDiagonal<float> quasi_diagonal_float32;
extern const QuasiDiagonal<double> quasi_diagonal_float64;
extern const Lsr1Work lsr1_work;
extern const Micro table;
const Micro table = {
    CURVBLAS_STRING(CURVBLAS_ISA),
    &tile_float32,
    &tile_float64,
    &lane_inverse_float32,
    &lane_inverse_mixed,
    &lane_inverse_float64,
    &eigen_lanes_float32,
    &eigen_lanes_float64,
    &tridiagonal_panel_float32,
    &tridiagonal_panel_float64,
    &tridiagonal_lanes_float32,
    &tridiagonal_lanes_float64,
    &secular_float32,
    &secular_float64,
    &small_product_float32,
    &small_product_float64,
    &row_kernels_float32,
    &row_kernels_float64,
    &two_loop_float32,
    &two_loop_float64,
    &quasi_diagonal_float32,
    &quasi_diagonal_float64,
    &lsr1_work,
    {eliminate<float>, add_symmetric_product<float>, symmetric_squares<float>},
    {eliminate<double>, add_symmetric_product<double>, symmetric_squares<double>},
    widen_float16,
    widen_bfloat16,
    finite_16,
    finite_32,
    finite_64,
};

}  // namespace curvblas::cpu::CURVBLAS_ISA

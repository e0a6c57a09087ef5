#include "cpu/transpose.h"

#include <algorithm>

namespace curvblas::cpu {

template <class W, class T>
void transpose(const Micro& micro, Index rows, Index columns, const T* from, Index from_ld, W factor, W* to, Index ld) {
    constexpr Index most = 8;  // rows that are written at a time: where they lie 4 kB apart, they share few cache lines
    W factors[most];
    std::fill_n(factors, most, factor);
    for (Index first = 0; first < rows; first += most) {
        PackedFrom<W> strip{from + first, dtype_of<T>, std::min(most, rows - first), columns, 1, from_ld};
        strip.fill = false;
        if (factor != 1) strip.weights = factors;
        micro.tile<W>().pack(strip, {to + first * ld, ld, micro.tile<W>().panel_columns});
    }
}

template <class T>
void mirror(const Micro& micro, Index n, T* A, Index ld) {
    constexpr Index strip = 32;
    for (Index i = 0; i < n; i += strip) {
        const Index rows = std::min(strip, n - i), right = i + rows;
        for (Index r = i; r < right; ++r)
            for (Index c = i; c < r; ++c) A[c * ld + r] = A[r * ld + c];
        transpose<T, T>(micro, rows, n - right, A + right * ld + i, ld, T(1), A + i * ld + right, ld);
    }
}

template void transpose(const Micro&, Index, Index, const float*, Index, float, float*, Index);
template void transpose(const Micro&, Index, Index, const double*, Index, float, float*, Index);
template void transpose(const Micro&, Index, Index, const float*, Index, double, double*, Index);
template void transpose(const Micro&, Index, Index, const double*, Index, double, double*, Index);
template void mirror(const Micro&, Index, float*, Index);
template void mirror(const Micro&, Index, double*, Index);

}  // namespace curvblas::cpu

#include "cpu/deflation.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace curvblas::cpu {
namespace {

/// A rotation of the eigenvectors of rows a and b makes z_a zero; their values stay between those that they come from.
template <class T>
void rotate(const Halves<T>& halves, Index a, Index b) {
    const auto& [first, middle, last, rows, ld, values, z, half] = halves;
    const double length = std::hypot(z[a], z[b]), c = z[b] / length, s = -z[a] / length;
    const double change = (values[b] - values[a]) * s * s;
    z[a] = 0, z[b] = length;
    values[a] += change, values[b] -= change;
    T *const row_a = rows + a * ld, *const row_b = rows + b * ld;
    const T cosine = static_cast<T>(c), sine = static_cast<T>(s);
    for (Index k = first; k < last; ++k) {
        const T x = row_a[k], y = row_b[k];
        row_a[k] = cosine * x + sine * y, row_b[k] = cosine * y - sine * x;
    }
    if (half[a] != half[b]) half[b] = Half::both;
}

}  // namespace

template <class T>
double couple(const Halves<T>& halves, double b) {
    const double root = std::sqrt(0.5);
    for (Index i = halves.first; i < halves.last; ++i) {
        const bool is_upper = i < halves.middle;
        const Index torn = is_upper ? halves.middle - 1 : halves.middle;
        const double entry = static_cast<double>(halves.rows[i * halves.ld + torn]);
        halves.z[i] = is_upper || b > 0 ? entry * root : -entry * root;
        halves.half[i] = is_upper ? Half::upper : Half::lower;
    }
    return 2 * std::abs(b);
}

template <class T>
Index deflate(const Halves<T>& halves, double weight, const Index* order, Index* kept, Index* unchanged_end) {
    const double *const values = halves.values, *const z = halves.z;
    double size = 0;
    for (Index i = halves.first; i < halves.last; ++i) size = std::max({size, std::abs(values[i]), std::abs(z[i])});
    const double negligible = 4 * static_cast<double>(std::numeric_limits<T>::epsilon()) * size;

    Index count = 0, last = -1;  // `last`: the one below, which is kept unless this one takes its place
    for (Index k = halves.first; k < halves.last; ++k) {
        const Index row = order[k];
        if (!(weight * std::abs(z[row]) > negligible)) {
            *--unchanged_end = row;
            continue;
        }
        if (last >= 0) {
            const double squares = z[last] * z[last] + z[row] * z[row];
            const double coupling = (values[row] - values[last]) * (z[last] / squares) * z[row];
            if (std::abs(coupling) <= negligible) {
                rotate(halves, last, row);
                *--unchanged_end = last;
            } else {
                kept[count++] = last;
            }
        }
        last = row;
    }
    if (last >= 0) kept[count++] = last;
    return count;
}

template double couple(const Halves<float>&, double);
template double couple(const Halves<double>&, double);
template Index deflate(const Halves<float>&, double, const Index*, Index*, Index*);
template Index deflate(const Halves<double>&, double, const Index*, Index*, Index*);

}  // namespace curvblas::cpu

#include "kernels/eigenbasis_job.h"

#include <cmath>
#include <limits>

#include "core/probe.h"
#include "cpu/symmetric.h"

namespace curvblas::cpu {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// The largest magnitude of the lower triangle; NaN or Inf if it holds one.
template <class T>
double largest_magnitude(const Matrix<const T>& C) {
    T largest = 0;
    for (Index i = 0; i < C.rows; ++i)
        for (Index j = 0; j <= i; ++j) {
            const T size = std::abs(C(i, j));
            if (!(size <= largest)) largest = size;
            if (std::isnan(size)) return nan;
        }
    return largest;
}

/// Of each column of Z (n, count), the first entry of largest magnitude becomes positive.
template <class T>
void make_signs_canonical(Index n, Index count, T* Z, Index ld) {
    constexpr Index most = 64;
    for (Index c = 0; c < count; c += most) {
        const Index width = std::min(most, count - c);
        T largest[most] = {}, sign[most];
        std::fill_n(sign, most, T(1));
        for (Index i = 0; i < n; ++i)
            for (Index j = 0; j < width; ++j) {
                const T entry = Z[i * ld + c + j], size = std::abs(entry);
                sign[j] = size > largest[j] ? std::copysign(T(1), entry) : sign[j];
                largest[j] = size > largest[j] ? size : largest[j];
            }
        for (Index i = 0; i < n; ++i)
            for (Index j = 0; j < width; ++j) Z[i * ld + c + j] = Z[i * ld + c + j] * sign[j] + T(0);  // no -0
    }
}

double root_of_sum(Index count, const double* squares) {
    double sum = 0;
    for (Index k = 0; k < count; ++k) sum += squares[k];
    return std::sqrt(sum);
}

}  // namespace

PowerOfTwo PowerOfTwo::to_one(double largest) {
    const int exponent = largest > 0 ? -std::ilogb(largest) : 0;
    return {std::ldexp(1.0, exponent / 2), std::ldexp(1.0, exponent - exponent / 2)};
}

template <class T>
Index EigenJob<T>::bytes(const Micro& micro, Index n) {
    const Tile<T>& tile = micro.tile<T>();
    return cpu::bytes<T>(BackTransform<T>(tile, n, nullptr).words()) + DivideAndConquer<T>::bytes(n) +
           Tridiagonal<T>::bytes(micro, n) + cpu::bytes<double>((2 * tile.panels(n) + 1) * n + 2 * tile.panels(n));
}

template <class T>
EigenJob<T>::EigenJob(const Micro& micro, const EigenLane<T>& one, Carver carver)
    : micro_(micro),
      one_(one),
      n_(one.C.rows),
      back_transform_(micro.tile<T>(), n_, carver.take<T>(BackTransform<T>(micro.tile<T>(), n_, nullptr).words())),
      tridiagonal_(micro, n_, carver.take<std::byte>(Tridiagonal<T>::bytes(micro, n_))),
      decomposition_(micro, n_, carver.take<std::byte>(DivideAndConquer<T>::bytes(n_))) {
    images_ = carver.take<double>((2 * panels() + 1) * n_ + 2 * panels());
    residuals_ = images_ + panels() * n_, y_ = residuals_ + panels() * n_, squares_ = y_ + n_;
    deviations_ = squares_ + panels();
}

template <class T>
Index EigenJob<T>::parts() const {
    if (step_ == Step::reduce) return 1;
    if (step_ == Step::decompose) return decomposition_.parts();
    return step_ == Step::load ? back_transform_.blocks() : panels();
}

template <class T>
double EigenJob<T>::cost(Index part) const {
    if (step_ == Step::decompose) return decomposition_.cost(part);
    const double n = static_cast<double>(n_), n_squared = n * n;
    const double all = step_ == Step::reduce   ? 30 * n_squared + 0.12 * n * n_squared
                       : step_ == Step::rotate ? 30 * n_squared + 0.1 * n * n_squared
                                               : 10 * n_squared;
    return all / static_cast<double>(parts());
}

template <class T>
bool EigenJob<T>::next() {
    switch (step_) {
        case Step::begin: {
            const double largest = largest_magnitude(one_.C);
            if (!std::isfinite(largest)) return conclude(Status::not_finite, nan);
            scale_ = PowerOfTwo::to_one(largest);
            step_ = Step::reduce;
            return true;
        }
        case Step::reduce:
            step_ = Step::decompose;
            [[fallthrough]];
        case Step::decompose:
            if (decomposition_.next()) return true;
            if (!decomposition_.has_converged()) return conclude(Status::no_convergence, nan);
            take_values();
            step_ = Step::load;
            return true;
        case Step::load:
            step_ = Step::rotate;
            return true;
        case Step::rotate:
            for (Index i = 0; i < n_; ++i) {
                y_[i] = 0;
                for (Index p = 0; p < panels(); ++p) y_[i] += images_[p * n_ + i];
            }
            step_ = Step::look;
            return true;
        case Step::look:
            break;
    }
    double sum = 0;
    for (Index i = 0; i < n_; ++i) {
        double r = 0;
        for (Index p = 0; p < panels(); ++p) r += residuals_[p * n_ + i];
        sum += r * r;
    }
    const double size = root_of_sum(panels(), squares_), residual = size > 0 ? std::sqrt(sum) / size : std::sqrt(sum);
    const double deviation = root_of_sum(panels(), deviations_) / std::sqrt(static_cast<double>(n_));
    // Written as not(<=) so that NaN is inaccurate too.
    const bool is_good = residual <= residual_bound && deviation <= residual_bound;
    return conclude(is_good ? Status::ok : Status::inaccurate, residual);
}

template <class T>
void EigenJob<T>::work(Index part) {
    switch (step_) {
        case Step::begin:
            return;
        case Step::reduce:
            return reduce();
        case Step::decompose:
            return decomposition_.work(part);
        case Step::load:
            return back_transform_.load(part, tridiagonal_.rows(), tridiagonal_.ld(), tridiagonal_.factors());
        case Step::rotate:
            return rotate(part);
        case Step::look:
            return look(part);
    }
}

template <class T>
void EigenJob<T>::reduce() {
    copy_symmetric(micro_, one_.C, scale_, tridiagonal_.rows(), tridiagonal_.ld());
    tridiagonal_.reduce(decomposition_.diagonal(), decomposition_.off_diagonal());
}

template <class T>
void EigenJob<T>::take_values() {
    const PowerOfTwo back = scale_.inverse();
    for (Index j = 0; j < n_; ++j) one_.values[j] = static_cast<T>(back(decomposition_.values()[j]) + 0.0);
}

/// The eigenvectors of C, where those of the tridiagonal matrix were and where they are wanted, and what they make of
/// z.
template <class T>
void EigenJob<T>::rotate(Index panel) {
    const Index ld = back_transform_.panel_columns(), width = count(panel), j0 = first(panel);
    Scratch<EigenJob> scratch(cpu::bytes<T>(back_transform_.panel_words()));
    T* const Z = scratch.template take<T>(back_transform_.panel_words());
    back_transform_.apply(eigenvectors(panel), width, Z);
    make_signs_canonical(n_, width, Z, ld);
    T* const kept = eigenvectors(panel);
    double *const image = images_ + panel * n_, *const residual = residuals_ + panel * n_;
    for (Index i = 0; i < n_; ++i) {
        double sum = 0, weighted = 0;
        for (Index c = 0; c < width; ++c) {
            const double v = static_cast<double>(Z[i * ld + c]), signed_v = probe_sign(0, j0 + c) * v;
            sum += signed_v, weighted += scale_(static_cast<double>(one_.values[j0 + c])) * signed_v;
            kept[i * width + c] = Z[i * ld + c];
            one_.V(i, j0 + c) = Z[i * ld + c];
        }
        image[i] = sum, residual[i] = weighted;
    }
}

/// V^T y - z for the eigenvectors of a panel, and as many rows of C y.
template <class T>
void EigenJob<T>::look(Index panel) {
    const Index width = count(panel), j0 = first(panel);
    const T* const Z = eigenvectors(panel);
    struct Sums;
    Scratch<Sums> scratch(cpu::bytes<double>(width));
    double* const u = scratch.template take<double>(width);
    for (Index c = 0; c < width; ++c) u[c] = -probe_sign(0, j0 + c);
    for (Index i = 0; i < n_; ++i)
        for (Index c = 0; c < width; ++c) u[c] += static_cast<double>(Z[i * width + c]) * y_[i];
    deviations_[panel] = 0;
    for (Index c = 0; c < width; ++c) deviations_[panel] += u[c] * u[c];

    double* const r = residuals_ + panel * n_;
    double squares = 0;
    for (Index i = j0; i < j0 + width; ++i) {
        double sum = 0;
        for (Index j = 0; j < i; ++j) {
            const double c = scale_(static_cast<double>(one_.C(i, j)));
            sum += c * y_[j], r[j] -= c * y_[i], squares += 2 * c * c;
        }
        const double c = scale_(static_cast<double>(one_.C(i, i)));
        r[i] -= sum + c * y_[i], squares += c * c;
    }
    squares_[panel] = squares;
}

template <class T>
bool EigenJob<T>::conclude(Status status, double residual) {
    *one_.status = status, *one_.residual = residual;
    if (status == Status::ok) return false;
    std::fill_n(one_.values, n_, static_cast<T>(nan));
    for (Index i = 0; i < n_; ++i)
        for (Index j = 0; j < n_; ++j) one_.V(i, j) = static_cast<T>(nan);
    return false;
}

template class EigenJob<float>;
template class EigenJob<double>;

}  // namespace curvblas::cpu

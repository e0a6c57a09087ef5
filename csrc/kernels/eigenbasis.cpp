#include "kernels/eigenbasis.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/probe.h"
#include "cpu/blas.h"
#include "cpu/scratch.h"
#include "cpu/symmetric_eigen.h"

namespace curvblas::cpu {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// A power of two as two factors, because the one that brings a denormal matrix to 1 is no double.
struct Scale {
    double first, second;

    static Scale to_one(double largest) {
        const int exponent = largest > 0 ? -std::ilogb(largest) : 0;
        return {std::ldexp(1.0, exponent / 2), std::ldexp(1.0, exponent - exponent / 2)};
    }
    double operator()(double x) const { return x * first * second; }
    Scale inverse() const { return {1 / first, 1 / second}; }
};

struct EigenReport {
    Status status;
    double residual;
};

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

/// A full, contiguous, scaled copy from the lower triangle.
template <class T>
void load(const Matrix<const T>& C, const Scale& scale, T* A) {
    constexpr Index block = 16;  // reads rows and writes columns: a block of both fits the first-level cache
    const Index n = C.rows;
    for (Index ib = 0; ib < n; ib += block)
        for (Index jb = 0; jb <= ib; jb += block)
            for (Index i = ib; i < std::min(ib + block, n); ++i)
                for (Index j = jb; j < std::min(jb + block, i + 1); ++j)
                    A[i * n + j] = A[j * n + i] = static_cast<T>(scale(static_cast<double>(C(i, j))));
}

/// The first entry of largest magnitude of each eigenvector becomes positive. Vt holds them as rows.
template <class T>
void make_signs_canonical(Index n, T* Vt) {
    for (Index j = 0; j < n; ++j) {
        T* const v = Vt + j * n;
        T largest = 0, positive = 0;
        for (Index i = 0; i < n; ++i) {
            const T size = std::abs(v[i]);
            if (size > largest) largest = size, positive = v[i];
        }
        const T factor = positive < 0 ? T(-1) : T(1);
        for (Index i = 0; i < n; ++i) v[i] = v[i] * factor + T(0);  // no negative zeros
    }
}

double norm(Index n, const double* x) {
    double sum = 0;
    for (Index i = 0; i < n; ++i) sum += x[i] * x[i];
    return std::sqrt(sum);
}

/// What a vector of signs z tells of the errors of a basis.
struct Errors {
    double residual;       ///< ||(C V - V diag(values)) z|| / ||C||_F
    double orthogonality;  ///< ||(V^T V - I) z|| / ||z||
};

/// C is scaled to 1 as it is read, and so are the values; `vectors` holds 4 n.
template <class T>
Errors errors_of(const Matrix<const T>& C, const Scale& scale, const T* values, const T* Vt, double* vectors) {
    const Index n = C.rows;
    double *const y = vectors, *const r = y + n, *const z = r + n, *const u = z + n;
    std::fill_n(y, 2 * n, 0.0);
    for (Index j = 0; j < n; ++j) {  // y = V z, r = -V diag(values) z
        z[j] = probe_sign(0, j);
        const double value = scale(static_cast<double>(values[j])) * z[j];
        for (Index i = 0; i < n; ++i) {
            const double v = static_cast<double>(Vt[j * n + i]);
            y[i] += z[j] * v, r[i] -= value * v;
        }
    }
    double squares = 0;
    for (Index i = 0; i < n; ++i) {  // r += C y
        double sum = 0;
        for (Index j = 0; j < i; ++j) {
            const double c = scale(static_cast<double>(C(i, j)));
            sum += c * y[j], r[j] += c * y[i], squares += 2 * c * c;
        }
        const double c = scale(static_cast<double>(C(i, i)));
        r[i] += sum + c * y[i], squares += c * c;
    }
    for (Index j = 0; j < n; ++j) {
        double sum = 0;
        for (Index i = 0; i < n; ++i) sum += static_cast<double>(Vt[j * n + i]) * y[i];
        u[j] = sum - z[j];
    }
    return {squares > 0 ? norm(n, r) / std::sqrt(squares) : norm(n, r), norm(n, u) / std::sqrt(static_cast<double>(n))};
}

/// One matrix of a task, with its scratch.
template <class T>
class Solver {
  public:
    explicit Solver(Index n) : n_(n), scratch_(bytes(n)) {
        A_ = scratch_.template take<T>(n * n);
        Vt_ = scratch_.template take<T>(n * n);
        work_ = scratch_.template take<T>(symmetric_eigen_words<T>(n));
        ints_ = scratch_.template take<int>(symmetric_eigen_ints(n));
        vectors_ = scratch_.template take<double>(4 * n);
    }

    EigenReport solve(const Matrix<const T>& C, T* values) {
        const double largest = largest_magnitude(C);
        if (!std::isfinite(largest)) return {Status::not_finite, nan};
        const Scale scale = Scale::to_one(largest);
        load(C, scale, A_);
        if (!solve_symmetric(n_, A_, values, Vt_, work_, ints_)) return {Status::no_convergence, nan};
        const Scale back = scale.inverse();
        for (Index j = 0; j < n_; ++j) values[j] = static_cast<T>(back(static_cast<double>(values[j])) + 0.0);
        make_signs_canonical(n_, Vt_);
        const Errors errors = errors_of(C, scale, values, Vt_, vectors_);
        // Written as not(<=) so that NaN is inaccurate too.
        if (!(errors.residual <= residual_bound && errors.orthogonality <= residual_bound))
            return {Status::inaccurate, errors.residual};
        return {Status::ok, errors.residual};
    }

    void write(const Matrix<T>& V) const {
        constexpr Index block = 16;
        for (Index ib = 0; ib < n_; ib += block)
            for (Index jb = 0; jb < n_; jb += block)
                for (Index i = ib; i < std::min(ib + block, n_); ++i)
                    for (Index j = jb; j < std::min(jb + block, n_); ++j) V(i, j) = Vt_[j * n_ + i];
    }

  private:
    static Index bytes(Index n) {
        return 2 * cpu::bytes<T>(n * n) + cpu::bytes<T>(symmetric_eigen_words<T>(n)) +
               cpu::bytes<int>(symmetric_eigen_ints(n)) + cpu::bytes<double>(4 * n);
    }

    const Index n_;
    Scratch<Solver> scratch_;
    T *A_, *Vt_, *work_;
    int* ints_;
    double* vectors_;
};

template <class T>
void solve_large(const EigenLane<T>& one) {
    const Index n = one.C.rows;
    Solver<T> solver(n);
    const EigenReport report = solver.solve(one.C, one.values);
    *one.status = report.status, *one.residual = report.residual;
    if (report.status == Status::ok) return solver.write(one.V);
    std::fill_n(one.values, n, static_cast<T>(nan));
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < n; ++j) one.V(i, j) = static_cast<T>(nan);
}

/// What an item takes, as the queue counts it (10,000 a microsecond; measured on a Zen 4): lanes full of matrices took
/// 12 us at n = 8 and 350 us at n = 32, one matrix of n = 33 took 68 us, of n = 256 3.2 ms, of n = 1024 129 ms.
template <class T>
double cost(Index order) {
    const double n = static_cast<double>(order);
    const bool in_lanes = order <= EigenLanes<T>::most_order;
    return in_lanes ? 2000 * n * n + 50 * n * n * n : 400 * n * n + 1.2 * n * n * n;
}

/// The matrices of a group, those of one order behind each other, so that lanes are full whatever task they are of.
template <class T>
std::vector<EigenLane<T>> by_order(std::span<const Eigenbasis<T>> group) {
    std::vector<EigenLane<T>> all;
    for (const Eigenbasis<T>& task : group) {
        const Index n = task.C.rows;
        for (Index b = 0; b < task.C.batch; ++b) {
            if (n > 0)
                all.push_back({task.C[b], task.values + b * n, task.vectors[b], task.reports.status + b,
                               task.reports.residual + b});
            else
                task.reports.status[b] = Status::ok, task.reports.residual[b] = 0;
        }
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const EigenLane<T>& a, const EigenLane<T>& b) { return a.C.rows < b.C.rows; });
    return all;
}

}  // namespace

template <class T>
void eigenbasis(const Queue& queue, std::span<const Eigenbasis<T>> group) {
    blas::stay_on_one_thread();
    const EigenLanes<T>& lanes = queue.micro().eigen_lanes<T>();
    const std::vector<EigenLane<T>> all = by_order(group);
    std::vector<Item> items;
    const Index total = static_cast<Index>(all.size());
    for (Index first = 0, next; first < total; first = next) {
        const Index order = all[first].C.rows;
        next = first + 1;
        if (order <= EigenLanes<T>::most_order)
            while (next < total && next < first + lanes.width && all[next].C.rows == order) ++next;
        items.push_back({0, first, next - first, 0, cost<T>(order)});
    }
    queue.run(items, [&](const Item& item) {
        const EigenLane<T>* const first = all.data() + item.first;
        const Index n = first->C.rows;
        if (n > EigenLanes<T>::most_order) return solve_large(*first);
        Scratch<EigenLanes<T>> scratch(lanes.bytes(n));
        lanes.solve(n, item.count, first, scratch.template take<std::byte>(lanes.bytes(n)));
    });
}

template void eigenbasis(const Queue&, std::span<const Eigenbasis<float>>);
template void eigenbasis(const Queue&, std::span<const Eigenbasis<double>>);

}  // namespace curvblas::cpu

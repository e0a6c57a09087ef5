#include "algorithms/lsr1_memory.h"

#include <cmath>
#include <limits>
#include <vector>

#include "algorithms/workspace.h"
#include "kernels/gram.h"
#include "kernels/low_rank_apply.h"
#include "kernels/lsr1_memory.h"
#include "kernels/on_host.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

template <class T>
Stack<const T> stacked(const Matrix<T>& A) {
    return as_stack(Matrix<const T>{A.data, A.rows, A.columns, A.row_stride, A.column_stride});
}

/// Whether the pair says something new about B, whose status is `of_product`; `r` is work space.
template <class T>
bool is_new(const Queue& queue, const Matrix<const T>& s, const Matrix<const T>& y, const Matrix<T>& Bs,
            const Matrix<T>& r, const Status* of_product, Status* status) {
    const double factors[] = {-1, 1};
    const auto there = queue.copy_of(std::span<const double>(factors));
    Workspace<double> numbers(queue, 5);
    double* const sums = numbers.take(5);
    const auto number = [&](Index k) { return contiguous_stack(sums + k, 1, 1, 1); };
    const LowRankApply<T> difference{contiguous_stack<const double>(there.get(), 1, 1, 1), stacked(Bs), as_stack(y),
                                     there.get() + 1, as_stack(r)};
    low_rank_apply<T>(queue, std::span(&difference, 1));
    const std::vector<Gram<T>> products = {{stacked(r), as_stack(s), number(0), number(1)},
                                           {as_stack(s), {}, number(2), {}},
                                           {as_stack(y), {}, number(3), {}}};
    gram<T>(queue, products);
    const Lsr1Judge judge{of_product, sums + 4};
    for_each_element<Lsr1Judge>(queue, std::span(&judge, 1));
    const std::vector<double> found = on_host(queue, sums, 5);
    const double rr = found[0], rs = found[1], ss = found[2], yy = found[3];
    *status = static_cast<Status>(static_cast<int>(found[4]));
    if (!std::isfinite(ss) || !std::isfinite(yy)) *status = Status::not_finite;
    const double rounding = 16 * static_cast<double>(std::numeric_limits<T>::epsilon());
    const bool says_something = std::isfinite(rr) && std::sqrt(rr) > rounding * std::sqrt(yy) && rs != 0;
    return *status == Status::ok && says_something && std::abs(rs) >= 1e-8 * std::sqrt(rr) * std::sqrt(ss);
}

}  // namespace

template <class T>
void lsr1_clear(const Queue& queue, const Lsr1Memory<T>& memory) {
    const Index width = 2 * memory.S.rows;
    const std::vector<Lsr1Clear<T>> rows = {{memory.S}, {memory.Y}};
    const Lsr1Clear<double> products{{memory.K, width, width, width, 1}};
    for_each_element<Lsr1Clear<T>>(queue, rows);
    for_each_element<Lsr1Clear<double>>(queue, std::span(&products, 1));
}

template <class T>
bool lsr1_update(const Queue& queue, const Lsr1Memory<T>& memory, const double* gamma, const Matrix<const T>& s,
                 const Matrix<const T>& y, Status* status) {
    const auto& [S, Y, K, first, kept] = memory;
    const Index m = S.rows, n = S.columns;
    const auto there = queue.copy_of(std::span<const double>(gamma, gamma ? 1 : 0));
    const auto own = queue.template scratch<Status>(1);
    Workspace<T> rows(queue, 2 * n);
    const Matrix<T> Bs = rows.take(1, n), r = rows.take(1, n);
    const Lsr1Models<T> models{stacked(S), stacked(Y), {}, first, kept, gamma ? there.get() : nullptr, K};
    lsr1_matvec<T>(queue, {models, as_stack(s), as_stack(Bs), own.get()});
    if (!is_new(queue, s, y, Bs, r, own.get(), status)) return false;
    const Index slot = (first + kept) % m;
    const std::vector<Lsr1Store<T>> stores = {{s, S, slot}, {y, Y, slot}};
    for_each_element<Lsr1Store<T>>(queue, stores);
    const auto row = [&](Index i, Index j) { return contiguous_stack(K + i * 2 * m + j, 1, m, 1); };
    const std::vector<Gram<T>> products = {{as_stack(s), stacked(S), {}, row(slot, 0)},
                                           {as_stack(s), stacked(Y), {}, row(slot, m)},
                                           {as_stack(y), stacked(S), {}, row(m + slot, 0)},
                                           {as_stack(y), stacked(Y), {}, row(m + slot, m)}};
    gram<T>(queue, products);
    const Lsr1Mirror mirror{K, m, slot};
    for_each_element<Lsr1Mirror>(queue, std::span(&mirror, 1));
    return true;
}

template void lsr1_clear(const Queue&, const Lsr1Memory<float>&);
template void lsr1_clear(const Queue&, const Lsr1Memory<double>&);
template bool lsr1_update(const Queue&, const Lsr1Memory<float>&, const double*, const Matrix<const float>&,
                          const Matrix<const float>&, Status*);
template bool lsr1_update(const Queue&, const Lsr1Memory<double>&, const double*, const Matrix<const double>&,
                          const Matrix<const double>&, Status*);

}  // namespace curvblas::CURVBLAS_BACKEND

// The CPU's own entries: threads, instruction set, BLAS.
#include "bindings/backend.h"

#include <atomic>
#include <string>

#include "bindings/group.h"
#include "core/status.h"
#include "cpu/blas.h"

/// The symbol by which threadpoolctl tells this module from others that are called _cpu.
extern "C" __attribute__((visibility("default"))) int curvblas_get_num_threads() {
    return curvblas::cpu::Pool::instance().threads();
}

namespace curvblas {
namespace {

using cpu::IsaLevels;
using cpu::Micro;
using cpu::Pool;

std::atomic<const Micro*> chosen{nullptr};

const Micro* best() {
    const IsaLevels levels = cpu::usable_isa_levels();
    return levels.tables[levels.count - 1];
}

py::list isa_levels() {
    const IsaLevels levels = cpu::usable_isa_levels();
    py::list names;
    for (int k = 0; k < levels.count; ++k) names.append(levels.tables[k]->isa);
    return names;
}

void set_isa(const std::string& name) {
    const IsaLevels levels = cpu::usable_isa_levels();
    for (int k = 0; k < levels.count; ++k)
        if (name == levels.tables[k]->isa) {
            chosen = levels.tables[k];
            return;
        }
    wrong_value("CURVBLAS_ISA must be one of ", py::str(isa_levels()).cast<std::string>(), " on this machine, got '",
                name, "'");
}

void set_num_threads(int threads) {
    const py::gil_scoped_release released;
    Pool::instance().resize(threads);
}

}  // namespace

Queue queue_for(const Borrowed&) { return Queue(*chosen); }

void hand_back(const Borrowed&) noexcept {}

Numbers numbers(const Queue&, const std::vector<double>& values) {
    auto copy = std::make_shared<double[]>(values.size());
    std::copy(values.begin(), values.end(), copy.get());
    return copy;
}

Numbers numbers(const Queue&, const Array& a, Index total) {
    auto values = std::make_shared<double[]>(static_cast<std::size_t>(total));
    for (Index b = 0; b < total; ++b) {
        const Index at = a.ndim == 0 ? 0 : offset_of(a, 0, b);
        values[b] = a.dtype == DType::float64 ? a.as<double>()[at] : static_cast<double>(a.as<float>()[at]);
    }
    return values;
}

template <class T>
std::shared_ptr<T[]> temporary(const Queue&, Index count) {
    return std::make_shared_for_overwrite<T[]>(static_cast<std::size_t>(count));
}

template <class T>
std::vector<T> host_copy(const Queue&, const T* data, Index count) {
    return {data, data + count};
}

template std::shared_ptr<Index[]> temporary(const Queue&, Index);
template std::vector<Index> host_copy(const Queue&, const Index*, Index);
template std::vector<Status> host_copy(const Queue&, const Status*, Index);

void register_backend(py::module_& m) {
    chosen = best();
    m.def("isa", [] { return chosen.load()->isa; });
    m.def("isa_levels", &isa_levels);
    m.def("set_isa", &set_isa);
    m.def("get_num_threads", &curvblas_get_num_threads);
    m.def("set_num_threads", &set_num_threads);
    m.def("blas", &cpu::blas::description);
}

}  // namespace curvblas

// The test kernels as an extension module of their own, in checked emulation.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/emu/emulator.h"
#include "core/require.h"
#include "products.h"
#include "queue.h"
#include "seeded_bugs.h"

namespace py = pybind11;

namespace curvblas {
namespace {

using CURVBLAS_BACKEND::Queue;

std::vector<std::string> names() {
    std::vector<std::string> found;
    for (const auto& seed : CURVBLAS_BACKEND::seeded_bugs(true)) found.push_back(seed.name);
    return found;
}

/// Runs one kernel; returns what it wrote.
std::vector<float> run(const std::string& name, bool fixed) {
    const Queue queue(nullptr, -1);
    std::vector<float> x(256), sums(256);
    for (std::size_t k = 0; k < x.size(); ++k) x[k] = static_cast<float>(k % 7);
    const auto x_there = queue.copy_of(std::span<const float>(x));
    const auto sums_there = queue.copy_of(std::span<const float>(sums));
    for (const auto& seed : CURVBLAS_BACKEND::seeded_bugs(fixed)) {
        if (seed.name != name) continue;
        seed.run({64 * sizeof(float) * 4, x_there.get(), sums_there.get()});
        CURVBLAS_BACKEND::download(sums.data(), sums_there.get(), sums.size() * sizeof(float), nullptr);
        return sums;
    }
    wrong_value("no seeded bug is called '", name, "'");
}

std::vector<double> multiply(const std::string& kind, const std::vector<double>& a, const std::vector<double>& b,
                             std::vector<double> c) {
    const Queue queue(nullptr, -1);
    const auto there = [&](const std::vector<double>& x) { return queue.copy_of(std::span<const double>(x)); };
    const auto a_there = there(a), b_there = there(b), c_there = there(c);
    if (!CURVBLAS_BACKEND::run_product(kind, a_there.get(), b_there.get(), c_there.get()))
        wrong_value("no product is called '", kind, "'");
    CURVBLAS_BACKEND::download(c.data(), c_there.get(), c.size() * sizeof(double), nullptr);
    return c;
}

}  // namespace

PYBIND11_MODULE(CURVBLAS_MODULE, m) {
    register_emulator(m);
    m.def("names", &names);
    m.def("run", &run, py::arg("name"), py::kw_only(), py::arg("fixed"));
    m.def("multiply", &multiply);
    m.def("run_barriers", &CURVBLAS_BACKEND::run_barriers, py::arg("blocks"), py::arg("count"));
}

}  // namespace curvblas

#include "bindings/emu/emulator.h"

#include "core/require.h"
#include "emu/block.h"
#include "emu/check.h"
#include "emu/counters.h"
#include "emu/finding.h"
#include "emu/streams.h"

namespace py = pybind11;

namespace curvblas {
namespace {

/// Index of `name` in `names`.
template <std::size_t n>
int choice(const char* what, const std::string& name, const char* const (&names)[n]) {
    for (std::size_t k = 0; k < n; ++k)
        if (name == names[k]) return static_cast<int>(k);
    wrong_value(what, " must be \"", names[0], "\", \"", names[1], "\" or \"", names[2], "\", got \"", name, "\"");
}

void configure(const std::string& schedule, const std::string& landing, std::uint64_t seed) {
    emulator::options.schedule =
        static_cast<emulator::Schedule>(choice("schedule", schedule, {"forward", "reverse", "random"}));
    emulator::options.landing = static_cast<emulator::Landing>(choice("landing", landing, {"early", "late", "random"}));
    emulator::options.seed = seed;
}

py::list take_counts() {
    py::list list;
    for (const emulator::Count& count : emulator::take_counts())
        list.append(py::make_tuple(count.source, count.shared ? "shared" : "global", count.requests, count.parts));
    return list;
}

py::list take_stream_orders() {
    py::list list;
    for (const auto& [later, earlier] : emulator::stream_orders)
        list.append(py::make_tuple(reinterpret_cast<std::uintptr_t>(later), reinterpret_cast<std::uintptr_t>(earlier)));
    emulator::stream_orders.clear();
    return list;
}

}  // namespace

void register_emulator(py::module_& m) {
    py::register_local_exception<emulator::Finding>(m, "Finding", PyExc_RuntimeError);
    m.attr("checking") = emulator::checking;
    m.def("configure", &configure, py::kw_only(), py::arg("schedule"), py::arg("landing"), py::arg("seed") = 0);
    m.def("count", [](bool on) { emulator::counting = on; });
    m.def("take_counts", &take_counts);
    m.def("copies_issued", [] { return emulator::copies_issued; });
    m.def("take_stream_orders", &take_stream_orders);
}

}  // namespace curvblas

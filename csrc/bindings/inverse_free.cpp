#include "bindings/inverse_free.h"

#include "algorithms/update_inverse_free.h"
#include "bindings/backend.h"
#include "bindings/group.h"
#include "bindings/memory.h"
#include "bindings/results.h"

namespace curvblas {
namespace {

namespace kernels = CURVBLAS_BACKEND;
using kernels::InverseFreeRule;

InverseFreeRule rule_from(const py::object& value) {
    if (!py::isinstance<py::str>(value))
        wrong_type("update_inverse_free: rule must be a str, got ", Py_TYPE(value.ptr())->tp_name);
    const auto text = value.cast<std::string>();
    if (text == "singd") return InverseFreeRule::singd;
    if (text == "ikfac") return InverseFreeRule::ikfac;
    wrong_value("update_inverse_free: rule must be \"singd\" or \"ikfac\", got \"", text, "\"");
}

/// An argument in the form of K, whose arrays have the shapes of `model`.
Group like(Call& call, const Group& K, const Group& model, const py::object& object, const char* name) {
    const Group group = call.group_like(K, "K", object, name);
    require_shapes_of(model, group);
    return group;
}

/// ValueError unless the first can be written, and nothing shares memory with them.
void require_in_place(std::initializer_list<const Group*> written, std::initializer_list<const Group*> read) {
    Memory memory;
    for (const Group* group : written) {
        require_writable(*group, ": copy=True returns new roots and momenta instead");
        memory.writes(*group);
    }
    for (const Group* group : read) memory.reads(*group);
    memory.require_disjoint();
}

}  // namespace

py::tuple update_inverse_free(const py::object& K, const py::object& C, const py::object& A, const py::object& G,
                              const py::object& K_momentum, const py::object& C_momentum, const py::object& damping,
                              const py::object& step, const py::object& momentum, const py::object& rule,
                              const py::object& copy_or_not) {
    Call call("update_inverse_free");
    const InverseFreeRule chosen = rule_from(rule);
    const bool copy = call.flag(copy_or_not, "copy");
    const Group Ks = call.group(K, "K"), Cs = call.group_like(Ks, "K", C, "C");
    require_square(Ks), require_square(Cs);
    const DType dtype = require_real(Ks);
    const Group As = like(call, Ks, Ks, A, "A"), Gs = like(call, Ks, Cs, G, "G");
    const Group K_ms = like(call, Ks, Ks, K_momentum, "K_momentum"),
                C_ms = like(call, Ks, Cs, C_momentum, "C_momentum");
    for (const Group* group : {&Cs, &As, &Gs, &K_ms, &C_ms}) require_dtype(*group, dtype, "K");
    for (std::size_t k = 0; k < Ks.arrays.size(); ++k) require_same_batch(Ks.arrays[k], 2, Cs.arrays[k], 2);
    const Numbers dampings = call.parameter(damping, "damping", Ks, 2, non_negative);
    const Numbers steps = call.parameter(step, "step", Ks, 2, non_negative);
    const Numbers keeps = call.parameter(momentum, "momentum", Ks, 2, fraction);
    if (!copy) require_in_place({&Ks, &Cs, &K_ms, &C_ms}, {&As, &Gs});
    const auto updated = [&](const py::object& object, const Group& group) {
        return copy ? new_arrays_like(call.queue(), group, dtype) : NewArrays{object, group};
    };
    const NewArrays new_K = updated(K, Ks), new_C = updated(C, Cs);
    const NewArrays new_K_m = updated(K_momentum, K_ms), new_C_m = updated(C_momentum, C_ms);
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::UpdateInverseFree<T>> tasks;
        for_each_stack(Ks, {&Cs, &As, &Gs, &K_ms, &C_ms}, [&](std::size_t k, Index count, Index first, Index matrix) {
            const auto read = [&](const Group& group) { return stack<const T>(group.arrays[k], count, first); };
            const auto write = [&](const NewArrays& made) { return stack<T>(made.group.arrays[k], count, first); };
            tasks.push_back({read(Ks), read(Cs), read(As), read(Gs), read(K_ms), read(C_ms), &dampings[matrix],
                             &steps[matrix], &keeps[matrix], write(new_K), write(new_C), write(new_K_m),
                             write(new_C_m)});
        });
        const Queue queue = call.queue();
        const py::gil_scoped_release released;
        kernels::update_inverse_free<T>(queue, tasks, chosen);
    });
    return py::make_tuple(new_K.object, new_C.object, new_K_m.object, new_C_m.object);
}

}  // namespace curvblas

#include "bindings/output.h"

#include "bindings/memory.h"

namespace curvblas {

NewArrays output_like(Call& call, const Group& model, const char* model_name, const py::object& out,
                      std::initializer_list<const Group*> inputs) {
    const DType dtype = model.arrays.empty() ? DType::float64 : model.arrays[0].dtype;
    if (out.is_none()) return new_arrays_like(call.queue(), model, dtype);
    NewArrays given{out, call.group_like(model, model_name, out, "out")};
    require_dtype(given.group, dtype, model_name);
    for (std::size_t k = 0; k < model.arrays.size(); ++k) {
        const Array &x = given.group.arrays[k], &m = model.arrays[k];
        bool same = x.ndim == m.ndim;
        for (int i = 0; same && i < m.ndim; ++i) same = x.shape[i] == m.shape[i];
        if (!same)
            wrong_value(x.argument.text(), " must have the shape of ", m.argument.short_text(), " ", m.shape_text(),
                        ", got ", x.shape_text());
    }
    require_output(given.group, inputs);
    return given;
}

OnFailure on_failure_from(const char* function, const py::object& value, bool has_out) {
    if (!py::isinstance<py::str>(value))
        wrong_type(function, ": on_failure must be a str, got ", Py_TYPE(value.ptr())->tp_name);
    const auto text = value.cast<std::string>();
    if (text == "jitter") return OnFailure::jitter;
    if (text == "raise") return OnFailure::raise;
    if (text != "keep")
        wrong_value(function, ": on_failure must be \"jitter\", \"keep\" or \"raise\", got \"", text, "\"");
    if (!has_out)
        wrong_value(function, ": out must be given with on_failure=\"keep\": it holds what is kept, got None");
    return OnFailure::keep;
}

Failure first_failure(const std::vector<Status>& status, const std::vector<Index>& minor) {
    for (std::size_t k = 0; k < status.size(); ++k)
        if (status[k] == Status::not_positive_definite || status[k] == Status::not_finite)
            return {static_cast<Index>(k), minor[k], status[k]};
    return {};
}

}  // namespace curvblas

// What functions that return new arrays share: the argument `out`, and what becomes of matrices that fail.
#pragma once

#include "bindings/group.h"
#include "bindings/results.h"
#include "core/status.h"

namespace curvblas {

/// `out` if the caller gave one, checked against the model and what the call reads; else new arrays.
NewArrays output_like(Call& call, const Group& model, const char* model_name, const py::object& out,
                      std::initializer_list<const Group*> inputs);

/// The argument on_failure of a function that has an `out` too.
OnFailure on_failure_from(const char* function, const py::object& value, bool has_out);

/// The first matrix that an exception is about.
struct Failure {
    Index index = -1, minor = 0;
    Status status = Status::ok;
};
Failure first_failure(const std::vector<Status>& status, const std::vector<Index>& minor);

}  // namespace curvblas

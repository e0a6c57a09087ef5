// The extension module of one backend: a table of contents.
#include <pybind11/pybind11.h>

#include "bindings/backend.h"
#include "bindings/cholesky.h"
#include "bindings/convolution.h"
#include "bindings/eigen.h"
#include "bindings/inverse_free.h"
#include "bindings/kalman.h"
#include "bindings/kronecker.h"
#include "bindings/lbfgs.h"
#include "bindings/low_rank.h"
#include "bindings/lsr1.h"
#include "bindings/moments.h"
#include "bindings/online_natural_gradient.h"
#include "bindings/packing.h"
#include "bindings/pairs.h"
#include "bindings/preconditioning.h"
#include "bindings/roots.h"
#include "bindings/sample_space.h"
#include "bindings/sample_space_layers.h"
#include "bindings/simple_natural_gradient.h"
#include "bindings/tonga.h"
#include "bindings/unitwise.h"

namespace curvblas {

PYBIND11_MODULE(CURVBLAS_MODULE, m, py::mod_gil_not_used()) {
    m.doc() = "Kernels of one backend. Private: import curvblas instead.";
    py::register_local_exception_translator([](std::exception_ptr error) {
        try {
            if (error) std::rethrow_exception(error);
        } catch (const WrongType& wrong) {
            py::set_error(PyExc_TypeError, wrong.what());
        }
    });

    m.def("update_factors", &update_factors);
    m.def("update_conv_factors", &update_conv_factors);
    m.def("conv_workspace_bytes", &conv_workspace_bytes);
    m.def("factored_damping", &factored_damping);
    m.def("factored_dampings", &factored_dampings);
    m.def("damped_inverse", &damped_inverse);
    m.def("eigenbasis", &eigenbasis);
    m.def("precondition", &precondition);
    m.def("damped_cholesky", &damped_cholesky);
    m.def("triangular_solve", &triangular_solve);
    m.def("cholesky_solve", &cholesky_solve);
    m.def("inverse_root", &inverse_root);
    m.def("newton_schulz", &newton_schulz);
    m.def("precondition_with_inner", &precondition_with_inner);
    m.def("precondition_eigen", &precondition_eigen);
    m.def("kron_sum_solve", &kron_sum_solve);
    m.def("all_finite", &all_finite);
    m.def("update_inverse_free", &update_inverse_free);
    m.def("pack_symmetric", &pack_symmetric);
    m.def("unpack_symmetric", &unpack_symmetric);
    m.def("update_ekfac_moments", &update_ekfac_moments);
    m.def("update_lagged_factors", &update_lagged_factors);
    m.def("update_unit_moments", &update_unit_moments);
    m.def("accumulate_quasi_diagonal", &accumulate_quasi_diagonal);
    m.def("solve_quasi_diagonal", &solve_quasi_diagonal);
    m.def("gram", &gram);
    m.def("gram_products", &gram_products);
    m.def("low_rank_solve", &low_rank_solve);
    m.def("lsr1_step", &lsr1_step);
    m.def("lsr1_matvec", &lsr1_matvec);
    m.def("trust_region_step", &trust_region_step);
    m.def("pair_memory", &pair_memory);
    m.def("lsr1_memory_update", &lsr1_memory_update);
    m.def("lsr1_memory_step", &lsr1_memory_step);
    m.def("lsr1_memory_matvec", &lsr1_memory_matvec);
    m.def("lbfgs_direction", &lbfgs_direction);
    m.def("lbfgs_memory_update", &lbfgs_memory_update);
    m.def("lbfgs_memory_direction", &lbfgs_memory_direction);
    m.def("kalman_memory", &kalman_memory);
    m.def("kalman_step", &kalman_step);
    m.def("ong_memory", &ong_memory);
    m.def("ong_step", &ong_step);
    m.def("layer_gram", &layer_gram);
    m.def("sample_space_solve", &sample_space_solve);
    m.def("sample_space_solve_layers", &sample_space_solve_layers);
    m.def("simple_natural_gradient", &simple_natural_gradient);
    m.def("tonga_memory", &tonga_memory);
    m.def("tonga_step", &tonga_step);

    register_backend(m);
}

}  // namespace curvblas

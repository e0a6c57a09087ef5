#include "cuda/vendor_library.h"

#include <dlfcn.h>

#include <string>

namespace curvblas::CURVBLAS_BACKEND::vendor_blas {
namespace {

/// The folder that our package lies in: PyPI's packages of the vendor's libraries are its neighbours.
std::string site_folder() {
    Dl_info info;
    if (!dladdr(reinterpret_cast<const void*>(&site_folder), &info)) return ".";
    const std::string module = info.dli_fname, package = module.substr(0, module.find_last_of('/'));
    return package.substr(0, package.find_last_of('/'));
}

void* open(const std::string& library, const std::string& newest, const std::string& folder) {
    const std::string in_site = site_folder() + "/nvidia/";
    const std::string old_version = library == "libcublas.so." ? "12" : "11";
    const std::string candidates[] = {library + newest, in_site + "cu13/lib/" + library + newest, library + old_version,
                                      in_site + folder + "/lib/" + library + old_version};
    for (const std::string& path : candidates)  // what the process uses already, before anything is loaded
        if (void* const loaded = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD)) return loaded;
    for (const std::string& path : candidates)
        if (void* const loaded = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return loaded;
    return nullptr;
}

/// Sets `function` to a symbol; false if the library has none of that name.
template <class Function>
bool find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    return function != nullptr;
}

const Library* load() {
    void *const blas = open("libcublas.so.", "13", "cublas"), *const solver = open("libcusolver.so.", "12", "cusolver");
    static Library found;
    if (!blas || !solver) return nullptr;
    Functions<float>& s = found.single_;
    Functions<double>& d = found.double_;
    const bool complete =
        find(blas, "cublasCreate_v2", found.create_blas) && find(blas, "cublasSetStream_v2", found.set_blas_stream) &&
        find(solver, "cusolverDnCreate", found.create_solver) &&
        find(solver, "cusolverDnSetStream", found.set_solver_stream) && find(blas, "cublasSgemm_v2", s.gemm) &&
        find(blas, "cublasDgemm_v2", d.gemm) && find(solver, "cusolverDnSpotrf_bufferSize", s.potrf_buffer) &&
        find(solver, "cusolverDnDpotrf_bufferSize", d.potrf_buffer) && find(solver, "cusolverDnSpotrf", s.potrf) &&
        find(solver, "cusolverDnDpotrf", d.potrf) && find(solver, "cusolverDnSpotri_bufferSize", s.potri_buffer) &&
        find(solver, "cusolverDnDpotri_bufferSize", d.potri_buffer) && find(solver, "cusolverDnSpotri", s.potri) &&
        find(solver, "cusolverDnDpotri", d.potri) && find(solver, "cusolverDnSsyevd_bufferSize", s.syevd_buffer) &&
        find(solver, "cusolverDnDsyevd_bufferSize", d.syevd_buffer) && find(solver, "cusolverDnSsyevd", s.syevd) &&
        find(solver, "cusolverDnDsyevd", d.syevd);
    return complete ? &found : nullptr;
}

}  // namespace

const Library* library() {
    static const Library* const found = load();
    return found;
}

}  // namespace curvblas::CURVBLAS_BACKEND::vendor_blas

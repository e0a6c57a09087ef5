#include "bindings/convolution.h"

#include <array>

#include "bindings/backend.h"
#include "bindings/group.h"
#include "bindings/memory.h"
#include "bindings/results.h"
#include "kernels/update_conv_factors.h"

namespace curvblas {
namespace {

namespace kernels = CURVBLAS_BACKEND;

constexpr Index most_size = (Index{1} << 31) - 1;
constexpr Integers from_one{1, most_size, "an int >= 1, or a tuple with one per axis", "an int >= 1 and below 2^31"};
constexpr Integers from_zero{0, most_size, "an int >= 0, or a tuple with one per axis", "an int >= 0 and below 2^31"};
constexpr Integers group_counts{1, most_size, "an int >= 1", "an int >= 1 and below 2^31"};

/// The whole numbers of one argument: one for all arrays and axes, a tuple with one per axis, or for a list of arrays
/// a list with one of these per array.
class Sizes {
  public:
    Sizes(const Group& factors, py::handle value, const char* function, const char* name, const Integers& wanted)
        : function_(function), name_(name), wanted_(wanted) {
        if (!factors.ragged || !PyList_Check(value.ptr())) {
            values_.assign(factors.arrays.size(), py::reinterpret_borrow<py::object>(value));
            return;
        }
        for (const py::handle item : value.cast<py::list>())
            values_.push_back(py::reinterpret_borrow<py::object>(item));
        if (values_.size() != factors.arrays.size())
            wrong_value(function, ": ", name, " must have one entry for each of the ", factors.arrays.size(),
                        " of factors, got ", values_.size());
    }

    Index number(std::size_t k) const { return number_from(values_[k]); }

    /// One per axis of array k, in the last `axes` places; `filler` in front.
    std::array<Index, 3> per_axis(std::size_t k, int axes, Index filler) const {
        std::array<Index, 3> result{filler, filler, filler};
        const py::object& value = values_[k];
        const bool several = PyTuple_Check(value.ptr()) || PyList_Check(value.ptr());
        const auto given = several ? py::reinterpret_steal<py::tuple>(PySequence_Tuple(value.ptr())) : py::tuple();
        if (several && static_cast<int>(given.size()) != axes)
            wrong_value(function_, ": ", name_, " must be an int, or one for each of the ", axes,
                        axes == 1 ? " axis" : " axes", " of the images, got ", given.size());
        for (int a = 0; a < axes; ++a) result[3 - axes + a] = number_from(several ? py::object(given[a]) : value);
        return result;
    }

  private:
    Index number_from(const py::object& value) const {
        return integer(value, wanted_, [&] { return sentence(function_, ": ", name_); });
    }

    const char *function_, *name_;
    const Integers& wanted_;
    std::vector<py::object> values_;
};

/// One array of the group: factors (..., p, p), or (..., groups, p, p) where groups > 1, and images
/// (..., N, channels, *size).
struct Convolution {
    ConvGeometry geometry;
    Index groups;
    int leading;
};

void require_form(const Array& C, bool ragged, const Convolution& conv) {
    const bool axes_fit = ragged ? conv.leading == 0 : conv.leading >= 0;
    if (axes_fit && C.shape[C.ndim - 2] == C.shape[C.ndim - 1]) return;
    const std::string form = conv.groups > 1 ? sentence("groups, p, p) with groups = ", conv.groups) : "p, p)";
    wrong_value(C.argument.text(), " must have shape (", ragged ? "" : "..., ", form, ", got ", C.shape_text());
}

void require_images(const Array& C, const Array& x, const Convolution& conv, int axes) {
    const char* form = conv.groups > 1 ? "(..., groups, p, p)" : "(..., p, p)";
    if (axes < 1 || axes > 3)
        wrong_value(x.argument.text(),
                    " must have shape (..., N, channels, *size) with one to three axes of size, for ",
                    C.argument.short_text(), " of shape ", C.shape_text(), " = ", form, ", got ", x.shape_text());
    for (int k = 0; k < conv.leading; ++k)
        if (x.shape[k] != C.shape[k])
            wrong_value(x.argument.text(), " must have the leading axes of ", C.argument.short_text(), " of shape ",
                        C.shape_text(), " = ", form, ", got ", x.shape_text());
    const Index channels = x.shape[conv.leading + 1];
    if (channels == 0) wrong_value(x.argument.text(), " must have at least one channel, got shape ", x.shape_text());
    if (channels % conv.groups)
        wrong_value(x.argument.text(), " must have a number of channels that groups = ", conv.groups, " divides, got ",
                    channels, " in shape ", x.shape_text());
}

void require_fitting_kernel(const Array& x, const ConvAxis& axis, int number) {
    const Index padded = axis.size + 2 * axis.padding, extent = axis.dilation * (axis.kernel - 1) + 1;
    if (extent > padded)
        wrong_value(x.argument.text(), " must be at least as long as the kernel along each axis: along axis ", number,
                    " the kernel covers ", extent, ", got ", axis.size, " and padding of ", axis.padding,
                    " on both sides");
}

/// Patches and their elements are counted in 64 bits.
void require_countable(const Array& x, const Convolution& conv) {
    double patches = static_cast<double>(x.shape[conv.leading]),
           elements = static_cast<double>(x.shape[conv.leading + 1]);
    for (const ConvAxis& axis : conv.geometry.axis) {
        patches *= static_cast<double>(axis.outputs());
        elements *= static_cast<double>(axis.kernel);
    }
    constexpr double most = 1e15;
    if (std::max(patches, elements) > most)
        wrong_value(x.argument.text(), " must have at most 1e15 patches of at most 1e15 elements, got ", patches,
                    " of ", elements);
}

void require_factor(const Array& C, const Array& x, const Convolution& conv, bool bias) {
    const Index channels = x.shape[conv.leading + 1] / conv.groups;
    const Index p = channels * conv.geometry.offsets() + (bias ? 1 : 0);
    const bool fits = C.shape[C.ndim - 1] == p && (conv.groups == 1 || C.shape[conv.leading] == conv.groups);
    if (fits) return;
    const std::string size = sentence(p, ", ", p, ")");
    wrong_value(C.argument.text(), " must have shape (", conv.leading ? "..., " : "",
                conv.groups > 1 ? sentence(conv.groups, ", ") : std::string(), size, " for ", channels,
                conv.groups > 1 ? " channels a group, " : " channels, ", conv.geometry.offsets(), " kernel offsets",
                bias ? " and the bias" : "", ", got ", C.shape_text());
}

/// The arguments that say what is convolved, read and checked.
struct Convolutions {
    Group C, x;
    std::vector<Convolution> each;
    std::vector<bool> bias;

    Convolutions(Call& call, const char* function, const py::object& factors, const py::object& inputs,
                 const py::object& kernel_size, const py::object& stride, const py::object& padding,
                 const py::object& dilation, const py::object& groups, const py::object& biases)
        : C(call.group(factors, "factors")), x(call.group_like(C, "factors", inputs, "inputs")) {
        require_real(C);
        const Sizes kernels_(C, kernel_size, function, "kernel_size", from_one),
            strides(C, stride, function, "stride", from_one), paddings(C, padding, function, "padding", from_zero),
            dilations(C, dilation, function, "dilation", from_one),
            groups_(C, groups, function, "groups", group_counts);
        bias = call.flags(biases, "bias", C);
        for (std::size_t k = 0; k < C.arrays.size(); ++k) {
            Convolution conv{{}, groups_.number(k), 0};
            conv.leading = C.arrays[k].ndim - (conv.groups > 1 ? 3 : 2);
            const int axes = x.arrays[k].ndim - conv.leading - 2;
            require_form(C.arrays[k], C.ragged, conv);
            require_images(C.arrays[k], x.arrays[k], conv, axes);
            const auto kernel = kernels_.per_axis(k, axes, 1), step = strides.per_axis(k, axes, 1),
                       around = paddings.per_axis(k, axes, 0), apart = dilations.per_axis(k, axes, 1);
            for (int a = 0; a < 3; ++a) {
                const int axis = a - (3 - axes);
                const Index size = axis < 0 ? 1 : x.arrays[k].shape[conv.leading + 2 + axis];
                conv.geometry.axis[a] = {size, kernel[a], step[a], around[a], apart[a]};
                if (axis >= 0) require_fitting_kernel(x.arrays[k], conv.geometry.axis[a], axis);
            }
            require_countable(x.arrays[k], conv);
            require_factor(C.arrays[k], x.arrays[k], conv, bias[k]);
            each.push_back(conv);
        }
    }

    /// The images of one set, from the channels of one group on.
    Images images(std::size_t k, Index set, Index group) const {
        const Array& a = x.arrays[k];
        const Convolution& conv = each[k];
        const int n = conv.leading, c = n + 1, inner = a.ndim - conv.leading;
        Images images{};
        images.dtype = a.dtype, images.N = a.shape[n], images.channels = a.shape[c] / conv.groups;
        images.n_stride = a.strides[n], images.c_stride = a.strides[c];
        for (int axis = 0; axis < a.ndim - c - 1; ++axis)
            images.stride[3 - (a.ndim - c - 1) + axis] = a.strides[c + 1 + axis];
        images.batch_stride = images.channels * images.c_stride;
        const Index offset = offset_of(a, inner, set) + group * images.batch_stride;
        images.data = static_cast<const std::byte*>(a.data) + offset * item_size(a.dtype);
        return images;
    }

    /// One task for each set of images: the factors of its groups are a stack. In a list, where all groups of an array
    /// share its decay and scale, one task for each group.
    template <class T>
    std::vector<kernels::UpdateConvFactors<T>> tasks(const Group& updated, const double* decay,
                                                     const double* scale) const {
        std::vector<kernels::UpdateConvFactors<T>> tasks;
        for (std::size_t k = 0; k < each.size(); ++k) {
            const Index groups = each[k].groups, matrices = batch_of(C.arrays[k], 2), batch = C.ragged ? 1 : groups;
            for (Index first = 0; first < matrices; first += batch) {
                const Index parameter = C.ragged ? static_cast<Index>(k) : first;
                tasks.push_back({of_groups<const T>(C.arrays[k], first, batch),
                                 images(k, first / groups, first % groups), each[k].geometry, bias[k],
                                 decay ? decay + parameter : nullptr, scale ? scale + parameter : nullptr,
                                 of_groups<T>(updated.arrays[k], first, batch)});
            }
        }
        return tasks;
    }

  private:
    template <class T>
    static Stack<T> of_groups(const Array& a, Index first, Index groups) {
        Stack<T> result = stack<T>(a, groups, first);
        result.batch_stride = groups > 1 ? a.strides[a.ndim - 3] : 0;
        return result;
    }
};

}  // namespace

py::object update_conv_factors(const py::object& factors, const py::object& inputs, const py::object& kernel_size,
                               const py::object& stride, const py::object& padding, const py::object& dilation,
                               const py::object& groups, const py::object& decay, const py::object& scale,
                               const py::object& bias, const py::object& copy_or_not) {
    Call call("update_conv_factors");
    const bool copy = call.flag(copy_or_not, "copy");
    const Convolutions conv(call, "update_conv_factors", factors, inputs, kernel_size, stride, padding, dilation,
                            groups, bias);
    const Numbers decays = call.parameter(decay, "decay", conv.C, 2, fraction);
    const Numbers scales = scale.is_none() ? nullptr : call.parameter(scale, "scale", conv.C, 2, finite);
    if (!copy) {
        require_writable(conv.C, ": copy=True returns new factors instead");
        Memory memory;
        memory.writes(conv.C), memory.reads(conv.x);
        memory.require_disjoint();
    }
    const DType dtype = conv.C.arrays.empty() ? DType::float64 : conv.C.arrays[0].dtype;
    const NewArrays updated = copy ? new_arrays_like(call.queue(), conv.C, dtype) : NewArrays{factors, conv.C};
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        const auto tasks = conv.tasks<T>(updated.group, decays.get(), scales.get());
        const Queue queue = call.queue();
        const py::gil_scoped_release released;
        kernels::update_conv_factors<T>(queue, tasks);
    });
    return updated.object;
}

py::object conv_workspace_bytes(const py::object& factors, const py::object& inputs, const py::object& kernel_size,
                                const py::object& stride, const py::object& padding, const py::object& dilation,
                                const py::object& groups, const py::object& bias) {
    Call call("conv_workspace_bytes");
    const Convolutions conv(call, "conv_workspace_bytes", factors, inputs, kernel_size, stride, padding, dilation,
                            groups, bias);
    Index bytes = 0;
    with_real(conv.C.arrays.empty() ? DType::float64 : conv.C.arrays[0].dtype, [&](auto real) {
        using T = decltype(real);
        const auto tasks = conv.tasks<T>(conv.C, nullptr, nullptr);
        bytes = kernels::conv_workspace_bytes<T>(call.queue(), tasks);
    });
    return py::int_(bytes);
}

}  // namespace curvblas

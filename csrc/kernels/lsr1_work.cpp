#include "kernels/lsr1_work.h"

#include "cpu/for_each_element.h"

namespace curvblas::cpu {
namespace {

template <class Task>
void run(const Queue& queue, std::span<const Task> tasks, double cost) {
    const ElementRange<Task>& compiled = *queue.micro().lsr1_work;
    for_each_range(queue, tasks, cost, compiled.work);
}

}  // namespace

template <>
void for_each_element(const Queue& queue, std::span<const Lsr1Curvature> tasks, double cost) {
    run(queue, tasks, cost);
}
template <>
void for_each_element(const Queue& queue, std::span<const Lsr1CurvatureAgain> tasks, double cost) {
    run(queue, tasks, cost);
}
template <>
void for_each_element(const Queue& queue, std::span<const Lsr1Gamma> tasks, double cost) {
    run(queue, tasks, cost);
}
template <>
void for_each_element(const Queue& queue, std::span<const Lsr1Begin<float>> tasks, double cost) {
    run(queue, tasks, cost);
}
template <>
void for_each_element(const Queue& queue, std::span<const Lsr1Begin<double>> tasks, double cost) {
    run(queue, tasks, cost);
}
template <>
void for_each_element(const Queue& queue, std::span<const Lsr1Factor> tasks, double cost) {
    run(queue, tasks, cost);
}
template <>
void for_each_element(const Queue& queue, std::span<const Lsr1Invert> tasks, double cost) {
    run(queue, tasks, cost);
}
template <>
void for_each_element(const Queue& queue, std::span<const Lsr1Model> tasks, double cost) {
    run(queue, tasks, cost);
}
template <>
void for_each_element(const Queue& queue, std::span<const Lsr1Solve> tasks, double cost) {
    run(queue, tasks, cost);
}
template <>
void for_each_element(const Queue& queue, std::span<const Lsr1Combine> tasks, double cost) {
    run(queue, tasks, cost);
}
template <>
void for_each_element(const Queue& queue, std::span<const Lsr1InvertProduct> tasks, double cost) {
    run(queue, tasks, cost);
}
template <>
void for_each_element(const Queue& queue, std::span<const Lsr1Multiply> tasks, double cost) {
    run(queue, tasks, cost);
}

}  // namespace curvblas::cpu

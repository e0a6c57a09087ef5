"""Two data sets that come with scikit-learn: handwritten digits, and patches of its two photographs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_digits, load_sample_images
from sklearn.model_selection import train_test_split

from curvblas.examples.network import Array

PATCH = 12
TRAINING_COLUMNS = 0.75


@dataclass(frozen=True)
class Data:
    """Cases to train on, and cases whose loss is reported; inputs are (N, n), targets (N, o), float32."""

    inputs: Array
    targets: Array
    reported_inputs: Array
    reported_targets: Array
    test_inputs: Array | None = None
    test_labels: Array | None = None


def digits_to_reconstruct() -> Data:
    """1,797 scans of digits as inputs and as targets; the loss is reported on all of them.

    Returns
    -------
    Data
        64 pixels in [0, 1] a case.
    """
    pixels = (load_digits().data / 16).astype(np.float32)
    return Data(pixels, pixels, pixels, pixels)


def digits_to_classify() -> Data:
    """Three quarters of the digits for training and for the loss, one quarter for the test.

    Returns
    -------
    Data
        64 pixels in [0, 1] a case; targets are one-hot rows of 10; stratified by class.
    """
    digits = load_digits()
    pixels = (digits.data / 16).astype(np.float32)
    inputs, test_inputs, labels, test_labels = train_test_split(
        pixels, digits.target, test_size=0.25, stratify=digits.target, random_state=0
    )
    targets = np.eye(10, dtype=np.float32)[labels]
    return Data(inputs, targets, inputs, targets, test_inputs, test_labels)


def patches_to_reconstruct(training: int = 20_000, held_out: int = 2_000, seed: int = 0) -> Data:
    """Patches of 12 x 12 gray pixels at random places of china.jpg and flower.jpg.

    Parameters
    ----------
    training, held_out : int
        Numbers of patches; half of each from either photograph.
    seed : int
        Of the places.

    Returns
    -------
    Data
        144 pixels a case, contrast-normalised. Training patches lie in the left three quarters of a
        photograph, held-out patches, whose loss is reported, in the rest: they share no pixel.
    """
    rng = np.random.default_rng(seed)
    train, other = [], []
    for photograph in load_sample_images().images:
        gray = photograph @ np.array([0.299, 0.587, 0.114])
        border = round(TRAINING_COLUMNS * gray.shape[1])
        train.append(_random_patches(gray[:, :border], training // 2, rng))
        other.append(_random_patches(gray[:, border:], held_out // 2, rng))
    inputs, reported = np.concatenate(train), np.concatenate(other)
    return Data(inputs, inputs, reported, reported)


def _random_patches(gray: Array, count: int, rng: np.random.Generator) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(gray, (PATCH, PATCH))
    rows, columns = (rng.integers(limit, size=count) for limit in windows.shape[:2])
    patches = windows[rows, columns].reshape(count, -1)
    patches = patches - patches.mean(axis=1, keepdims=True)
    # 10 gray levels squared keep plain sky from becoming pure noise (Coates et al. 2011, section 3.1).
    patches /= np.sqrt(patches.var(axis=1, keepdims=True) + 10)
    return np.asarray(patches, np.float32)


def minibatches(data: Data, size: int, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
    """Pass over the training cases for ever, shuffled anew each time; an incomplete last batch is dropped.

    Parameters
    ----------
    data : Data
    size : int
        Cases in a minibatch.
    rng : numpy.random.Generator

    Yields
    ------
    inputs, targets : arrays, shapes (size, n), (size, o)
    """
    while True:
        order = rng.permutation(len(data.inputs))
        for start in range(0, len(order) - size + 1, size):
            cases = order[start : start + size]
            yield data.inputs[cases], data.targets[cases]

"""Layer tables of real networks: ``(out_features, in_features)`` and the rows that a batch gives each factor.

``in_features`` counts the homogeneous 1 of the bias where there is one. For a convolution it is
``C_in k k (+ 1)``, and each patch, that is each output position of each case, is one row.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple


class Layer(NamedTuple):
    """W is ``(out_features, in_features)``: A has ``in_features`` columns, G has ``out_features``."""

    out_features: int
    in_features: int
    rows: int
    bias: bool = True


def autoencoder(batch: int = 1000) -> list[Layer]:
    """784-1000-500-250-30 and its mirror image (Hinton and Salakhutdinov 2006), minibatches of 1,000."""
    widths = [784, 1000, 500, 250, 30, 250, 500, 1000, 784]
    return [Layer(q, p + 1, batch) for p, q in itertools.pairwise(widths)]


def lenet5(batch: int = 64) -> list[Layer]:
    """LeNet-5 (LeCun et al. 1998), C3 fully connected to S2; 28 x 28 and 10 x 10 patches a case."""
    return [
        Layer(6, 1 * 5 * 5 + 1, batch * 28 * 28),
        Layer(16, 6 * 5 * 5 + 1, batch * 10 * 10),
        Layer(120, 16 * 5 * 5 + 1, batch),
        Layer(84, 120 + 1, batch),
        Layer(10, 84 + 1, batch),
    ]


def resnet50(rows: int = 256) -> list[Layer]:
    """ResNet-50 (He et al. 2016): the 53 convolutions, without bias, and the classifier."""
    # A case gives from 49 to 12,544 patches; codes that run K-FAC at this size draw a sample of them.
    layers = [Layer(64, 3 * 7 * 7, rows, bias=False)]
    channels = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            layers.append(Layer(width, channels, rows, bias=False))
            layers.append(Layer(width, width * 3 * 3, rows, bias=False))
            layers.append(Layer(4 * width, width, rows, bias=False))
            if block == 0:
                layers.append(Layer(4 * width, channels, rows, bias=False))
            channels = 4 * width
    return [*layers, Layer(1000, 2048 + 1, rows)]


def bert_block(tokens: int = 8 * 128) -> list[Layer]:
    """One block of BERT-base (Devlin et al. 2019), 8 sequences of 128 tokens, each token a row."""
    # Query, key and value see the same input, yet each keeps an A of its own, as in public K-FAC codes.
    projections = [Layer(768, 768 + 1, tokens)] * 4
    return [*projections, Layer(3072, 768 + 1, tokens), Layer(768, 3072 + 1, tokens)]


GROUPS = {"autoencoder": autoencoder, "lenet5": lenet5, "bert_block": bert_block, "resnet50": resnet50}

"""ATMC's factorised layers W = (I + U')V + C (Gui et al., section 2 and Algorithm 1).

    minimise f(W) over U', V, C   subject to   sum over layers of ||U'||_0 + ||V||_0 + ||C||_0 <= k

Keras stores W transposed, as M = W^T [inputs, outputs] (a convolution's inputs are h * w * in), so that here
M = V(I + U) + C with V, C shaped like the kernel and U [outputs, outputs]. Where a layer has more outputs than
inputs, the identity stands on the other side: M = (I + U)V + C with U [inputs, inputs]. At the start U = 0, V = M_0 and
C = 0, which is the net itself. Depthwise and grouped convolutions keep their kernel, which counts as one more factor.
"""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_tf.compression.plain import plain
from robust_tf.models.kernels import is_depthwise, kernel_layers, kernel_of
from robust_tf.models.rewrite import split
from robust_tf.projections.irregular import irregular
from robust_tf.records.summary import FactorisedLayer, Factors


def add_factors(layer):
    """Adds the weights U = 0 and C = 0 to the layer; its kernel is V."""
    inputs, outputs = np.prod(layer.kernel.shape[:-1]), layer.kernel.shape[-1]
    layer.after = outputs <= inputs  # whether I + U stands after V
    side = min(inputs, outputs)
    layer.U = layer.add_weight("U", (side, side), initializer="zeros")
    layer.C = layer.add_weight("C", layer.kernel.shape, initializer="zeros")


def materialised(layer):
    """V(I + U) + C or (I + U)V + C, shaped like the kernel."""
    V = tf.reshape(layer.kernel, (-1, layer.kernel.shape[-1]))  # [inputs, outputs]
    moved = V @ layer.U if layer.after else layer.U @ V
    return tf.reshape(V + moved, layer.kernel.shape) + layer.C


@keras.saving.register_keras_serializable("robust_tf")
class FactorisedConv2D(keras.layers.Conv2D):
    """A convolution with the kernel V(I + U) + C; its `kernel` is V."""

    PLAIN = keras.layers.Conv2D

    def build(self, input_shape):
        super().build(input_shape)
        add_factors(self)

    def used_kernel(self):
        return materialised(self)

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, self.used_kernel())


@keras.saving.register_keras_serializable("robust_tf")
class FactorisedDense(keras.layers.Dense):
    """A dense layer with the kernel V(I + U) + C; its `kernel` is V."""

    PLAIN = keras.layers.Dense

    def build(self, input_shape):
        super().build(input_shape)
        add_factors(self)

    def used_kernel(self):
        return materialised(self)

    def call(self, inputs):
        z = inputs @ self.used_kernel()
        return self.activation(tf.nn.bias_add(z, self.bias) if self.use_bias else z)


def is_factorised(layer):
    return isinstance(layer, FactorisedConv2D | FactorisedDense)


def identity_start(layer):
    """U = 0, V = M, C = 0: what `factorise` has made."""


def svd_start(layer):
    """V(I + U) = M (or (I + U)V = M) with factors of equal size: of M = P S Q^T, V = P S^(1/2) Q^T and I + U =
    Q S^(1/2) Q^T, or I + U = P S^(1/2) P^T. Of all factors with V^T V = (I + U)(I + U)^T this I + U is symmetric."""
    S, P, Q = tf.linalg.svd(tf.reshape(layer.kernel, (-1, layer.kernel.shape[-1])))
    side, root = Q if layer.after else P, tf.sqrt(S)
    layer.kernel.assign(tf.reshape((P * root) @ tf.transpose(Q), layer.kernel.shape))
    layer.U.assign((side * root) @ tf.transpose(side) - tf.eye(len(S)))


def factorise(net, start=identity_start):
    """The net with factorised layers, whose factors `start` sets; it shares no variables with `net`."""

    def twin(layer):
        plain = is_depthwise(layer) or getattr(layer, "groups", 1) > 1 or layer not in kernel_layers(net)
        if plain:
            return type(layer).from_config(layer.get_config())
        Factorised = FactorisedDense if isinstance(layer, keras.layers.Dense) else FactorisedConv2D
        return Factorised.from_config(layer.get_config())

    factorised = keras.models.clone_model(net, clone_function=twin)
    for layer, clone in zip(net.layers, factorised.layers):
        if is_factorised(clone):
            clone.kernel.assign(layer.kernel)
            if layer.use_bias:
                clone.bias.assign(layer.bias)
            start(clone)
        else:
            clone.set_weights(layer.get_weights())
    return factorised


def factors(net):
    """What the budget counts: U, V and C of each factorised layer, the kernel of any other."""
    return [factor for layer in kernel_layers(net) for factor in factors_of(layer)]


def factors_of(layer):
    return [layer.U, layer.kernel, layer.C] if is_factorised(layer) else [kernel_of(layer)]


def largest(net, W, k, by_layer=False):
    """Keeps the k largest entries of W, a list of tensors like `factors(net)`.

    by_layer: those with the largest quotients of entry and root mean square of its layer, with d_l the number of the
    layer's weights sqrt((||U||^2 + ||V||^2 + ||C||^2) / d_l).
    """
    if not by_layer:
        return irregular(W, k)
    scales, rest = [], list(W)
    for layer in kernel_layers(net):
        count = len(factors_of(layer))
        squares = tf.add_n([tf.reduce_sum(w**2) for w in rest[:count]])
        scales += [tf.sqrt(squares / kernel_of(layer).shape.num_elements())] * count
        rest = rest[count:]
    return irregular(W, k, scales=scales)


def merge(layer):
    """Adds an entry of C to V where both are non-zero and this does not change the layer's function.

    V and C have the same gradient as long as U = 0; without this the budget would count both. C_ij may move if row j of
    U is zero (I + U after V), or column i (I + U before V).
    """
    used = tf.reduce_any(layer.U != 0, axis=1 if layer.after else 0)  # [outputs] or [inputs]
    free = tf.broadcast_to(
        ~used if layer.after else ~used[:, None], (np.prod(layer.kernel.shape[:-1]), layer.kernel.shape[-1])
    )
    both = (layer.kernel != 0) & (layer.C != 0) & tf.reshape(free, layer.kernel.shape)
    moved = tf.where(both, layer.C, 0.0)
    layer.kernel.assign_add(moved)
    layer.C.assign_sub(moved)


def project(net, k, by_layer=False):
    """After `merge`, keeps the k largest entries of all factors (Algorithm 1); by_layer: see `largest`."""
    for layer in kernel_layers(net):
        if is_factorised(layer):
            merge(layer)
    W = factors(net)
    for w, z in zip(W, largest(net, W, k, by_layer)):
        w.assign(z)


def thin(factorised):
    """As `plain.plain`, but with two thin layers where r * (inputs + outputs) < inputs * outputs: fewer multiply-adds.

    M = V(I + U) + C needs r columns: those where V is non-zero, and those where C is non-zero and cannot be merged.
    """
    fewer = {
        name: pair
        for name, pair in _all_halves(factorised).items()
        if pair[0].size + pair[1].size < len(pair[0]) * pair[1].shape[1]
    }
    return split(plain(factorised), fewer)


def halved(factorised):
    """As `thin`, but every factorised layer becomes two."""
    return split(plain(factorised), _all_halves(factorised))


def _all_halves(factorised):
    return {layer.name: _halves(layer) for layer in kernel_layers(factorised) if is_factorised(layer)}


def _halves(layer):
    """left [inputs, r], right [r, outputs] with left @ right = M, r at least 1."""
    V, C = (np.reshape(w, (-1, w.shape[-1])) for w in (layer.kernel, layer.C))
    U = layer.U.numpy()
    if not layer.after:
        V, C, U = V.T, C.T, U.T
    I = np.eye(len(U), dtype=U.dtype)  # noqa: E741
    used = U.any(axis=1)  # non-zero rows of U: there V and C do not merge
    merged = np.where(used, V, V + C)
    columns, apart = np.flatnonzero(merged.any(axis=0)), np.flatnonzero(used & C.any(axis=0))
    if not len(columns) + len(apart):
        columns = np.array([0])
    left = np.concatenate([merged[:, columns], C[:, apart]], axis=1)
    right = np.concatenate([(I + U)[columns], I[apart]])
    return (left, right) if layer.after else (right.T, left.T)


def report(factorised):
    """The `Factors` of a factorised net: how the budget is spent."""
    layers, identities = [], 0
    for layer in kernel_layers(factorised):
        if not is_factorised(layer):
            layers.append(FactorisedLayer(layer=layer.name, W=int(np.count_nonzero(kernel_of(layer)))))
            continue
        U, V = layer.U.numpy(), np.reshape(layer.kernel, (-1, layer.kernel.shape[-1]))
        identities += np.count_nonzero(U + np.eye(len(U))) - np.count_nonzero(U)
        axes = (1, 0) if layer.after else (0, 1)  # of the paper's W, the transpose of M
        layers.append(
            FactorisedLayer(
                layer=layer.name,
                U=int(np.count_nonzero(U)),
                V=int(np.count_nonzero(V)),
                C=int(np.count_nonzero(layer.C)),
                rank_U=int(U.any(axis=axes[0]).sum()),
                rank_V=int(V.any(axis=axes[1]).sum()),
                full_rank=len(U),
            )
        )
    nonzero = sum(getattr(row, factor) or 0 for row in layers for factor in ("U", "V", "C", "W"))
    return Factors(nonzero=nonzero, nonzero_literal=int(nonzero + identities), layers=tuple(layers))

"""ADMM for training under a cardinality constraint (thesis, Algorithm 1), in scaled form.

    minimise f(W) subject to W in S:   f(W) + rho/2 * sum_l ||W_l - Z_l + U_l||^2,   Z in S

The optimiser's steps minimise f with `penalty` added to the loss; every --admm_interval of them `update` changes Z, U
and rho. S is given by `project(kernels, k)`, the Euclidean projection onto it.
"""

import tensorflow as tf


def _squared_norm(tensors):
    return tf.add_n([tf.reduce_sum(t**2) for t in tensors])


class Admm(tf.Module):
    """Owns Z, U and rho of a list of kernels W.

    Args:
      W: list of kernel variables.
      project: function (kernels, k) -> kernels.
      rho: initial value of the penalty weight.
    """

    def __init__(self, W, project, rho):
        super().__init__()
        self.W = list(W)
        self.project = project
        self.Z = [tf.Variable(w, trainable=False, name="Z") for w in self.W]
        self.U = [tf.Variable(tf.zeros_like(w), trainable=False, name="U") for w in self.W]
        self.k = tf.Variable(sum(w.shape.num_elements() for w in self.W), trainable=False, dtype=tf.int64, name="k")
        self.rho = tf.Variable(rho, trainable=False, dtype=tf.float32, name="rho")

    def penalty(self):
        """rho/2 * sum_l ||W_l - Z_l + U_l||^2, a scalar."""
        return self.rho / 2 * _squared_norm([w - z + u for w, z, u in zip(self.W, self.Z, self.U)])

    def start(self, k):
        """Z = Pi_k(W), U = 0."""
        self.k.assign(k)
        for w, z, u in zip(self.project(self.W, k), self.Z, self.U):
            z.assign(w)
            u.assign(tf.zeros_like(u))

    def project_hard(self, k):
        """W <- Pi_k(W + U), what Z would be now: the net that ships."""
        for w, z in zip(self.W, self.project([w + u for w, u in zip(self.W, self.U)], k)):
            w.assign(z)

    def update(self, k, rho):
        """U += W - Z; rho <- `rho` with U rescaled; Z = Pi_k(W + U).

        The order is the thesis', where W is trained between the updates of Z and of U. The dual is U * rho, so that a
        new rho rescales U by rho_old / rho_new. rho never decreases and k never increases, whatever the arguments: a
        run that is continued with more epochs has a slower schedule than before.

        Args:
          k: largest number of weights from now on.
          rho: smallest penalty weight from now on.

        Returns:
          dict of scalars: k, rho, primal_residual ||W - Z|| / ||W||, dual_residual rho * ||Z - Z_old||, nonzero (of Z),
          churn (the fraction of the support of Z that is new).
        """
        k, rho = min(k, int(self.k.numpy())), max(rho, float(self.rho.numpy()))
        for w, z, u in zip(self.W, self.Z, self.U):
            u.assign((u + w - z) * self.rho / rho)
        self.k.assign(k)
        self.rho.assign(rho)
        Z = self.project([w + u for w, u in zip(self.W, self.U)], k)
        nonzero = tf.add_n([tf.math.count_nonzero(z) for z in Z])
        new = tf.add_n([tf.math.count_nonzero((z != 0) & (old == 0)) for z, old in zip(Z, self.Z)])
        dual_residual = rho * tf.sqrt(_squared_norm([z - old for z, old in zip(Z, self.Z)]))
        for variable, z in zip(self.Z, Z):
            variable.assign(z)
        primal = tf.sqrt(_squared_norm([w - z for w, z in zip(self.W, Z)]) / _squared_norm(self.W))
        return {
            "k": k,
            "rho": rho,
            "primal_residual": primal,
            "dual_residual": dual_residual,
            "nonzero": nonzero,
            "churn": new / tf.maximum(nonzero, 1),
        }

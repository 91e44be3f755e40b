"""PROJECTIONS[name](kernels, k, **options) -> kernels with at most k weights; pure functions.

The last axis of a kernel is its outputs, [..., out]. k counts non-zeros; for low_rank, the weights of the thin factors.
"""

from dataclasses import dataclass

from robust_tf.registry import Entry


@dataclass(frozen=True, kw_only=True)
class Projection(Entry):
    """A constraint on the kernels.

    options: flags of bin/train that it takes, as keyword arguments of the same names.
    kept_by: what keeps the constraint during further training: "masks" (zeros stay zero), "centroids" (equal weights
      stay equal) or "thin layers".
    exempts_depthwise: whether it takes `exempt`, the indices of kernels that it does not change.
    pools_shortcuts: whether it takes `pooled`, the indices of kernels that are one layer to it.
    """

    kept_by: str = "masks"
    exempts_depthwise: bool = False
    pools_shortcuts: bool = False


PROJECTIONS = {
    "irregular": Projection(
        address="robust_tf.projections.irregular:irregular",
        summary="the k largest of all weights",
        options=("floor",),
    ),
    "per_layer": Projection(
        address="robust_tf.projections.per_layer:per_layer",
        summary="the same fraction of each layer",
        exempts_depthwise=True,
    ),
    "funnel": Projection(
        address="robust_tf.projections.funnel:funnel",
        summary="fractions that decrease with depth",
        options=("delta",),
        exempts_depthwise=True,
        pools_shortcuts=True,
    ),
    "redundant": Projection(
        address="robust_tf.projections.redundant:redundant",
        summary="no filters that are similar to others",
        options=("phi",),
    ),
    "channel": Projection(address="robust_tf.projections.channel:channel", summary="whole filters"),
    "low_rank": Projection(
        address="robust_tf.projections.low_rank:low_rank",
        summary="low rank, as thin layers (admm only)",
        options=("rank_rule",),
        kept_by="thin layers",
        exempts_depthwise=True,
    ),
    "n_of_m": Projection(address="robust_tf.projections.blocks:n_of_m", summary="at most 2 of 4 consecutive inputs"),
    "block": Projection(
        address="robust_tf.projections.blocks:block",
        summary="whole blocks of consecutive inputs",
        options=("block_size",),
    ),
    "codebook": Projection(
        address="robust_tf.projections.codebook:codebook",
        summary="irregular, with few distinct values (admm only)",
        options=("bits",),
        kept_by="centroids",
    ),
}

# RANK_RULES[name](spectra of the layers, k) -> which rank each layer has, see low_rank.py.
RANK_RULES = {
    "relative": Entry(
        address="robust_tf.projections.low_rank:relative",
        summary="the least sum of the layers' relative errors that the budget allows",
    ),
    "largest": Entry(
        address="robust_tf.projections.low_rank:largest",
        summary="the largest singular values of all layers together (the published code of Gui et al.)",
    ),
}

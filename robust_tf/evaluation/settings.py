"""The attack's settings of an evaluation: as asked, else as the run was trained."""

from robust_tf.attacks import default_alpha
from robust_tf.refusal import Refusal


def settings(config, trained_as):
    """eps, norm, steps, alpha, restarts and seed of an EvaluateConfig; raises Refusal where alpha exceeds eps.

    Args:
      config: EvaluateConfig.
      trained_as: the run's configuration, as in its config.json.
    """
    eps = trained_as["eps"] if config.eps is None else config.eps
    if config.alpha is not None and config.alpha > eps:
        raise Refusal(f"--alpha: expected at most eps ({eps:g}); got {config.alpha:g}")
    return {
        "eps": eps,
        "norm": config.norm or trained_as["norm"],
        "steps": config.steps,
        "alpha": default_alpha(eps, config.steps) if config.alpha is None else config.alpha,
        "restarts": config.restarts,
        "seed": config.seed,
    }

"""The attack's settings of an evaluation: as asked, else as the run was trained."""

from robust_tf.attacks import ATTACK_NORMS, default_alpha
from robust_tf.refusal import Refusal


def settings(config, trained_as):
    """The settings of an EvaluateConfig; raises Refusal where alpha exceeds eps, or an attack has no such norm.

    Args:
      config: EvaluateConfig.
      trained_as: the run's configuration, as in its config.json.
    """
    eps = trained_as["eps"] if config.eps is None else config.eps
    if config.alpha is not None and config.alpha > eps:
        raise Refusal(f"--alpha: expected at most eps ({eps:g}); got {config.alpha:g}")
    norm = config.norm or trained_as["norm"]
    if norm == "linf" and eps > 1:
        raise Refusal(f"--eps: expected a number or fraction in [0, 1] with --norm=linf; got {eps:g}")
    common = {"eps": eps, "norm": norm, "seed": config.seed}
    if "autoattack" in config.attacks:
        if norm != "linf" or len(config.attacks) > 1:
            raise Refusal(f"--attacks=autoattack: expected it alone, with --norm=linf; got {_named(config, norm)}")
        return common | {"version": config.version}
    for name in config.attacks:
        if norm not in ATTACK_NORMS[name]:
            raise Refusal(f"--attacks={name}: expected --norm={'|'.join(ATTACK_NORMS[name])} with it; got {norm}")
    queries = {"queries": config.queries} if "square" in config.attacks else {}
    return (
        common
        | queries
        | {
            "steps": config.steps,
            "alpha": default_alpha(eps, config.steps) if config.alpha is None else config.alpha,
            "restarts": config.restarts,
        }
    )


def _named(config, norm):
    return f"--attacks={','.join(config.attacks)} --norm={norm}"

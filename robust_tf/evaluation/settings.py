"""The attack's settings of an evaluation: as asked, else as the run was trained."""

from robust_tf.attacks import ATTACK_NORMS, default_alpha
from robust_tf.config import ONE_RADIUS
from robust_tf.refusal import Refusal

# WRM's weight of the cross-entropy and its steps (Gui et al., section 4.3), in pixels: theirs for grey digits.
WRM = {"loss_weight": 1.3, "deviation": 1.0, "wrm_steps": 3}

QUERIES = 5000  # of Square


def settings(config, trained_as):
    """The settings of an EvaluateConfig that mean something to its mode, for the record; raises Refusal where alpha
    exceeds eps, an attack has no such norm, or a radius is none.

    Args:
      config: EvaluateConfig.
      trained_as: the run's configuration, as in its config.json.
    """
    norm = config.norm or trained_as["norm"]
    flag = "eps" if config.mode in ONE_RADIUS else "radii"
    if getattr(config, flag) is None:
        if norm != trained_as["norm"]:
            raise Refusal(f"--{flag}: expected one with --norm={norm}, the run's is for {trained_as['norm']}; got none")
        if flag == "radii" and trained_as["eps"] == 0:
            raise Refusal("--radii: expected some, the run was trained with eps 0; got none")
    asked = OF_MODES[config.mode](config, norm, trained_as["eps"])
    for radius in (asked["eps"],) if flag == "eps" else asked["radii"]:
        if norm == "linf" and radius > 1:
            raise Refusal(f"--{flag}: expected a number or fraction in [0, 1] with --norm=linf; got {radius:g}")
    return {"norm": norm, **asked, "seed": config.seed}


def _attacks(config, norm, trained_eps):
    if "autoattack" in config.attacks:
        return _autoattack(config, norm, trained_eps)
    for name, value in (("version", config.version), ("individual", config.individual)):
        if value:
            raise Refusal(f"--{name}: expected --attacks=autoattack with it; got {','.join(config.attacks)}")
    for name in config.attacks:
        if not ATTACK_NORMS[name]:
            raise Refusal(
                f"--attacks={name}: expected --mode=generalise for it, no radius bounds it; got {config.mode}"
            )
        if norm not in ATTACK_NORMS[name]:
            raise Refusal(f"--attacks={name}: expected --norm={'|'.join(ATTACK_NORMS[name])} with it; got {norm}")
    asked = {"attacks": list(config.attacks), **_one_radius(config, trained_eps), "restarts": config.restarts}
    if "square" in config.attacks:
        asked["queries"] = config.queries or QUERIES
    elif config.queries:
        raise Refusal(f"--queries: expected square among --attacks with it; got {','.join(config.attacks)}")
    return asked


def _autoattack(config, norm, trained_eps):
    given = f"--attacks={','.join(config.attacks)} --norm={norm} --mode={config.mode}"
    if norm != "linf" or len(config.attacks) > 1 or config.mode != "attacks":
        raise Refusal(f"--attacks=autoattack: expected it alone, with --norm=linf --mode=attacks; got {given}")
    return {
        "attacks": ["autoattack"],
        "version": config.version or "standard",
        "individual": config.individual,
        "eps": trained_eps if config.eps is None else config.eps,
    }


def _one_radius(config, trained_eps):
    """eps, steps and alpha."""
    eps = trained_eps if config.eps is None else config.eps
    if config.alpha is not None and config.alpha > eps:
        raise Refusal(f"--alpha: expected at most eps ({eps:g}); got {config.alpha:g}")
    alpha = default_alpha(eps, config.steps) if config.alpha is None else config.alpha
    return {"eps": eps, "steps": config.steps, "alpha": alpha}


def _radii(factors):
    """Settings of a mode with several radii: by default `factors` times the radius that the run was trained with."""

    def of(config, norm, trained_eps):
        radii = config.radii
        if radii is None:
            most = 1.0 if norm == "linf" else float("inf")
            radii = tuple(round(factor * trained_eps, 10) for factor in factors if factor * trained_eps <= most)
        return {"radii": list(radii), "steps": config.steps, "restarts": config.restarts}

    return of


THIRDS = [third / 3 for third in range(1, 25)]


def _transfer(config, norm, trained_eps):
    return {"targets": list(config.targets), **_radii(THIRDS[:3])(config, norm, trained_eps)}


def _minimal(config, norm, trained_eps):
    return {**_radii(THIRDS[:6])(config, norm, trained_eps), "bisections": config.bisections}


def _ensemble(config, norm, trained_eps):
    return {"natural": config.natural, **_one_radius(config, trained_eps), "restarts": config.restarts}


def _generalise(config, norm, trained_eps):
    asked = {name: getattr(config, name) for name in WRM if getattr(config, name) is not None}
    return {**_one_radius(config, trained_eps), **WRM, **asked}


def _tflite(config, norm, trained_eps):
    if norm != "linf":
        raise Refusal(f"--mode=tflite: expected --norm=linf with it; got {norm}")
    radius = _one_radius(config, trained_eps)
    return {"file": config.file, **radius, "restarts": config.restarts, "queries": config.queries or QUERIES}


OF_MODES = {
    "attacks": _attacks,
    "curve": _radii(THIRDS),
    "transfer": _transfer,
    "ensemble": _ensemble,
    "minimal": _minimal,
    "generalise": _generalise,
    "quantised": _attacks,
    "tflite": _tflite,
}

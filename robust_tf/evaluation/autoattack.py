"""AutoAttack (Croce and Hein, arXiv 2003.01690): which attacks it is made of."""

from robust_tf.attacks import ATTACKS
from robust_tf.evaluation.sequence import Step

# The published ensemble, and the thesis' (section 4.2.2).
VERSIONS = {
    "standard": (
        ("apgd_ce", {"steps": 100, "restarts": 1}),
        ("apgd_t", {"steps": 100, "restarts": 1}),
        ("fab_t", {"steps": 100, "restarts": 1}),
        ("square", {"queries": 5000, "restarts": 1}),
    ),
    "thesis": (
        ("apgd_ce", {"steps": 100, "restarts": 5}),
        ("apgd_dlr", {"steps": 100, "restarts": 5}),
        ("fab", {"steps": 100, "restarts": 5}),
        ("square", {"queries": 5000, "restarts": 1}),
    ),
}


def autoattack(logits_fn, version, eps):
    """The steps of a version against `logits_fn`, L-inf radius eps in pixels of [0, 1]."""
    return [step(name, logits_fn, eps=eps, **settings) for name, settings in VERSIONS[version]]


def step(name, logits_fn, label=None, **settings):
    """The Step of one attack on `logits_fn`."""
    attack = ATTACKS[name].resolve()
    return Step(label or name, lambda x, y, seed: attack(logits_fn, x, y, seed=seed, **settings))

"""AutoAttack (Croce and Hein, arXiv 2003.01690) as a sequence of attacks."""

from robust_tf.attacks import ATTACKS, AUTOATTACK
from robust_tf.evaluation.sequence import SequencedAttack


def autoattack(logits_fn, config):
    """The attacks of AUTOATTACK[config.version] against `logits_fn`, L-inf radius config.eps in pixels of [0, 1]."""
    return [sequenced(name, logits_fn, eps=config.eps, **settings) for name, settings in AUTOATTACK[config.version]]


def sequenced(name, logits_fn, label=None, **settings):
    """ATTACKS[name] on `logits_fn`, with these settings, as a SequencedAttack."""
    attack = ATTACKS[name]
    return SequencedAttack(
        label or name, lambda x, y, seed: attack(logits_fn, x, y, seed=seed, **settings), attack.gradients
    )

"""Images that interval bounds prove to be classified correctly: no L-inf attack can break them, so none tries."""

import hashlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from robust_tf.certification.certified import certified
from robust_tf.evaluation import ATTACKED
from robust_tf.evaluation.looks import in_order
from robust_tf.refusal import BrokenCertificate


class Spared(NamedTuple):
    """proven: bool [N]. attacked: bool [N], those of them that are attacked all the same, as a check. way_out: what
    the user may do if one breaks, in words."""

    proven: np.ndarray
    attacked: np.ndarray
    way_out: str = ""

    @property
    def left_out(self):
        """Which images no attack sees, bool [N]."""
        return self.proven & ~self.attacked

    @property
    def count(self):
        """The number of those."""
        return int(self.left_out.sum())

    @property
    def digest(self):
        """Identifies which images are proven."""
        return hashlib.sha256(np.packbits(self.proven).tobytes()).hexdigest()[:16]

    def check(self, attack, numbers, survived):
        """Raises BrokenCertificate if an attack broke proven images; numbers [B] and survived [B] of those it saw."""
        broken = np.asarray(numbers)[self.proven[numbers] & ~survived]
        if len(broken):
            named = ", ".join(map(str, sorted(broken)[:ATTACKED]))
            raise BrokenCertificate(
                f"{attack}: expected certified images to survive every attack; it broke the test images {named}: the"
                f" certificate or the attack is wrong{self.way_out}"
            )


def nobody(count):
    """No image is spared."""
    return Spared(np.zeros(count, bool), np.zeros(count, bool))


def spared(proven, config):
    """The Spared of the images that `certified` has proven within the attacks' eps, bool [N]; None: it cannot tell.

    Nobody with --noskip_certified, and on a GPU, whose kernels round in ways that the bounds do not cover. Those that
    are attacked as a check are the first in the order in which --margin and --time_limit draw images.

    Args:
      config: a resolved EvaluateConfig.
    """
    if proven is None or not config.skip_certified or tf.config.list_physical_devices("GPU"):
        return None
    attacked = np.zeros(len(proven), bool)
    order = in_order(len(proven), config.seed)
    attacked[order[proven[order]][:ATTACKED]] = True
    return Spared(proven, attacked, "; --noskip_certified attacks all images")


def spared_at(eps, net, subject, config):
    """The Spared of the subject's images that are proven for `net` within eps; None: the bounds cannot tell."""
    if not config.skip_certified:
        return None
    return spared(certified(net, subject.images, subject.labels, eps, config.norm, config.batch_size), config)

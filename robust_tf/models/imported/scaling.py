"""SCALINGS: the pixels that nets expect, computed from pixels x in [0, 1] by the first layers of the net."""

from dataclasses import dataclass

import numpy as np

AUTO, AS_PIXELS = "auto", "0..1"


@dataclass(frozen=True)
class Scaling:
    """scale x + offset, one number for all channels or one for each; then, if `reverse`, BGR in place of RGB."""

    summary: str
    scale: object = 1.0
    offset: object = 0.0
    reverse: bool = False

    @property
    def channels(self):
        """The number of channels that it needs; None for any."""
        return len(self.offset) if isinstance(self.offset, tuple) else None

    def of(self, x):
        """The pixels as the net expects them, of an array x [..., channels] in [0, 1]."""
        scaled = np.asarray(self.scale) * x + np.asarray(self.offset)
        return scaled[..., ::-1] if self.reverse else scaled

    def layers(self):
        """The Keras layers that compute it."""
        import tf_keras as keras

        from robust_tf.models.channels import ChannelGather

        if (self.scale, self.offset) == (1.0, 0.0):
            return []
        scale, offset = (list(each) if isinstance(each, tuple) else each for each in (self.scale, self.offset))
        found = [keras.layers.Rescaling(scale, offset, name="input_scaling")]
        return found + ([ChannelGather((2, 1, 0), name="bgr")] if self.reverse else [])


MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, RGB in [0, 1]
SCALINGS = {
    AS_PIXELS: Scaling("x"),
    "-1..1": Scaling("2 x - 1", 2.0, -1.0),
    "0..255": Scaling("255 x", 255.0),
    "imagenet": Scaling(
        "(x - mean) / deviation of ImageNet",
        tuple(1 / d for d in DEVIATION),
        tuple(-m / d for m, d in zip(MEAN, DEVIATION)),
    ),
    "caffe": Scaling("255 x as BGR, without the mean of ImageNet", 255.0, (-123.68, -116.779, -103.939), reverse=True),
}

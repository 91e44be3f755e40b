"""LeNet of Caffe: two valid 5x5 convolutions with max pooling, two dense layers (Gui et al., section 3).

430,500 kernel weights on 28x28x1 with 10 classes: 500 + 25,000 + 400,000 + 5,000.
"""

import tf_keras as keras

from robust_tf.models.kernels import scaled
from robust_tf.models.layers import pixels


def lenet(input_shape, num_classes, width=1.0, normalisation=None, conv_relu=False):
    """Builds the net.

    Args:
      input_shape: (H, W, C), H and W at least 16.
      num_classes: length of the logits.
      width: factor on the 20, 50 and 500 units.
      normalisation: (mean, deviation) of the pixels, one number per channel.
      conv_relu: ReLU after each convolution; Caffe's net has none there.

    Returns:
      Keras model, images [B, H, W, C] in [0, 1] -> logits [B, num_classes].
    """
    layers = keras.layers
    activation = "relu" if conv_relu else None
    image, x = pixels(input_shape, normalisation)
    x = layers.Conv2D(scaled(20, width), 5, activation=activation, name="conv1")(x)
    x = layers.MaxPooling2D(2, name="pool1")(x)
    x = layers.Conv2D(scaled(50, width), 5, activation=activation, name="conv2")(x)
    x = layers.MaxPooling2D(2, name="pool2")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(scaled(500, width), activation="relu", name="dense1")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(image, logits, name="lenet")

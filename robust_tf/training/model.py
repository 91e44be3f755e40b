"""RobustModel: a Keras model that trains on PGD examples crafted in its own graph (thesis, Algorithm 1)."""

import tensorflow as tf
import tf_keras as keras

from robust_tf.attacks.pgd import pgd


class RobustModel(keras.Model):
    """Trains `net` on adv_weight * CE(x_adv) + (1 - adv_weight) * CE(x) + admm.penalty().

    `fit` and `evaluate` take batches (x [B, H, W, C] in [0, 1], y [B]); `evaluate` attacks too, and reports
    `accuracy` (clean) and `robust_accuracy` (under PGD). Attacks see the net in inference mode, so that they
    neither use nor change batch statistics.

    Args:
      net: Keras model, images -> logits.
      eps, steps, alpha, norm, random_start: the training attack, see `attacks.pgd`; eps and steps become
        variables that schedules may move.
      adv_weight: weight of the adversarial loss in [0, 1]; 0 trains on clean images alone.
      validation_eps, validation_steps: PGD of `evaluate`, with a random start; eps None means `eps`.
      admm: None or an `Admm` whose penalty joins the loss.
      seed: random starts are a function of (seed, step).
      first_step: steps that earlier stages of the same run have taken.
    """

    def __init__(
        self,
        net,
        *,
        eps,
        steps=7,
        alpha=None,
        norm="linf",
        random_start=True,
        adv_weight=0.9,
        validation_eps=None,
        validation_steps=10,
        admm=None,
        seed=0,
        first_step=0,
    ):
        super().__init__(name=f"robust_{net.name}")
        self.net = net
        self.eps = tf.Variable(eps, trainable=False, dtype=tf.float32, name="eps")
        self.steps = tf.Variable(steps, trainable=False, dtype=tf.int32, name="steps")
        self.attack = {"alpha": alpha, "norm": norm, "random_start": random_start}
        self.adv_weight = adv_weight
        self.validation_attack = {
            "eps": eps if validation_eps is None else validation_eps,
            "steps": validation_steps,
            "norm": norm,
        }
        self.admm = admm
        self.seed = seed
        self.first_step = first_step
        names = ("loss", "accuracy", "robust_accuracy", "clean_loss", "adversarial_loss")
        self.means = {name: keras.metrics.Mean(name=name) for name in names}

    def compile(self, optimizer="adam", loss=None, **kwargs):
        """As Keras' compile; the loss defaults to the cross-entropy of logits and integer labels."""
        loss = loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    @property
    def metrics(self):
        return list(self.means.values())

    def call(self, inputs, training=False):
        return self.net(inputs, training=training)

    def logits(self, x):
        """Logits [B, K] in inference mode: what attacks see."""
        return self.net(x, training=False)

    def train_step(self, data):
        x, y = data  # [B, H, W, C], [B]
        x_adv = x
        if self.adv_weight > 0:
            step = self.first_step + tf.cast(self.optimizer.iterations, tf.int32)
            seed = tf.stack([self.seed, step])
            x_adv = pgd(self.logits, x, y, eps=self.eps, steps=self.steps, seed=seed, **self.attack)

        with tf.GradientTape() as tape:
            # What has no weight in the loss is still measured, but in inference mode.
            z = self.net(x, training=self.adv_weight < 1)  # [B, K]
            z_adv = self.net(x_adv, training=True) if self.adv_weight > 0 else z
            clean_loss, adversarial_loss = self.loss(y, z), self.loss(y, z_adv)
            loss = self.adv_weight * adversarial_loss + (1 - self.adv_weight) * clean_loss
            if self.admm is not None:
                loss += self.admm.penalty()
        W = self.net.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, W), W))
        return self._measure(y, z, z_adv, loss, clean_loss, adversarial_loss)

    def test_step(self, data):
        x, y = data
        x_adv = pgd(self.logits, x, y, seed=[self.seed, -1], **self.validation_attack)
        z, z_adv = self.logits(x), self.logits(x_adv)
        clean_loss, adversarial_loss = self.loss(y, z), self.loss(y, z_adv)
        loss = self.adv_weight * adversarial_loss + (1 - self.adv_weight) * clean_loss
        return self._measure(y, z, z_adv, loss, clean_loss, adversarial_loss)

    def _measure(self, y, z, z_adv, loss, clean_loss, adversarial_loss):
        """Adds a batch to the running means, images weighted equally, and returns them by name."""
        correct, robust = (tf.cast(tf.argmax(logits, -1) == tf.cast(y, tf.int64), tf.float32) for logits in (z, z_adv))
        batch = tf.shape(correct)[0]
        self.means["accuracy"].update_state(correct)
        self.means["robust_accuracy"].update_state(robust)
        self.means["loss"].update_state(loss, batch)
        self.means["clean_loss"].update_state(clean_loss, batch)
        self.means["adversarial_loss"].update_state(adversarial_loss, batch)
        return {name: mean.result() for name, mean in self.means.items()}

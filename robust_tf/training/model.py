"""RobustModel: a Keras model that trains on adversarial examples crafted in its own graph (thesis, Algorithm 1)."""

import functools

import tensorflow as tf
import tf_keras as keras

from robust_tf.attacks.bounds import worst_logits
from robust_tf.attacks.pgd import pgd
from robust_tf.models.fast import inference_form, training_form
from robust_tf.training import LOSSES
from robust_tf.training.distribution import by_replica, once, share
from robust_tf.training.holds import Hold
from robust_tf.training.losses import cross_entropy

MEASURED = 16  # clean images a step whose loss is only measured


class RobustModel(keras.Model):
    """Trains `net` on a loss of clean and adversarial images, with its weights held as `hold` says.

    `fit` and `evaluate` take batches (x [B, H, W, C] in [0, 1], y [B]); `evaluate` attacks too, and reports
    `accuracy` (clean), `robust_accuracy` (under PGD) and, for the loss ibp, `certified_accuracy` (by its bounds).
    Attacks see the net in inference mode, so that they neither use nor change batch statistics.

    Args:
      net: Keras model, images -> logits.
      eps, steps, alpha, norm, starts: the training attack, see `attacks.pgd`; eps and steps become variables that
        schedules may move.
      single_step: FGSM-RS (Wong et al., arXiv 2001.03994) in place of PGD: one step of 1.25 eps.
      loss: name of `training.losses`.
      adv_weight: weight of the adversarial loss in [0, 1]; 0 trains on clean images alone.
      beta: weight of TRADES' divergence.
      validation_eps, validation_steps: PGD of `evaluate`, with a random start; eps None means `eps`.
      hold: None or what holds the weights, a `training.holds.Hold`.
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
        starts=("uniform",),
        single_step=False,
        loss="mix",
        adv_weight=0.9,
        beta=6.0,
        validation_eps=None,
        validation_steps=10,
        hold=None,
        seed=0,
        first_step=0,
    ):
        super().__init__(name=f"robust_{net.name}")
        self.net = net
        self.eps = tf.Variable(eps, trainable=False, dtype=tf.float32, name="eps")
        self.steps = tf.Variable(steps, trainable=False, dtype=tf.int32, name="steps")
        self.objective = LOSSES[loss].resolve()
        self.clean_counts = adv_weight < 1 or loss != "mix"
        starts = starts if self.objective.starts is None else self.objective.starts
        self.attack = {"alpha": alpha, "norm": norm, "starts": starts}
        self.single_step = single_step
        self.adv_weight, self.beta = adv_weight, beta
        self.validation_attack = {
            "eps": eps if validation_eps is None else validation_eps,
            "steps": validation_steps,
            "norm": norm,
        }
        self.hold = hold or Hold()
        self.hold_state = self.hold.state  # tracked, for checkpoints
        # As functions, so that Keras does not track, and save, the same variables twice.
        self.forward = _as_function(training_form(net))
        self.attacked = _as_function(inference_form(self.hold.attacked or net))
        self.bounds = functools.partial(worst_logits, training_form(self.hold.bounded or net))
        self.seed = seed
        self.first_step = first_step
        names = ("loss", "accuracy", "robust_accuracy", "clean_loss", "adversarial_loss")
        names += ("certified_accuracy",) if self.objective.certifies else ()
        self.means = {name: keras.metrics.Mean(name=name) for name in names}

    def compile(self, optimizer="adam", loss=None, **kwargs):
        """As Keras' compile; the loss defaults to the cross-entropy of logits and integer labels."""
        loss = loss or cross_entropy()
        super().compile(optimizer=optimizer, loss=loss, **kwargs)
        # The optimiser averages what it trains; statistics of the weights it had would not fit those averages.
        statistics = [w for w in self.net.non_trainable_weights if "/moving_" in w.name]
        self.statistics = statistics if self.optimizer.use_ema else []
        self.averages = [tf.Variable(tf.identity(w), trainable=False, name="average") for w in self.statistics]
        finite = by_replica([1.0] * len(self.net.trainable_variables), "finite")
        self.finite = lambda: finite  # as a function, so that checkpoints are without it

    @property
    def steps_taken(self):
        """Of the optimiser."""
        return int(self.optimizer.iterations.numpy())

    def broken_gradients(self):
        """Names of the weights whose gradient was not finite in the last step."""
        finite = self.finite().numpy() == 1  # on all replicas
        if finite.all():
            return []
        return [w.name.split(":")[0] for w, fine in zip(self.net.trainable_variables, finite) if not fine]

    def after_step(self):
        """What follows the optimiser's step, on the weights that all replicas have in common."""
        for w, average in zip(self.statistics, self.averages):
            average.assign_add((1 - self.optimizer.ema_momentum) * (w - average))
        self.hold.after_step(self.optimizer.iterations)

    def take_averages(self):
        """Gives the net the averages of its weights and of its batch statistics."""
        self.optimizer.finalize_variable_values(self.net.trainable_variables)
        for w, average in zip(self.statistics, self.averages):
            w.assign(average)

    @property
    def strictest(self):
        """Name of the validation figure that flatters least."""
        return "certified_accuracy" if self.objective.certifies else "robust_accuracy"

    @property
    def metrics(self):
        return list(self.means.values())

    def call(self, inputs, training=False):
        return self.net(inputs, training=training)

    def logits(self, x):
        """Logits [B, K] in inference mode: what attacks see."""
        return self.attacked(x, training=False)

    def adversarial(self, x, y):
        """x_adv of this step."""
        step = self.first_step + tf.cast(self.optimizer.iterations, tf.int32)
        attack = {**self.attack, "steps": self.steps, "seed": tf.stack([self.seed, step]), "share": share()}
        if self.single_step:
            attack |= {"steps": 1, "alpha": 1.25 * self.eps}
        if self.objective.objective:
            attack["objective"] = self.objective.objective(self.logits(x))
        return pgd(self.logits, x, y, eps=self.eps, **attack)

    def train_step(self, data):
        x, y = data  # [B, H, W, C], [B]
        once(self.hold.before_step)
        attacks, certifies = self.adv_weight > 0, self.objective.certifies
        x_adv = self.adversarial(x, y) if attacks and not certifies else x
        adv_weight = self.adv_weight
        if certifies:  # its weight grows with eps, to a loss that can be met from the start
            adv_weight *= tf.minimum(self.eps / self.validation_attack["eps"], 1.0)

        with tf.GradientTape() as tape:
            # Where clean images have no weight in the loss, some are still measured, in inference mode.
            seen = slice(None) if self.clean_counts else slice(MEASURED)
            z = self.forward(x[seen], training=self.clean_counts)  # [B, K]
            if certifies:
                z_adv = self.bounds(x, y, self.eps)
            elif attacks:
                z_adv = self.forward(x_adv, training=True)
            else:
                z_adv = z
            weighed = z if self.clean_counts else z_adv
            loss = self.objective.value(self.loss, y, weighed, z_adv, adv_weight, self.beta) + self.hold.penalty()
            its_share = loss / share()[1]
        W = self.net.trainable_variables
        gradients = tape.gradient(its_share, W)
        self.finite().assign([1.0 if g is None else finite(g) for g in gradients])
        self.optimizer.apply_gradients(zip(gradients, W))
        once(self.after_step)
        return self._measure(y, z, z_adv, loss, z_adv, y[seen])

    def test_step(self, data):
        x, y = data
        x_adv = pgd(self.logits, x, y, seed=[self.seed, -1], share=share(), **self.validation_attack)
        z, z_adv = self.logits(x), self.logits(x_adv)
        loss = self.objective.value(self.loss, y, z, z_adv, self.adv_weight, self.beta)
        worst = self.bounds(x, y, self.validation_attack["eps"]) if self.objective.certifies else z_adv
        return self._measure(y, z, z_adv, loss, worst, y)

    def _measure(self, y, z, z_adv, loss, worst, y_clean):
        """Adds a batch to the running means, images weighted equally, and returns them by name; z are of y_clean."""
        correct = lambda logits, y: tf.cast(tf.argmax(logits, -1) == tf.cast(y, tf.int64), tf.float32)  # noqa: E731
        batch = tf.shape(z_adv)[0]
        self.means["accuracy"].update_state(correct(z, y_clean))
        self.means["robust_accuracy"].update_state(correct(z_adv, y))
        if self.objective.certifies:
            self.means["certified_accuracy"].update_state(correct(worst, y))
        self.means["loss"].update_state(loss, batch)
        self.means["clean_loss"].update_state(self.loss(y_clean, z), tf.shape(z)[0])
        self.means["adversarial_loss"].update_state(self.loss(y, z_adv), batch)
        return {name: mean.result() for name, mean in self.means.items()}


def finite(tensor):
    """1 where all of it is finite, else 0."""
    return tf.cast(tf.reduce_all(tf.math.is_finite(tensor)), tf.float32)


def _as_function(net):
    return lambda x, training: net(x, training=training)

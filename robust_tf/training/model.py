"""RobustModel: a Keras model that trains on adversarial examples crafted in its own graph (thesis, Algorithm 1)."""

import functools
from collections.abc import Sequence

import tensorflow as tf
import tf_keras as keras

from robust_tf.attacks.pgd import noisy_step, pgd
from robust_tf.certification.bounds import worst_logits
from robust_tf.data.given import check_forms, class_numbers
from robust_tf.data.pixels import pixels
from robust_tf.models.fast import inference_form, training_form
from robust_tf.refusal import Refusal
from robust_tf.training import LOSSES, TRAINING_ATTACKS, checks
from robust_tf.training.constraints import WeightConstraint
from robust_tf.training.distribution import by_replica, once, share
from robust_tf.training.losses import CrossEntropy, small_box

NOISY = ("alpha", "seed", "objective", "share")  # arguments of `noisy_step` that PGD has too
MEASURED = 16  # clean images in a training step whose loss is only measured


@keras.saving.register_keras_serializable("robust_tf")
class RobustModel(keras.Model):
    """Trains `net` on clean and adversarial images, under a constraint on its weights.

    `fit` and `evaluate` take images x [B, H, W, C], uint8 or floats in [0, 1], and labels y [B] or one-hot [B, K];
    `evaluate` attacks too, and reports `accuracy` (clean), `robust_accuracy` (under PGD) and, for losses of bounds,
    `certified_accuracy` (by interval bounds). Attacks see the net in inference mode, so that they neither use nor
    change batch statistics.

    `sample_weight` and `class_weight` weight the loss as in Keras, sum_i w_i l_i / B: its clean and its adversarial
    part alike. The attack, the penalty of the constraint and all metrics but `loss` ignore them.

    `save` and Keras' ModelCheckpoint write the net, these arguments, the optimiser and the present eps and steps, which
    `keras.models.load_model` reads in its safe mode. They leave out the constraint with its state, such as ADMM's Z and
    U, and the teacher: the loaded model trains without them. Continue a compression from a run directory of bin/train.

    Raises Refusal, one line, for arguments, images, labels or weights that do not fit: of arrays before anything else,
    of batches (a tf.data.Dataset, Sequence or generator) as each is read. Of a distributed data set only the shapes are
    checked.

    Args: numbers may be text, as for bin/train: eps="8/255".
      net: Keras model, images -> logits.
      eps, steps, alpha, norm, starts: the training attack, see `attacks.pgd`; eps and steps become variables, which
        schedules may change. starts: names, or one text, "uniform,stripes"; () starts at the image.
      attack: name in TRAINING_ATTACKS; those of a single step ignore `steps` and `alpha`.
      loss: name in LOSSES.
      adv_weight: weight of the adversarial loss in [0, 1]; 0 trains on clean images alone.
      beta: weight of the KL divergence in TRADES.
      box: lambda of SABR, the radius of its boxes as a fraction of eps.
      validation_eps, validation_steps: PGD of `evaluate`, with a random start; eps None means `eps`.
      teacher: None, or a net whose probabilities t of the clean images take the labels' place in the loss, in its clean
        and its adversarial part, and in the attack, which then maximises CE(t, z): RSLAD (Zi et al., arXiv 2108.07969),
        with adv_weight 5/6 as published. It stays as it is.
      constraint: None or a `training.constraints.WeightConstraint`.
      seed: random starts are a function of (seed, training step of the run).
      first_step: training steps of the run's earlier stages.
    """

    def __init__(
        self,
        net: keras.Model,
        *,
        eps: float | str,
        steps: int = 7,
        alpha: float | str | None = None,
        norm: str = "linf",
        starts: Sequence[str] | str = ("uniform",),
        attack: str = "pgd",
        loss: str = "mix",
        adv_weight: float | str = 0.9,
        beta: float | str = 6.0,
        box: float | str = 0.4,
        validation_eps: float | str | None = None,
        validation_steps: int = 10,
        teacher: keras.Model | None = None,
        constraint: WeightConstraint | None = None,
        seed: int = 0,
        first_step: int = 0,
    ):
        checks.check_net(net)
        given = checks.settings(
            eps=eps, steps=steps, alpha=alpha, norm=norm, starts=starts, attack=attack, loss=loss,
            adv_weight=adv_weight, beta=beta, box=box, validation_eps=validation_eps,
            validation_steps=validation_steps, seed=seed, first_step=first_step,
        )  # fmt: skip
        checks.check_constraint(constraint)
        checks.check_teacher(teacher, net, given["loss"])
        known, attacks = LOSSES[given["loss"]], {name: given[name] for name in ("alpha", "norm", "starts")}
        super().__init__(name=f"robust_{net.name}")
        self.net = net
        self.eps = tf.Variable(given["eps"], trainable=False, dtype=tf.float32, name="eps")
        self.steps = tf.Variable(given["steps"], trainable=False, dtype=tf.int32, name="steps")
        self.loss_name, self.objective, self.certifies = given["loss"], known.resolve(), known.certifies
        self.attack_for = known.attack_for
        self.adv_weight, self.beta, self.box = given["adv_weight"], given["beta"], given["box"]
        self.trains_on_clean = (self.adv_weight < 1 or known.uses_clean) and known.attack_for != "clean"
        self.attack = attacks if known.starts is None else {**attacks, "starts": known.starts}
        self.attack_name, self.crafts = given["attack"], TRAINING_ATTACKS[given["attack"]]
        self.validation_attack = {
            "eps": given["eps"] if given["validation_eps"] is None else given["validation_eps"],
            "steps": given["validation_steps"],
            "norm": given["norm"],
        }
        self.constraint = constraint or WeightConstraint()
        self.constraint_state = self.constraint.state  # tracked, for checkpoints
        # As functions, because Keras would track nets and save their variables twice.
        self.forward = _as_function(training_form(net))
        self.attacked = _as_function(inference_form(self.constraint.attacked or net))
        bounded = training_form(self.constraint.bounded or net)
        self.bounds = functools.partial(worst_logits, bounded, levels=known.levels)
        self.teacher = _as_function(inference_form(teacher)) if teacher else None
        self.seed, self.first_step = given["seed"], given["first_step"]
        names = ("loss", "accuracy", "robust_accuracy", "clean_loss", "adversarial_loss", "penalty")
        names += ("certified_accuracy",) if self.certifies else ()
        self.means = {name: keras.metrics.Mean(name=name) for name in names}
        self.build(net.input_shape)  # otherwise Keras warns when it saves, and has no summary

    def compile(self, optimizer="adam", loss=None, metrics=None, loss_weights=None, weighted_metrics=None, **kwargs):
        """As Keras' compile; the loss, ce(y [B], logits [B, K]), defaults to the cross-entropy.

        With `sample_weight` or `class_weight` it gets them as its third argument, as Keras' losses do. Raises Refusal
        for a loss that does not fit, an unknown optimiser, and metrics, as the model has its own.
        """
        checks.check_unused(metrics=metrics, loss_weights=loss_weights, weighted_metrics=weighted_metrics)
        optimizer, loss = checks.optimizer_of(optimizer), CrossEntropy() if loss is None else loss
        if not isinstance(loss, CrossEntropy):
            checks.check_untaught(self.teacher)
            checks.check_loss(loss, self.net.output_shape[-1])
        super().compile(optimizer=optimizer, loss=loss, **kwargs)
        # The optimiser averages only trained weights; batch statistics of other weights would not fit those averages.
        statistics = [w for w in self.net.non_trainable_weights if "/moving_" in w.name]
        self.statistics = statistics if self.optimizer.use_ema else []
        self.averages = [tf.Variable(tf.identity(w), trainable=False, name="average") for w in self.statistics]
        finite = by_replica([1.0] * len(self.net.trainable_variables), "finite")
        self.finite = lambda: finite  # as a function, so that checkpoints leave it out

    @property
    def steps_taken(self):
        """Training steps of this stage so far."""
        return int(self.optimizer.iterations.numpy())

    def broken_gradients(self):
        """Names of the weights whose gradient was not finite in the last training step."""
        finite = self.finite().numpy() == 1  # on all replicas
        if finite.all():
            return []
        return [w.name.split(":")[0] for w, fine in zip(self.net.trainable_variables, finite) if not fine]

    def after_step(self):
        """Follows the optimiser's update; acts once, on the weights that all replicas share."""
        for w, average in zip(self.statistics, self.averages):
            average.assign_add((1 - self.optimizer.ema_momentum) * (w - average))
        self.constraint.after_step(self.optimizer.iterations)

    def take_averages(self):
        """Replaces the net's weights and batch statistics by their averages."""
        self.optimizer.finalize_variable_values(self.net.trainable_variables)
        for w, average in zip(self.statistics, self.averages):
            w.assign(average)

    @property
    def strictest(self):
        """Name of the lowest of the validation accuracies."""
        return "certified_accuracy" if self.certifies else "robust_accuracy"

    @property
    def metrics(self):
        return list(self.means.values())

    def call(self, inputs, training=False):
        return self.net(pixels(inputs), training=training)

    def fit(self, x=None, y=None, *args, class_weight=None, sample_weight=None, **kwargs):
        """As Keras' fit; raises Refusal before the first training step, or at the batch that does not fit."""
        x = checks.checked(self.net, x, y, sample_weight, class_weight)
        if "validation_data" in kwargs:
            kwargs["validation_data"] = checks.validation(self.net, kwargs["validation_data"])
        with checks.one_line(self):
            return super().fit(x, y, *args, class_weight=class_weight, sample_weight=sample_weight, **kwargs)

    def evaluate(self, x=None, y=None, *args, sample_weight=None, **kwargs):
        """As Keras' evaluate; raises Refusal before the first batch, or at the batch that does not fit."""
        if not kwargs.get("_use_cached_eval_dataset"):  # fit has checked its validation data
            x = checks.checked(self.net, x, y, sample_weight)
        with checks.one_line(self):
            return super().evaluate(x, y, *args, sample_weight=sample_weight, **kwargs)

    def predict(self, x, *args, **kwargs):
        """As Keras' predict: logits [N, K]; raises Refusal as `evaluate` does."""
        x = checks.checked(self.net, x, labelled=False)
        with checks.one_line(self):
            return super().predict(x, *args, **kwargs)

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, **kwargs):
        """As Keras' train_on_batch; raises Refusal before the training step."""
        checks.checked(self.net, x, y, sample_weight, class_weight)
        with checks.one_line(self):
            return super().train_on_batch(x, y, sample_weight, class_weight, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """As Keras' test_on_batch; raises Refusal before the batch is seen."""
        checks.checked(self.net, x, y, sample_weight)
        with checks.one_line(self):
            return super().test_on_batch(x, y, sample_weight, **kwargs)

    def predict_on_batch(self, x):
        """As Keras' predict_on_batch: logits [B, K]; raises Refusal before the batch is seen."""
        checks.checked(self.net, x, labelled=False)
        with checks.one_line(self):
            return super().predict_on_batch(x)

    def save(self, filepath, *args, **kwargs):
        """As Keras' save, to a file NAME.keras; raises Refusal for another."""
        if not str(filepath).endswith(".keras"):
            raise Refusal(f"{self.name}: expected a path NAME.keras to save to; got {filepath}")
        super().save(filepath, *args, **kwargs)

    def get_config(self):
        if self.constraint.trained is not None:
            raise Refusal(
                f"{self.name}: expected a net of plain layers to save; got masks' wrappers: save the net inside"
            )
        return {
            "net": keras.saving.serialize_keras_object(self.net),
            "eps": float(self.eps.numpy()),
            "steps": int(self.steps.numpy()),
            "alpha": self.attack["alpha"],
            "norm": self.attack["norm"],
            "starts": list(self.attack["starts"]),
            "attack": self.attack_name,
            "loss": self.loss_name,
            "adv_weight": self.adv_weight,
            "beta": self.beta,
            "box": self.box,
            "validation_eps": self.validation_attack["eps"],
            "validation_steps": self.validation_attack["steps"],
            "seed": self.seed,
            "first_step": self.first_step,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        net = keras.saving.deserialize_keras_object(config["net"], custom_objects)
        return cls(**{**config, "net": net})

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.net.trainable_variables)

    def logits(self, x):
        """Logits [B, K] in inference mode, for attacks."""
        return self.attacked(x, training=False)

    def targets(self, x, y):
        """What the loss compares logits with: the teacher's probabilities [B, K], or the labels [B] without one."""
        return y if self.teacher is None else tf.nn.softmax(self.teacher(x, training=False))

    def adversarial(self, x, y, targets=None):
        """x_adv of this training step; targets: the teacher's, see `targets`."""
        step = self.first_step + tf.cast(self.optimizer.iterations, tf.int32)
        attack = {**self.attack, "steps": self.steps, "seed": tf.stack([self.seed, step]), "share": share()}
        if self.crafts.single_step:
            attack |= {"steps": 1, "alpha": self.crafts.step * self.eps}
        if self.objective.ascends:
            attack["objective"] = self.objective.ascends(self.logits(x))
        elif self.teacher:
            attack["objective"] = lambda z: tf.nn.softmax_cross_entropy_with_logits(targets, z)
        if self.crafts.noise:
            noise = self.crafts.noise * self.eps
            return noisy_step(self.logits, x, y, noise, **{name: attack.get(name) for name in NOISY})
        return pgd(self.logits, x, y, eps=self.eps, **attack)

    def batch(self, data):
        """(x float32 [B, H, W, C], y [B], the loss as a function of labels and logits, keywords of the objective)."""
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        classes = self.net.output_shape[-1]
        check_forms(x, y, self.net.input_shape[1:], classes)
        x, y = pixels(x), class_numbers(y, classes)
        if isinstance(self.loss, CrossEntropy):
            weights = self.loss.weights(y, weights)  # with those of the classes
        ce = getattr(self.loss, "weighted", self.loss)
        if weights is None:
            return x, y, ce, {}
        checks.check_weighable(self.loss, self.objective)
        return x, y, lambda y, z: ce(y, z, weights), {"weights": weights}

    def train_step(self, data):
        x, y, ce, weighted = self.batch(data)
        once(self.constraint.before_step)
        attacks, certifies = self.adv_weight > 0, self.certifies
        targets, adv_weight = self.targets(x, y), self.adv_weight
        x_adv = self.adversarial(x, y, targets) if attacks and self.attack_for else x
        if certifies:  # the weight grows with eps, so that the loss is easy at first
            adv_weight *= tf.minimum(self.eps / self.validation_attack["eps"], 1.0)

        with tf.GradientTape() as tape:
            # Where clean images have no weight in the loss, some are still measured, in inference mode.
            seen = slice(None) if self.trains_on_clean else slice(MEASURED)
            z = self.forward(x[seen], training=self.trains_on_clean)  # [B, K]
            if certifies:
                boxed = small_box(x, x_adv, self.eps, self.box) if self.attack_for == "centre" else (x, self.eps)
                z_adv = self.bounds(boxed[0], y, boxed[1])
            elif attacks:
                z_adv = self.forward(x_adv, training=True)
            else:
                z_adv = z
            if self.attack_for == "clean":
                z_clean = self.forward(x_adv, training=True)
            else:
                z_clean = z if self.trains_on_clean else z_adv
            penalty = self.constraint.penalty()
            loss = self.objective.value(ce, targets, z_clean, z_adv, adv_weight, self.beta, **weighted) + penalty
            replica_loss = loss / share()[1]
        W = self.net.trainable_variables
        gradients = tape.gradient(replica_loss, W)
        self.finite().assign([1.0 if g is None else is_finite(g) for g in gradients])
        self.optimizer.apply_gradients(zip(gradients, W))
        once(self.after_step)
        return self._measure(y, z, z_adv, loss, z_adv, y[seen], penalty)

    def test_step(self, data):
        x, y, ce, weighted = self.batch(data)
        x_adv = pgd(self.logits, x, y, seed=[self.seed, -1], share=share(), **self.validation_attack)
        z, z_adv = self.logits(x), self.logits(x_adv)
        loss = self.objective.value(ce, y, z, z_adv, self.adv_weight, self.beta, **weighted)
        worst = self.bounds(x, y, self.validation_attack["eps"]) if self.certifies else z_adv
        return self._measure(y, z, z_adv, loss, worst, y)

    def _measure(self, y, z, z_adv, loss, worst, y_clean, penalty=0.0):
        """Updates the means, in which images weigh equally, by a batch; returns them by name. z are of y_clean."""
        batch = tf.shape(z_adv)[0]
        self.means["accuracy"].update_state(correct(z, y_clean))
        self.means["robust_accuracy"].update_state(correct(z_adv, y))
        if self.certifies:
            self.means["certified_accuracy"].update_state(correct(worst, y))
        self.means["loss"].update_state(loss, batch)
        self.means["penalty"].update_state(penalty, batch)
        self.means["clean_loss"].update_state(self.loss(y_clean, z), tf.shape(z)[0])
        self.means["adversarial_loss"].update_state(self.loss(y, z_adv), batch)
        return {name: mean.result() for name, mean in self.means.items()}


def correct(logits, y):
    """1 where an image is classified as y, else 0, [B]."""
    return tf.cast(tf.argmax(logits, -1) == tf.cast(y, tf.int64), tf.float32)


def is_finite(tensor):
    """1 if all of the tensor is finite, else 0."""
    return tf.cast(tf.reduce_all(tf.math.is_finite(tensor)), tf.float32)


def _as_function(net):
    return lambda x, training: net(x, training=training)

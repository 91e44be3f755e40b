"""What RobustModel accepts: forms of images and labels, weights by hand, and one line for each mistake."""

import gc

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_tf.attacks.pgd import pgd
from robust_tf.refusal import Refusal
from robust_tf.training import LOSSES
from robust_tf.training.losses import divergence
from robust_tf.training.model import RobustModel


def model_of(net, **settings):
    model = RobustModel(net, **{"eps": 0.1, "steps": 2, **settings})
    model.compile(keras.optimizers.SGD(0.0))
    return model


@pytest.fixture
def stored(small_images):
    """uint8 images and labels."""
    return (small_images[0] * 255).astype(np.uint8), small_images[1]


def test_all_forms_of_the_same_images_and_labels(small_net, stored):
    x, y = stored
    expected = model_of(small_net).evaluate(x.astype(np.float32) / 255, y, verbose=0)
    model, one_hot = model_of(small_net), np.eye(3)[y]
    for images, labels in ((x, y), (x / 255, y[:, None]), (x, one_hot), (x, one_hot.astype(int))):
        np.testing.assert_allclose(model.test_on_batch(images, labels), expected, rtol=1e-5)
        model.reset_metrics()
    data = tf.data.Dataset.from_tensor_slices((x, one_hot)).batch(8)
    np.testing.assert_allclose(model.evaluate(data, verbose=0), expected, rtol=1e-5)
    np.testing.assert_allclose(model(x), small_net(x.astype(np.float32) / 255), rtol=1e-4, atol=1e-5)


def cross_entropies(z, y):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(y, z).numpy()


@pytest.mark.parametrize("by", ["sample_weight", "both"])
def test_weights_weight_the_clean_and_the_adversarial_loss(small_net, small_images, by):
    """sum_i w_i l_i / B, and the attack is that without weights."""
    x, y = small_images
    of_images, of_classes = np.linspace(0, 2, 8), {0: 0.5, 1: 3.0, 2: 0.0}
    given = {"sample_weight": of_images, "class_weight": of_classes}
    given = given if by == "both" else {by: given[by]}
    w = given.get("sample_weight", 1) * (np.array([of_classes[c] for c in y]) if "class_weight" in given else 1)
    attack = {"eps": 0.1, "steps": 2, "seed": (0, 0)}
    x_adv = pgd(lambda images: small_net(images, training=False), tf.constant(x), y, **attack)
    model = model_of(small_net, adv_weight=0.6)
    z, z_adv = small_net(x, training=True), small_net(x_adv, training=True)
    expected = np.mean(w * (0.4 * cross_entropies(z, y) + 0.6 * cross_entropies(z_adv, y)))
    logs = model.fit(x, y, batch_size=8, shuffle=False, verbose=0, **given).history
    assert logs["loss"][0] == pytest.approx(expected, rel=1e-4)
    assert logs["adversarial_loss"][0] == pytest.approx(np.mean(cross_entropies(z_adv, y)), rel=1e-4)


def test_weights_weight_the_divergence_of_trades(small_net, small_images):
    x, y = small_images
    w = np.linspace(0, 2, 8)
    model = model_of(small_net, loss="trades", beta=2.0)
    z, unweighted = small_net(x, training=False), model.evaluate(x, y, verbose=0, return_dict=True)["loss"]
    attack = {**model.validation_attack, "seed": (0, -1)}
    x_adv = pgd(lambda images: small_net(images, training=False), tf.constant(x), y, **attack)
    apart = divergence(z, small_net(x_adv, training=False)).numpy()
    each = cross_entropies(z, y) + 2 * apart
    assert unweighted == pytest.approx(np.mean(each), rel=1e-4)
    weighted = model.evaluate(x, y, sample_weight=w, verbose=0, return_dict=True)["loss"]
    assert weighted == pytest.approx(np.mean(w * each), rel=1e-4)


def test_a_class_of_weight_0_is_not_learned(small_net, small_images):
    x, y = small_images
    model = RobustModel(small_net, eps=0.0, steps=0)
    model.compile(keras.optimizers.Adam(0.05))
    model.fit(x, y, batch_size=8, epochs=30, verbose=0, class_weight={0: 0.0, 1: 1.0, 2: 1.0})
    predicted = model.predict(x, verbose=0).argmax(-1)
    assert (predicted[y != 0] == y[y != 0]).all()
    assert not (predicted == 0).any()


FITS = {
    "pixels": (lambda x, y: {"x": x * 255.0}, r"x: expected pixels in \[0, 1\]; got .*; divide by 255"),
    "not a number": (lambda x, y: {"x": x * np.nan}, r"x: expected pixels in \[0, 1\]; got values from nan"),
    "type": (lambda x, y: {"x": (x * 255).astype(np.int64)}, "x: expected pixels as uint8, or as floats"),
    "shape": (lambda x, y: {"x": x[:, :4]}, r"x: expected images of shape \(None, 6, 5, 2\); got \(8, 4, 5, 2\)"),
    "classes": (lambda x, y: {"y": y + 1}, "y: expected labels from 0 to 2, the net's classes; got"),
    "floats": (lambda x, y: {"y": y * 1.0}, "y: expected integer labels; got float64"),
    "soft": (lambda x, y: {"y": np.full((8, 3), 1 / 3)}, "y: expected one-hot labels"),
    "count": (lambda x, y: {"y": y[:5]}, "y: expected as many labels as images; got 5 labels and 8 images"),
    "none": (lambda x, y: {"y": None}, "y: expected labels; got none"),
    "negative": (lambda x, y: {"sample_weight": -np.ones(8)}, "sample_weight: expected finite weights >= 0"),
    "few": (lambda x, y: {"class_weight": {0: 1.0}}, "class_weight: expected a finite weight >= 0 for each class"),
    "validation": (lambda x, y: {"validation_data": (x, y + 3)}, "y: expected labels from 0 to 2"),
    "data set": (
        lambda x, y: {"x": tf.data.Dataset.from_tensor_slices((x * 255, y)).batch(8), "y": None},
        r"x: expected pixels in \[0, 1\]",
    ),
    "empty": (lambda x, y: {"x": tf.data.Dataset.from_tensor_slices((x[:0], y[:0])), "y": None}, "got an empty one"),
    "ragged": (
        lambda x, y: {"x": tf.data.Dataset.from_tensors((tf.RaggedTensor.from_tensor(x), y)), "y": None},
        "x: expected a data set of tensors; got RaggedTensorSpec",
    ),
    "no labels": (lambda x, y: {"x": tf.data.Dataset.from_tensors(x), "y": None}, "y: expected labels; got none"),
    "generator": (
        lambda x, y: {"x": iter([((x * 255).astype(np.int32), y)] * 3), "y": None, "steps_per_epoch": 1},
        "x: expected pixels as uint8",
    ),
    "sequence": (lambda x, y: {"x": Batches([(x, y + 3)]), "y": None}, "y: expected labels from 0 to 2"),
    "weights of a batch": (
        lambda x, y: {"x": Batches([(x, y, np.full(8, np.nan))]), "y": None},
        "sample_weight: expected finite weights >= 0",
    ),
}


class Batches(keras.utils.Sequence):
    def __init__(self, batches):
        self.batches, self.ended = batches, 0

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]

    def on_epoch_end(self):
        self.ended += 1


@pytest.mark.parametrize("mistake", FITS)
def test_data_that_does_not_fit_is_refused_in_one_line(small_net, small_images, mistake):
    x, y = small_images
    change, message = FITS[mistake]
    model, before = model_of(small_net), small_net.get_weights()
    with pytest.raises(Refusal, match=message) as refusal:
        model.fit(**{"x": x, "y": y, "verbose": 0, **change(x, y)})
    assert "\n" not in str(refusal.value)
    for ours, theirs in zip(before, small_net.get_weights()):
        np.testing.assert_array_equal(ours, theirs)


def later(kind, good, bad):
    """Two batches, of which only the second does not fit."""
    if kind == "generator":
        return (batch for batch in (good, bad))
    if kind == "sequence":
        return Batches([good, bad])
    return tf.data.Dataset.from_generator(
        lambda: iter([good, bad]), output_signature=tuple(tf.TensorSpec((None, *a.shape[1:]), a.dtype) for a in good)
    )


@pytest.fixture
def freed():
    """Frees data iterators that a refusal interrupted: the later that is, the longer TensorFlow's thread that tunes
    them sleeps before it ends, up to a minute, and everything waits for it."""
    yield
    gc.collect()


@pytest.mark.usefixtures("freed")
@pytest.mark.parametrize("kind", ["data set", "generator", "sequence"])
@pytest.mark.parametrize("call", ["fit", "evaluate", "predict", "validation"])
def test_each_batch_is_checked(small_net, small_images, kind, call):
    x, y = small_images
    model = model_of(small_net)
    model.fit(later(kind, (x, y), (x / 2, y)), verbose=0)
    calls = {
        "fit": lambda data: model.fit(data, verbose=0),
        "evaluate": lambda data: model.evaluate(data, verbose=0),
        "predict": lambda data: model.predict(data, verbose=0),
        "validation": lambda data: model.fit(x, y, verbose=0, validation_data=data),
    }
    wrong = (x * 255, y) if call == "predict" else (x, y + 3)
    with pytest.raises(
        Refusal, match=r"^x: expected pixels.*255" if call == "predict" else "^y: expected labels from"
    ) as r:
        calls[call](later(kind, (x, y), wrong))
    assert "\n" not in str(r.value)
    calls[call](later(kind, (x, y), (x, y)))  # the model can be used again


def test_a_sequence_hears_of_the_end_of_epochs(small_net, small_images):
    data = Batches([small_images])
    model_of(small_net).fit(data, epochs=2, verbose=0)
    assert data.ended == 2


BATCH_CALLS = {
    "train_on_batch": lambda model, x, y: model.train_on_batch(x, y),
    "test_on_batch": lambda model, x, y: model.test_on_batch(x, y),
    "predict_on_batch": lambda model, x, y: model.predict_on_batch(x),
    "predict": lambda model, x, y: model.predict(x, verbose=0),
}


@pytest.mark.parametrize("call", BATCH_CALLS)
def test_single_batches_and_predictions_are_checked(small_net, stored, call):
    x, y = stored
    called = BATCH_CALLS[call]
    expected = called(model_of(small_net), x / 255, y)
    model = model_of(small_net)  # as random starts depend on the step
    np.testing.assert_allclose(called(model, x, np.eye(3)[y]), expected, atol=1e-5)
    wrong = [(x.astype(float), y, "divide by 255"), (x.astype(int), y, "uint8"), (x[..., :1], y, "images of shape")]
    wrong += [] if call.startswith("predict") else [(x, y + 1, "from 0 to 2"), (x, y[:3], "as many labels")]
    for images, labels, message in wrong:
        with pytest.raises(Refusal, match=message) as refusal:
            called(model, images, labels)
        assert "\n" not in str(refusal.value)
    with pytest.raises(Refusal, match="class_weight: expected"):
        model.train_on_batch(x, y, class_weight={0: 1.0})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"eps": 8},
            "eps: expected a number or fraction in [0, 1], in pixels of [0, 1]; got 8; did you mean 8/255?",
        ),
        ({"eps": float("nan")}, "eps: expected a number or fraction in [0, inf); got 'nan'"),
        ({"eps": "8/256/1"}, "eps: expected a number or fraction in [0, inf); got '8/256/1'"),
        ({"eps": None}, "eps: expected a number or fraction in [0, inf); got 'None'"),
        ({"eps": np.zeros(2)}, "eps: expected a number or fraction in [0, inf); got"),
        ({"norm": "l3"}, "norm: expected one of linf, l2; got 'l3'"),
        ({"loss": "trade"}, f"loss: expected one of {', '.join(LOSSES)}; got 'trade'; did you mean trades?"),
        (
            {"starts": "unifrom"},
            "starts: expected comma-separated, each once: one of uniform, stripes",
        ),
        ({"starts": ["uniform", 3]}, "starts: expected comma-separated, each once: one of"),
        ({"adv_weight": 2}, "adv_weight: expected a number or fraction in [0, 1]; got '2'"),
        ({"steps": 1.5}, "steps: expected an integer >= 0; got '1.5'"),
        ({"attack": "fgsm"}, "attack: expected one of pgd, fgsm_rs, n_fgsm; got 'fgsm'"),
        ({"constraint": "l0"}, "constraint: expected a training.constraints.WeightConstraint or None; got 'l0'"),
        ({"seed": -1}, "seed: expected an integer >= 0; got '-1'"),
    ],
)
def test_arguments_that_do_not_fit(small_net, arguments, message):
    with pytest.raises(Refusal) as refusal:
        RobustModel(small_net, **{"eps": 0.1, **arguments})
    assert str(refusal.value).startswith(message)
    assert "\n" not in str(refusal.value)


def test_numbers_and_names_may_be_text_as_on_a_command_line(small_net):
    model = RobustModel(small_net, eps="8/255", alpha="1/255", starts="stripes,uniform", validation_eps="4/255")
    assert float(model.eps) == pytest.approx(8 / 255)
    assert model.attack == {"alpha": 1 / 255, "norm": "linf", "starts": ("stripes", "uniform")}
    assert model.validation_attack["eps"] == 4 / 255
    assert RobustModel(small_net, eps=0.1, starts="uniform").attack["starts"] == ("uniform",)
    assert RobustModel(small_net, eps=np.float32(0.5), starts=()).attack["starts"] == ()


def test_probabilities_are_refused(small_net, small_images):
    with pytest.raises(Refusal, match="net: expected logits; got probabilities"):
        RobustModel(keras.Sequential([keras.Input((6, 5, 2)), *small_net.layers, keras.layers.Softmax()]), eps=0.1)
    hidden = keras.Model(small_net.inputs, tf.nn.softmax(small_net.output))
    hidden = keras.Model(hidden.inputs, keras.layers.Activation("linear")(hidden.output))
    with pytest.raises(Refusal, match="net: expected logits; got probabilities"):
        RobustModel(hidden, eps=0.1)
    pooled = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3), keras.layers.Lambda(tf.nn.softmax)]
    of_any_size = RobustModel(keras.Sequential([keras.Input((None, None, 2)), *pooled]), eps=0.1)
    of_any_size.compile()
    with pytest.raises(Refusal, match="net: expected logits; got probabilities"):
        of_any_size.fit(*small_images, verbose=0)


LOSS = keras.losses
LOSSES_THAT_DO_NOT_FIT = {
    "name": "sparse_categorical_crossentropy",
    "class": LOSS.SparseCategoricalCrossentropy,
    "one-hot": LOSS.CategoricalCrossentropy(from_logits=True),
    "of probabilities": LOSS.SparseCategoricalCrossentropy(),
    "of numbers": LOSS.MeanSquaredError(),
    "each image": LOSS.SparseCategoricalCrossentropy(from_logits=True, reduction="none"),
    "upside down": lambda y, z: -LOSS.sparse_categorical_crossentropy(y, z, from_logits=True)[0],
    "raises": lambda y, z: tf.matmul(z, z),
}


@pytest.mark.parametrize("loss", LOSSES_THAT_DO_NOT_FIT)
def test_losses_that_do_not_fit_are_refused(small_net, loss):
    with pytest.raises(Refusal, match=r"^loss: expected") as refusal:
        RobustModel(small_net, eps=0.1).compile(loss=LOSSES_THAT_DO_NOT_FIT[loss])
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizer": "adamm"}, r"^optimizer: expected one of tf_keras, such as 'adam'; got 'adamm'"),
        ({"optimizer": 3}, r"^optimizer: expected one of tf_keras, such as 'adam'; got 3"),
        ({"metrics": ["accuracy"]}, r"^metrics: expected none, as RobustModel measures .*; got \['accuracy'\]"),
    ],
)
def test_what_compile_does_not_take(small_net, arguments, message):
    with pytest.raises(Refusal, match=message):
        RobustModel(small_net, eps=0.1).compile(**arguments)


def test_a_loss_without_weights(small_net, small_images):
    x, y = small_images
    model = RobustModel(small_net, eps=0.1, steps=1)
    model.compile(loss=lambda y, z: tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, z)))
    model.fit(x, y, verbose=0)
    with pytest.raises(Refusal, match="sample_weight: expected a loss that takes weights"):
        model.fit(x, y, sample_weight=np.ones(8), verbose=0)

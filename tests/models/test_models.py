"""Every net: its counts as the papers have them, and logits that are no probabilities."""

import numpy as np
import pytest
import tf_keras as keras

from robust_tf.models import MODELS
from robust_tf.models.kernels import count, kernel_layers, kernels, multiply_adds, shortcuts
from robust_tf.models.load import load_net

# (net, width): kernel weights, all trainable variables, multiply-adds of an image; 10 classes.
COUNTS = {
    ("lenet", 1): (430500, 431080, 2293000),
    ("resnet34", 1): (21265088, 21282122, 1159402496),
    ("wrn_16_8", 1): (10954160, 10961370, 1548145664),
    ("convnet_stl10", 1): (1127776, None, 121211392),
    ("mobilenet_v1", 1.5): (7147680, 7180522, 102561792),
    ("mobilenet_v1", 1): (3195328, 3217226, 46354432),
    ("mobilenet_v1", 0.75): (1807824, 1824250, 26508288),
    ("mobilenet_v1", 0.5): (812768, 823722, 12167168),
    ("mobilenet_v1", 0.25): (210160, 215642, 3331072),
    ("mobilenet_v1", 0.125): (56024, 58770, 977408),
    ("mobilenet_v2", 1.4): (4375852, 4424780, 172336960),
    ("mobilenet_v2", 1): (2261824, 2296922, 91154944),
    ("mobilenet_v2", 0.75): (1366880, 1393846, 53777408),
    ("mobilenet_v2", 0.5): (693728, 712562, 26127872),
    ("shufflenet_v1", 2): (3300522, 3348028, 149784576),
    ("shufflenet_v1", 1): (839022, 862768, 38605056),
    ("shufflenet_v1", 0.5): (216672, 228538, 10202496),
    ("shufflenet_v1", 0.25): (57597, 63523, 2798016),
    ("shufflenet_v2", 2): (5304600, 5338026, 181645440),
    ("shufflenet_v2", 1.5): (2465424, 2488874, 94259712),
    ("shufflenet_v2", 1): (1247664, 1263854, 45002112),
    ("shufflenet_v2", 0.5): (344080, 352042, 10902016),
}
SHAPES = {"lenet": (28, 28, 1), "convnet_stl10": (96, 96, 3)}


@pytest.fixture(autouse=True)
def small_memory():
    yield
    keras.backend.clear_session()


@pytest.mark.parametrize(("name", "width"), COUNTS)
def test_counts_are_the_papers(name, width):
    net = MODELS[name](SHAPES.get(name, (32, 32, 3)), 10, width)
    trainable = count(net.trainable_variables)
    weights, all_trainable, macs = COUNTS[name, width]
    assert count(kernels(net)) == weights
    assert trainable == (all_trainable or trainable)
    assert sum(multiply_adds(net).values()) == macs


def test_every_net_of_the_papers_is_counted():
    ours = {"resnet8", "resnet14", "resnet20", "wrn_10_1", "mobilenet_v2_edge"}  # narrower members of the families
    assert {name for name, _ in COUNTS} == set(MODELS) - ours


@pytest.mark.parametrize("conv_relu", [False, True])
def test_conv_relu_is_where_lenets_differ(conv_relu):
    net = MODELS["lenet"]((28, 28, 1), 10, conv_relu=conv_relu)
    assert (net.get_layer("conv1").activation.__name__ == "relu") == conv_relu


@pytest.mark.parametrize("name", MODELS)
def test_nets_normalise_give_logits_and_come_back_from_a_file(name, tmp_path):
    H, W, C = SHAPES[name] if name == "convnet_stl10" else (32, 24, 3)
    mean, deviation = (0.5, 0.4, 0.3)[:C], (0.2, 0.25, 0.3)[:C]
    keras.utils.set_random_seed(0)
    net = MODELS[name]((H, W, C), 7, width=0.25, normalisation=(mean, deviation))
    x = np.random.default_rng(0).random((4, H, W, C), np.float32)
    logits = net(x).numpy()
    assert logits.shape == (4, 7)
    assert np.abs(logits.sum(-1) - 1).max() > 1e-3

    plain = MODELS[name]((H, W, C), 7, width=0.25)
    plain.set_weights(net.get_weights())
    np.testing.assert_allclose(plain((x - mean) / deviation), logits, rtol=1e-4, atol=1e-4)

    net.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(load_net(tmp_path / "model.keras")(x), logits)


def test_the_edge_net_has_only_what_the_sparse_kernels_take():
    layers = keras.layers
    net = MODELS["mobilenet_v2_edge"]((32, 32, 3), 10, normalisation=((0.5,) * 3, (0.25,) * 3))
    stem = net.get_layer("stem")
    assert (stem.kernel_size, stem.strides, stem.padding, stem.input_shape[-1]) == ((3, 3), (2, 2), "valid", 3)
    for layer in net.layers:
        if isinstance(layer, layers.DepthwiseConv2D):
            assert layer.padding == "valid"
            assert layer.depth_multiplier == 1
        elif isinstance(layer, layers.Conv2D) and layer is not stem:
            assert (layer.kernel_size, layer.strides) == ((1, 1), (1, 1))
    assert isinstance(net.layers[-2], layers.GlobalAveragePooling2D)


def test_shufflenet_v2_has_the_papers_widths_or_narrower():
    from robust_tf.refusal import Refusal

    with pytest.raises(Refusal, match="--width"):
        MODELS["shufflenet_v2"]((32, 32, 3), 10, 0.7)


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("lenet", []),
        ("mobilenet_v1", []),
        ("resnet8", ["stage2_block1", "stage3_block1"]),
        ("wrn_10_1", ["stage2_block1", "stage3_block1"]),  # the first block adds the stem's output itself
    ],
)
def test_shortcuts_are_beside_the_last_layer_of_their_block(name, blocks):
    net = MODELS[name](SHAPES.get(name, (32, 32, 3)), 10)
    names = [layer.name for layer in kernel_layers(net)]
    found = [{names[i] for i in group} for group in shortcuts(net)]
    assert found == [{f"{block}_conv2", f"{block}_shortcut"} for block in blocks]


def test_the_shortcuts_of_mobilenet_v2():
    """Convolutions where the width changes within a stage; others add the block's input itself."""
    net = MODELS["mobilenet_v2"]((32, 32, 3), 10)
    names = [layer.name for layer in kernel_layers(net)]
    groups = [{names[i] for i in group} for group in shortcuts(net)]
    convolutions = [name for name in names if "shortcut" in name]
    assert [group & set(convolutions) for group in groups] == [{name} for name in convolutions]
    assert all(len(group) == 2 for group in groups)

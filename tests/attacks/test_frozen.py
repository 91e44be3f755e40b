"""Which images each attack breaks, image by image: frozen, and equal in every batch and order.

The net is bent, so that attacks differ; its weights are NumPy's. Whoever changes a result on purpose writes the new
one here and says so in docs/results.md.
"""

import inspect

import numpy as np
import pytest
import tensorflow as tf

from robust_tf.attacks import ATTACKS
from robust_tf.attacks.balls import BALLS
from robust_tf.attacks.seeds import derived, of_images
from robust_tf.attacks.starts import start

COUNT, SHAPE, CLASSES = 64, (5, 4, 1), 4
SETTINGS = {"steps": 6, "queries": 60, "searches": 6, "restarts": 2, "samples": 40, "loss_weight": 0.1}
EPS = {"linf": 0.025, "l2": 0.08}

generator = np.random.default_rng(0)
U = generator.normal(size=(20, 16)).astype(np.float32) / 2
V = generator.normal(size=(16, CLASSES)).astype(np.float32) + np.eye(16, CLASSES, dtype=np.float32)
X = generator.uniform(size=(COUNT, *SHAPE)).astype(np.float32)


@tf.function
def bent(x):
    flat = tf.reshape(x, (-1, 20)) @ U
    return tf.sin(30 * flat) @ V / 4 + tf.sin(3 * flat) @ V


Y = np.argmax(bent(X), -1)


def broken(name, norm, order=tuple(range(COUNT)), batch_size=COUNT):
    """Which images the attack breaks, one batch after the other, as a text of one character for each image."""
    attack, found = ATTACKS[name].resolve(), ["."] * COUNT
    takes = inspect.signature(attack).parameters
    settings = {key: value for key, value in (SETTINGS | {"norm": norm, "eps": EPS[norm]}).items() if key in takes}
    for begin in range(0, COUNT, batch_size):
        batch = np.array(order[begin : begin + batch_size])
        more = {"seed": of_images(5, batch)} if "seed" in takes else {}
        x_adv = attack(bent, tf.constant(X[batch]), Y[batch], **settings, **more)
        for number in batch[np.argmax(bent(x_adv), -1) != Y[batch]]:
            found[number] = "x"
    return "".join(found)


# x: broken, one character for each image.
FROZEN = {
    ("fgsm", "linf"): "......x.xxx.xx..xx.x.x.x...xx.x.....xxx..xx...xxx.xx....x.x...xx",
    ("fgsm", "l2"): "......xxxxx.xx..xx.xxx.x...xx.x..x.xxxx...x...xxx..x.x..x.xx..xx",
    ("ifgsm", "linf"): "xx...xxxxxx.xxx.xx.xxxxxx..xxxx..xxxxxx.xxx.x.xxx.xxxx.xx.xxx.xx",
    ("ifgsm", "l2"): "xx.x.xxxxxx.xxx.xxxxxxxxx..xxxx..xxxxxxxxxx.x.xxx.xxxxxxx.xxx.xx",
    ("pgd", "linf"): "x...xxxxxxx.xxx.xx.x.xxxx..xx.x.xxxxxxx.xxxxx.xxx.xxxxx.x.xxxxxx",
    ("pgd", "l2"): "xx.xxxxxxxx.xxx.xxxxxxxxxx.xxxx.xxxxxxx.xxxxx.xxxxxxxxxxx.xxxxxx",
    ("mim", "linf"): "xx.xxxxxxxx.xxx.xxxx.xxxx..xxxx..xxxxxxxxxxxx.xxx.xxxx.xxxxxxxxx",
    ("mim", "l2"): "xx.xxxxxxxx.xxx.xxxxxxxxxx.xxxx..xxxxxxxxxxxx.xxx.xxxx.xx.xxx.xx",
    ("cw_l2", "l2"): "x............x..xx...x........x......x........xxx....x..x.x...x.",
    ("cw_linf", "linf"): "x....xxxxxx.xxx.xx.xxxxxx..xx.x.xxxxxxx.xxx.x.xxx.xxxxxxx.xx.xxx",
    ("wrm", "linf"): "xx..x.x..xxxx.x...xxxx.xxxxxxxxxxx.xxx...x.xx..xxxxx.xxxxxxxxx.x",
    ("spsa", "linf"): "xx.xxxxxxxx.xxx.xx.xxxxxxx.xxxx..xxxxxxxxxxxx.xxxxxxxx.xx.xxxxxx",
    ("apgd_ce", "linf"): "xx.xxxxxxxx.xxx.xxxxxxxxx..xx.xxxxxxxxx.xxx.x.xxx.xxxxxxx.xxxxxx",
    ("apgd_dlr", "linf"): ".x.xxxxxxxx.xxx.xx.xxxxxx..xxxx..xxxxxx.xxx.x.xxx.xxxxxxx.xxx.xx",
    ("apgd_t", "linf"): "xx.xxxxxxxx.xxx.xxxxxxxxx..xxxxx.xxxxxx.xxx.x.xxx.xxxxxxx.xxxxxx",
    ("fab", "linf"): "xx.xxxxxxxx.xxx.xxxxxxxxxx.xxxx..xxxxxxxxxxxx.xxxxxxxxxxx.xxx.xx",
    ("fab_t", "linf"): "xx.xxxxxxxx.xxx.xxxxxxxxx..xxxx..xxxxxxxxxxxx.xxxxxxxxxxxxxxx.xx",
    ("square", "linf"): "x...xxxxxxx.xxx.xx.xxxxxx..xx.xx..xxxxx.xxx.x.xxx.xxxx..x.xx..xx",
}


@pytest.mark.parametrize(("name", "norm"), FROZEN)
def test_what_each_attack_breaks_is_frozen(name, norm):
    assert broken(name, norm) == FROZEN[name, norm]


def test_every_attack_is_frozen():
    assert {name for name, _ in FROZEN} == set(ATTACKS)


RANDOM = [name for name, attack in ATTACKS.items() if attack.random]


@pytest.mark.parametrize("name", RANDOM)
def test_batches_and_their_order_change_nothing(name):
    norm = ATTACKS[name].norms[0]
    order = tuple(np.random.default_rng(1).permutation(COUNT))
    assert broken(name, norm, order, batch_size=7) == broken(name, norm, batch_size=32) == FROZEN[name, norm]


@pytest.mark.parametrize("norm", BALLS)
def test_the_random_numbers_of_an_image_are_its_own(norm):
    """They depend on the seed, on the image and on the restart, and on nothing else."""
    x = tf.fill((COUNT, *SHAPE), 0.5)
    seeds = of_images(3, range(COUNT))
    drawn = start(x, 0.1, norm, seeds, ("uniform",)).numpy()
    np.testing.assert_array_equal(start(x[:3], 0.1, norm, seeds[40:43], ("uniform",)), drawn[40:43])
    further = [
        start(x, 0.1, norm, each, ("uniform",)).numpy() for each in (of_images(4, range(COUNT)), derived(seeds, 1))
    ]
    assert len({image.tobytes() for each in (drawn, *further) for image in each}) == 3 * COUNT

"""PGD on LeNet, its step inside the loop's graph or a function of its own (`attacks/loops.py`), in several graphs each.

    bin/python benchmarks/loops.py [--graphs=6] [--steps=16] [--batch=128] [--rounds=5]

Graphs of one kind are equal but for the order of their operations, which is a matter of chance. For each graph: the
median time of the attack and, where the step is inside, which kernels compute the gradient of max pooling (a function
of its own is rewritten only when it is first called, so that its kernels are not known).
"""

import statistics
import time

import robust_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is imported)

# isort: split
import tensorflow as tf
import tf_keras as keras
from absl import app, flags
from tensorflow.python.eager import context

from robust_tf.attacks import pgd
from robust_tf.models import MODELS
from robust_tf.models.fast import inference_form

GRAPHS = flags.DEFINE_integer("graphs", 6, "graphs of each kind", lower_bound=1)
STEPS = flags.DEFINE_integer("steps", 16, "gradient steps", lower_bound=1)
BATCH = flags.DEFINE_integer("batch", 128, "images at once", lower_bound=1)
ROUNDS = flags.DEFINE_integer("rounds", 5, "timed rounds of all graphs", lower_bound=1)


def traced(attack, x):
    """(attack, names of the kernels that compute the gradient of max pooling in its graph), after its first call."""
    context.enable_graph_collection()
    attack(x)
    collected = context.export_run_metadata().function_graphs
    context.disable_graph_collection()
    nodes = [node for graph in collected for part in graph.partition_graphs for node in part.node]
    return attack, sorted({node.op for node in nodes if "MaxPoolGrad" in node.op})


def main(_):
    keras.utils.set_random_seed(0)
    net = inference_form(MODELS["lenet"]((28, 28, 1), 10, conv_relu=True))
    x = tf.random.stateless_uniform((BATCH.value, 28, 28, 1), (0, 0))
    y = tf.cast(10 * tf.random.stateless_uniform((BATCH.value,), (0, 1)), tf.int32)
    steps = tf.Variable(STEPS.value)

    def attack():
        return tf.function(lambda x: pgd.pgd(lambda v: net(v, training=False), x, y, eps=0.3, steps=steps))

    apart, found = pgd.repeated, {}
    for kind, loop in (("inside", tf.while_loop), ("apart", apart)):
        pgd.repeated = loop
        for number in range(GRAPHS.value):
            found[kind, number] = traced(attack(), x)
    pgd.repeated = apart
    seconds = {name: [] for name in found}
    for _ in range(ROUNDS.value):
        for name, (attacked, _) in found.items():
            began = time.perf_counter()
            attacked(x).numpy()
            seconds[name].append(time.perf_counter() - began)
    for (kind, number), times in seconds.items():
        names = ", ".join(found[kind, number][1])
        print(f"{kind:<7} graph {number}: {1e3 * statistics.median(times):6.1f} ms  {names}")


if __name__ == "__main__":
    app.run(main)

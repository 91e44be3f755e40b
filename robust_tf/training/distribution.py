"""Training on several devices, of one machine or of many, with TensorFlow's strategies: the same steps as one device
takes with the same global batch.

Each replica attacks its share of the batch and computes the gradients of its share of the loss; the optimiser sums them
over the replicas. Whatever changes weights after that is done once, on the weights that all replicas have in common.
"""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_tf.data.pipeline import batches, stream, to_pixels
from robust_tf.refusal import Refusal
from robust_tf.training.precision import MIXED, mixed_layers
from robust_tf.training.workers import multiworker


def strategy(name, batch_size):
    """TensorFlow's strategy for --distribution=`name`; raises Refusal where the batch cannot be shared out evenly."""
    if name == "none":
        return tf.distribute.get_strategy()  # the default one: one device
    found = multiworker() if name == "multiworker" else mirrored()
    if found.num_replicas_in_sync == 1:
        return tf.distribute.get_strategy()
    if batch_size % found.num_replicas_in_sync:
        raise Refusal(
            f"--batch_size: expected a multiple of the {found.num_replicas_in_sync} devices with --distribution={name};"
            f" got {batch_size}"
        )
    return found


def mirrored():
    """On all GPUs of this machine, else on all of its (logical) CPU devices."""
    if tf.config.list_logical_devices("GPU"):
        return tf.distribute.MirroredStrategy()
    devices = [device.name for device in tf.config.list_logical_devices("CPU")]
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=tf.distribute.ReductionToOneDevice())


def placed(net, strategy, mixed_precision=False):
    """`net` itself on one device in float32; else a twin on all of them, whose batch norm uses the statistics of whole
    batches, and which computes in bfloat16 where `mixed_precision` asks for it."""
    replicated, lower = strategy.num_replicas_in_sync > 1, mixed_layers(net) if mixed_precision else ()
    if not replicated and not mixed_precision:
        return net

    def replaced(layer):
        config = layer.get_config()
        if replicated and type(layer) is keras.layers.BatchNormalization:
            config["synchronized"] = True
        if layer.name in lower:
            config["dtype"] = MIXED
        return type(layer).from_config(config)

    with strategy.scope():
        try:
            twin = keras.models.clone_model(net, clone_function=replaced)
        except Exception as error:  # layers of one's own raise what they like
            flag = "--mixed_precision" if mixed_precision else "--distribution"
            reason = str(error).splitlines()[0]
            raise Refusal(f"{flag}: expected a net of layers that can be built anew for it; got {reason}") from error
        twin.set_weights(net.get_weights())
    return twin


def training_data(strategy, data, batch_size, seed, first_step, varied):
    """`data.pipeline.stream` for the replicas: each gets its part of every batch, each worker its replicas'."""
    of = strategy.num_replicas_in_sync
    if of == 1:
        return stream(*data, batch_size, seed, first_step, varied)

    def its_parts(worker):
        return stream(*data, batch_size, seed, first_step, varied, of, replicas(worker, of))

    return strategy.distribute_datasets_from_function(its_parts)


def validation_data(strategy, images, labels, most=500):
    """(data, number of batches): all images once, in batches of at most `most` and of nearly one size.

    Every replica has some of each batch; raises Refusal where there are too few images.
    """
    of = strategy.num_replicas_in_sync
    number = -(-len(images) // most)
    if of == 1:
        return batches(images, labels, -(-len(images) // number)), number
    if len(images) < number * of:
        raise Refusal(f"--distribution: expected an image to validate on for each of {of} devices; got {len(images)}")
    bounds = np.linspace(0, len(images), number * of + 1).astype(int)  # of the parts
    first, last = bounds[:-1].reshape(number, of), bounds[1:].reshape(number, of)
    images, labels = tf.constant(images), tf.constant(labels)

    def its_parts(worker):
        mine = replicas(worker, of)
        data = tf.data.Dataset.from_tensor_slices((first[:, mine].ravel(), last[:, mine].ravel()))
        return data.map(lambda a, b: to_pixels(images[a:b], labels[a:b])).prefetch(tf.data.AUTOTUNE)

    return strategy.distribute_datasets_from_function(its_parts), number


def replicas(worker, of):
    """Those of `of` that a worker, an InputContext, feeds."""
    local = of // worker.num_input_pipelines
    return range(worker.input_pipeline_id * local, (worker.input_pipeline_id + 1) * local)


def share():
    """(which, of): the replica that asks, and how many there are; of a batch each has the same number of images."""
    replica = tf.distribute.get_replica_context()
    return replica.replica_id_in_sync_group, replica.num_replicas_in_sync


def once(change):
    """Calls change() for all replicas together, inside a step: variables that it assigns are assigned on each."""
    tf.distribute.get_replica_context().merge_call(lambda _: change())


def by_replica(value, name):
    """A variable of which each replica has its own; outside of steps it reads as their mean."""
    reading = {"synchronization": tf.VariableSynchronization.ON_READ, "aggregation": tf.VariableAggregation.MEAN}
    return tf.Variable(value, trainable=False, name=name, **reading)

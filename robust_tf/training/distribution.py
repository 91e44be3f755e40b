"""Training on several devices, of one or many machines, with TensorFlow's distribution strategies: the same training
steps as on one device with the same global batch.

Each replica attacks its part of the batch and computes the gradients of its part of the loss; the optimiser sums them
over the replicas. Every later change of the weights is made once, on the weights that all replicas share.
"""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_tf.data.pipeline import batches, sections, stream
from robust_tf.refusal import Refusal
from robust_tf.training.precision import MIXED, mixed_layers
from robust_tf.training.workers import multiworker


def strategy(name):
    """TensorFlow's strategy for --distribution=`name`."""
    if name == "none":
        return tf.distribute.get_strategy()  # TensorFlow's default: one device
    found = multiworker() if name == "multiworker" else mirrored()
    return tf.distribute.get_strategy() if found.num_replicas_in_sync == 1 else found


def check_batch(strategy, config):
    """Raises Refusal if the batch cannot be divided evenly."""
    if config.batch_size % strategy.num_replicas_in_sync:
        raise Refusal(
            f"--batch_size: expected a multiple of the {strategy.num_replicas_in_sync} devices with"
            f" --distribution={config.distribution}; got {config.batch_size}"
        )


def mirrored():
    """A strategy for all GPUs of this machine or, without a GPU, for all of its (logical) CPU devices."""
    if tf.config.list_logical_devices("GPU"):
        return tf.distribute.MirroredStrategy()
    devices = [device.name for device in tf.config.list_logical_devices("CPU")]
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=tf.distribute.ReductionToOneDevice())


def placed(net, strategy, mixed_precision=False):
    """`net` itself on one device in float32; otherwise a copy on all devices, whose batch norm uses the statistics of
    the global batch, and which computes in bfloat16 if `mixed_precision`."""
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
        except Exception as error:  # the user's own layers may raise anything
            flag = "--mixed_precision" if mixed_precision else "--distribution"
            reason = str(error).splitlines()[0]
            raise Refusal(
                f"{flag}: expected layers that can be rebuilt from their configuration; got {reason}"
            ) from error
        twin.set_weights(net.get_weights())
    return twin


def training_data(strategy, data, batch_size, seed, first_step, varied):
    """`data.pipeline.stream` for all replicas: each gets its part of every batch. A worker reads the parts of
    its replicas."""
    num_replicas = strategy.num_replicas_in_sync
    if num_replicas == 1:
        return stream(*data, batch_size, seed, first_step, varied)

    def its_parts(worker):
        return stream(*data, batch_size, seed, first_step, varied, num_replicas, replicas(worker, num_replicas))

    return strategy.distribute_datasets_from_function(its_parts)


def validation_data(strategy, images, labels, most=500):
    """(data, number of batches): each image once, in batches of nearly equal size, at most `most` images.

    Every replica gets a part of each batch; raises Refusal if there are too few images.
    """
    num_replicas = strategy.num_replicas_in_sync
    number = -(-len(images) // most)
    if num_replicas == 1:
        return batches(images, labels, -(-len(images) // number)), number
    if len(images) < number * num_replicas:
        raise Refusal(
            f"--distribution: expected a held-out image for each of {num_replicas} devices; got {len(images)}"
        )
    bounds = np.linspace(0, len(images), number * num_replicas + 1).astype(int)  # of the parts
    begin, end = bounds[:-1].reshape(number, num_replicas), bounds[1:].reshape(number, num_replicas)

    def its_parts(worker):
        own = replicas(worker, num_replicas)
        return sections(images, labels, begin[:, own].ravel(), end[:, own].ravel())

    return strategy.distribute_datasets_from_function(its_parts), number


def replicas(worker, num_replicas):
    """The indices of the replicas, of `num_replicas` in total, that a worker, an InputContext, feeds."""
    per_worker = num_replicas // worker.num_input_pipelines
    return range(worker.input_pipeline_id * per_worker, (worker.input_pipeline_id + 1) * per_worker)


def share():
    """(part, num_parts): the index of the current replica, and the number of replicas, which have equal parts of a
    batch."""
    replica = tf.distribute.get_replica_context()
    return replica.replica_id_in_sync_group, replica.num_replicas_in_sync


def once(change):
    """Inside a training step, calls change() once for all replicas: what it assigns is assigned on every replica."""
    tf.distribute.get_replica_context().merge_call(lambda _: change())


def by_replica(value, name):
    """A variable with its own value on each replica; outside of training steps it reads as their mean."""
    reading = {"synchronization": tf.VariableSynchronization.ON_READ, "aggregation": tf.VariableAggregation.MEAN}
    return tf.Variable(value, trainable=False, name=name, **reading)

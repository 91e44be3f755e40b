"""Training on several devices of a machine, with TensorFlow's strategies: the same steps as one device takes with the
same global batch.

Each replica attacks its share of the batch and computes the gradients of its share of the loss; the optimiser sums them
over the replicas. Whatever changes weights after that is done once, on the weights that all replicas have in common.
"""

import tensorflow as tf
import tf_keras as keras

from robust_tf.data.pipeline import batches, stream
from robust_tf.refusal import Refusal


def strategy(name, batch_size):
    """TensorFlow's strategy for --distribution=`name`; raises Refusal where the batch cannot be shared out evenly."""
    if name == "none":
        return tf.distribute.get_strategy()  # the default one: one device
    found = mirrored()
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


def placed(net, strategy):
    """`net` itself on one device; else a twin on all of them, whose batch norm uses the statistics of whole batches."""
    if strategy.num_replicas_in_sync == 1:
        return net

    def synchronised(layer):
        config = layer.get_config()
        if isinstance(layer, keras.layers.BatchNormalization):
            config["synchronized"] = True
        return type(layer).from_config(config)

    with strategy.scope():
        twin = keras.models.clone_model(net, clone_function=synchronised)
        twin.set_weights(net.get_weights())
    return twin


def training_data(strategy, data, batch_size, seed, first_step, varied):
    """`data.pipeline.stream` for the replicas: each gets its part of every batch."""
    of = strategy.num_replicas_in_sync
    if of == 1:
        return stream(*data, batch_size, seed, first_step, varied)
    return strategy.distribute_datasets_from_function(lambda _: stream(*data, batch_size, seed, first_step, varied, of))


def validation_data(images, labels, most=500):
    """All images once, in batches of at most `most` and of nearly one size, so that every replica has some of each."""
    number = -(-len(images) // most)
    return batches(images, labels, -(-len(images) // number))


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

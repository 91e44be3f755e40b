"""The net with which a run starts: built, imported from a user's file, or with the weights of an earlier run."""

from pathlib import Path

from robust_tf import files
from robust_tf.flags.kinds import names_file, offered
from robust_tf.models.build import build
from robust_tf.models.imported.classes import last_kernel
from robust_tf.models.imported.convert import converted
from robust_tf.models.kernels import kernel_layers
from robust_tf.models.load import load_net
from robust_tf.records.imported import Imported
from robust_tf.records.record import read, write
from robust_tf.refusal import Refusal
from robust_tf.terminal import number_of
from robust_tf.training.config import is_net
from robust_tf.training.images import check_unseen
from robust_tf.training.importing import digest, equal_source, import_net
from robust_tf.training.methods import METHODS
from robust_tf.training.rundir import RunDirectory, imported_by


def starting_net(config, dataset, own, images, labels):
    """(net, its Imported record or None) of --model, with the weights of --init_from; prints what was found out.

    Args:
      dataset: DataSet.
      own: the run's OwnImages, or None.
      images, labels: of the training split.
    """
    net, record, lines = (
        (build(config, dataset), None, [])
        if not names_file(config.model)
        else imported(config, dataset, images, labels)
    )
    if config.init_from:
        lines += take_file(config, net, dataset) if is_net(config.init_from) else take_run(config, net, dataset, own)
    for line in lines:
        print(line, flush=True)
    if record:
        freeze(net, () if config.unfreeze else record.frozen)
    return net, record


def freeze(net, names):
    """Freezes the layers of these names, and no others."""
    for layer in net.layers:
        layer.trainable = layer.name not in names


def imported(config, dataset, images, labels):
    """(net, record, lines) of --model=FILE: as an earlier process of this run imported it, or from the file itself."""
    run = imported_by(config)
    if run is None:
        net, record, lines = import_net(
            Path(config.model),
            tuple(dataset.image_shape),
            dataset.class_names,
            images,
            labels,
            scaling=config.input_scaling,
            names=config.labels,
            replace_last=config.method != "none",
        )
        if record.frozen:
            then = "trained all the same" if config.unfreeze else "left as they are without --unfreeze"
            lines += [f"{config.model}: {number_of(len(record.frozen), 'frozen layer')}, {then}"]
        return net, record, lines
    record = read(run.import_record_path, Imported)
    if Path(config.model).exists() and digest(config.model) != record.sha256:
        raise Refusal(
            f"--model={config.model}: expected the file from which {run.path} was made (SHA-256"
            f" {record.sha256[:16]}...); got another"
        )
    return load_net(run.imported_path), record, []


def keep_imported(run, net, record):
    """Writes the imported net and its record to the run directory, from which the run resumes if the file has moved."""
    if record and not run.import_record_path.exists():
        files.replace(run.imported_path, net.save)
        write(run.import_record_path, record)


def check_frozen(config, net):
    """Raises Refusal where a method would prune layers that the user has frozen."""
    frozen = [layer.name for layer in kernel_layers(net) if not layer.trainable]
    if frozen and METHODS[config.method].compresses:
        kept = "|".join(name for name in offered(METHODS) if not METHODS[name].compresses)
        raise Refusal(
            f"--method={config.method}: expected a net without frozen layers, --unfreeze, or --method={kept}, as"
            f" pruning changes every kernel; got {number_of(len(frozen), 'frozen layer')}, {frozen[0]} first"
        )


def taught_by(config, image_shape, class_names=None, own=None):
    """The net of --teacher, or None; raises Refusal where its images, or classes that are given, are others, or where
    it has trained on test images of `own`, this run's OwnImages."""
    if not config.teacher:
        return None
    run = RunDirectory.open(config.teacher, "teacher")
    if own:
        check_unseen("teacher", run, own.test)
    net = load_net(run.net_path, run.config.model)
    if net.input_shape[1:] != image_shape:
        expected, got = f"images of shape {image_shape}", net.input_shape[1:]
    elif class_names not in (None, run.classes):
        expected, got = f"the classes {', '.join(class_names)}", ", ".join(run.classes or ("none",))
    else:
        return net
    raise Refusal(f"--teacher={config.teacher}: expected {expected}; got {got}")


def take_run(config, net, dataset, own):
    """Gives `net` the weights of the run --init_from, all but the last layer's if its classes are others.

    Raises Refusal where that run's net differs, or where it has trained on test images of `own`, this run's OwnImages
    or None. Returns lines for the user.
    """
    earlier = RunDirectory.open(config.init_from, "init_from")
    if own:
        check_unseen("init_from", earlier, own.test)
    for key in ("model", "width", "conv_relu"):
        ours, theirs = getattr(config, key), getattr(earlier.config, key)
        if ours != theirs:
            file = theirs if Path(str(theirs)).exists() else earlier.imported_path  # a copy in the run
            hint = f": give --model={file} too" if key == "model" and names_file(theirs) else ""
            raise Refusal(f"--init_from={config.init_from}: expected --{key}={ours}; got {theirs}{hint}")
    known = earlier.classes
    new_last = known not in (None, tuple(dataset.class_names))
    take_weights(config, net, load_net(earlier.net_path, earlier.config.model), new_last)
    if not new_last:
        return []
    return [
        f"--init_from={config.init_from}: a net of {earlier.config.dataset} ({len(known)} classes); its last layer,"
        f" {kernel_layers(net)[-1].name}, is new, for {len(dataset.class_names)} classes"
    ]


def take_file(config, net, dataset):
    """Gives `net` the weights of the net in the file --init_from; as `take_run`."""
    source, _ = equal_source(Path(config.init_from), tuple(dataset.image_shape))
    last_kernel(source)  # refuses a net without one
    earlier = converted(source, dataset.image_shape)
    new_last = earlier.output_shape != net.output_shape
    take_weights(config, net, earlier, new_last)
    what = f"all weights but those of {kernel_layers(net)[-1].name}" if new_last else "all weights"
    return [f"--init_from={config.init_from}: {what} taken for --model={config.model}"]


def take_weights(config, net, earlier, new_last):
    """Copies the weights of `earlier`, but for those of the last layer with a kernel if `new_last`."""
    ours, theirs = taken(net, new_last), taken(earlier, new_last)
    if len(ours) != len(theirs):
        raise Refusal(
            f"--init_from={config.init_from}: expected {len(ours)} arrays of weights, those of --model={config.model};"
            f" got {len(theirs)}: a net of other layers, or with thin layers"
        )
    for mine, other in zip(ours, theirs):
        if mine.shape != other.shape:
            raise Refusal(
                f"--init_from={config.init_from}: expected weights of shape {tuple(mine.shape)} for"
                f" {mine.name.split(':')[0]}; got {tuple(other.shape)}"
            )
    for mine, other in zip(ours, theirs):
        mine.assign(other)


def taken(net, new_last):
    last = {id(w) for w in kernel_layers(net)[-1].weights} if new_last else ()
    return [w for w in net.weights if id(w) not in last]

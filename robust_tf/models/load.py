"""Loading of saved nets in Keras' safe mode, which unpickles nothing and runs no code from the file."""

import zipfile

import tf_keras as keras

from robust_tf.flags.kinds import names_file
from robust_tf.models import MODELS, activations, channels  # noqa: F401  (Keras knows their layers once imported)
from robust_tf.models.own import import_own
from robust_tf.refusal import Refusal


def load_net(path, model=""):
    """The Keras net in `path`; raises Refusal if the file is damaged or is not a net.

    `model` is --model of the run. If Keras does not know the net's layers, the module of the user's own net is
    imported, because it may define them.
    """
    if not zipfile.is_zipfile(path):  # Keras would read another format without its safe mode, whatever the name
        raise Refusal(f"{path}: expected a Keras net; got no zip archive")
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        if not model or model in MODELS or names_file(model):
            raise Refusal(f"{path}: expected a Keras net; got {error}") from error
    import_own(model)
    return load_net(path)

"""Reading a saved net back, in Keras' safe mode: nothing is unpickled, no code is run."""

import zipfile

import tf_keras as keras

from robust_tf.models import MODELS
from robust_tf.models.own import import_own
from robust_tf.refusal import Refusal


def load_net(path, model=""):
    """The Keras net in `path`; raises Refusal where it is damaged or none.

    `model` is what the run's configuration calls it: where Keras does not know the net's layers, the module of the
    user's own net is imported, as it may define them.
    """
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        if not model or model in MODELS or not zipfile.is_zipfile(path):
            raise Refusal(f"expected a Keras net in {path}; got {error}") from error
    import_own(model)
    return load_net(path)

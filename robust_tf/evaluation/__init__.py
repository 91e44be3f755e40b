"""Evaluation: accuracies of a trained net under attack, and a .tflite file seen as a function of images.

MODES[name] is a `modes.Mode`: what a mode of bin/evaluate measures and how it is shown.
"""

from robust_tf.registry import Entry

NAMES = ("attacks", "curve", "transfer", "ensemble", "minimal", "generalise", "quantised", "tflite")
MODES = {name: Entry(f"robust_tf.evaluation.modes.{name}:MODE") for name in NAMES}

"""Evaluation: accuracies of a trained net under attack, and a .tflite file seen as a function of images."""

"""Reading .tflite files.

graph.py   the operations and tensors of a file
"""

"""Reading .tflite files.

graph.py    the operations and tensors of a file
sparse.py   tensors that are stored without their zeros
"""

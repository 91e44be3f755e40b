"""Sparse tensors of .tflite files (TACO's formats): the values that are stored, and where they belong."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema


def expanded(values, sparsity, shape):
    """The dense array of the stored `values`.

    The tensor is a tree with a level for each dimension of its blocks' grid, then for each dimension inside a block, in
    the order of sparsity.traversalOrder. A dense level has all its indices below every node; a sparse one lists those
    of node p in arrayIndices[arraySegments[p] : arraySegments[p + 1]]. The leaves are the values.

    Raises ValueError or IndexError where these do not fit the shape.
    """
    rank, blocked = len(shape), as_list(sparsity.blockMap)
    nodes, indices = np.zeros(1, int), {}
    for level, metadata in zip(as_list(sparsity.traversalOrder), sparsity.dimMetadata, strict=True):
        if metadata.format == schema.DimensionType.DENSE:
            size = metadata.denseSize
            parents = np.repeat(np.arange(len(nodes)), size)
            found = np.tile(np.arange(size), len(nodes))
            nodes = nodes[parents] * size + found
        else:
            segments = np.array(metadata.arraySegments.values, int)
            counts = segments[nodes + 1] - segments[nodes]
            parents = np.repeat(np.arange(len(nodes)), counts)
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            nodes = segments[nodes][parents] + within
            found = np.array(metadata.arrayIndices.values, int)[nodes]
        indices = {known: each[parents] for known, each in indices.items()} | {level: found}
    sizes = dict(zip(as_list(sparsity.traversalOrder), (metadata.denseSize for metadata in sparsity.dimMetadata)))
    for number, dimension in enumerate(blocked):
        indices[dimension] = indices[dimension] * sizes[rank + number] + indices[rank + number]
    dense = np.zeros(shape, values.dtype)
    dense[tuple(indices[dimension] for dimension in range(rank))] = values[nodes]
    return dense


def as_list(numbers):
    return [] if numbers is None else [int(n) for n in numbers]

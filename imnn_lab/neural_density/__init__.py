"""Conditional densities of a few numbers given a few others, learned from pairs.

`mixture` has the density, evaluated and sampled with NumPy; `training` fits it with TensorFlow.
"""

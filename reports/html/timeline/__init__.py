"""The picture of a run over time: tracks above each other on one axis of time, as a Vega specification.

rows      the data of the tracks, as plain rows
tracks    each track: its scales, axes and marks
spec      the whole specification
legend    what its marks mean
"""

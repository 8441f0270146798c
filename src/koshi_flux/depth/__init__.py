"""How far away things are: what a camera that moves through a picture has to know.

`types` says what a depth model is, `nano.NanoDepth` is the bundled one.
"""

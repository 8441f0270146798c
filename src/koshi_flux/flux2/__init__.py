"""The FLUX.2 family, dev and Klein: all that depends on its weights.

`config` and `folder` import no torch: use them to name, find and check a model before anything heavy is loaded.
`model.load` gives a FluxModel, `tiny.make_tiny_model` a random one that draws noise in milliseconds.
"""

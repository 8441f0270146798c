"""The bundled model: its row of facts, the words it knows, and, beside these files, its weights. Imports no torch.

It is a FLUX.2 in small and loads like one, through `flux2.model.load`.
"""

"""How far away things are: what a camera that moves through a picture has to know.

`choice` finds a depth model by the name that a film gives it: the bundled one (`nano`), those that are published for
transformers (`published`), a plane (`plane`), or a video of depths (`footage`). `align` keeps depths steady from frame
to frame, `stored` writes them to files. Importing the package, naming and checking a model imports no torch.
"""

from koshi_flux.depth.choice import check_depth, is_footage, open_depth

__all__ = ["check_depth", "is_footage", "open_depth"]

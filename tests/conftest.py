"""What holds for all tests: no network, and one thread per process (xdist fills the cores)."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

"""LoRA files made up for tests."""

import json
from collections.abc import Mapping
from pathlib import Path

Shape = tuple[int, ...]

AB = ("lora_A.weight", "lora_B.weight")
DOWN_UP = ("lora_down.weight", "lora_up.weight")


def factors(name: str, reads: int, rows: int, rank: int = 4, ends: tuple[str, str] = AB) -> dict[str, Shape]:
    """The tensors of a LoRA's change of one layer."""
    return {f"{name}.{ends[0]}": (rank, reads), f"{name}.{ends[1]}": (rows, rank)}


def flat(name: str) -> str:
    return name.replace(".", "_")


def write(file: Path, shapes: Mapping[str, Shape], metadata: Mapping[str, str] | None = None) -> Path:
    """A .safetensors file of zeros that takes no place on disk, whatever its shapes."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, shape in shapes.items():
        size = 2
        for side in shape:
            size *= side
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + end)
    return file

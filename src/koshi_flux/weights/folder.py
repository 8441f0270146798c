"""A model as a diffusers folder, of whatever family: its index, what its parts say of themselves. Imports no torch."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from koshi_flux.errors import ModelError
from koshi_flux.shared.spec import FluxSpec
from koshi_flux.weights.files import check_weights, must_exist, read_json, weight_files
from koshi_flux.weights.lora_layers import Target
from koshi_flux.weights.model_files import ModelFiles
from koshi_flux.weights.single_file import part_of


def read_index(folder: ModelFiles, parts: str, download: str) -> Mapping[str, Any]:
    """What a model folder says it is.

    Args:
        parts: what must lie beside model_index.json, in words, for who gave the wrong folder.
        download: the command that makes a folder as it should be.
    """
    if folder.index is not None:
        return folder.index
    if folder.root.is_file():
        raise ModelError(
            f"{folder} is a single file; give it as the model, and what it needs beside it is found, or the folder of "
            f"a model, such as {download} makes"
        )
    if not (folder / "model_index.json").is_file():
        raise ModelError(
            f"{folder} is not a model folder: it has no model_index.json. Give the folder that holds it next to "
            f"{parts}, such as {download} makes"
        )
    return read_json(folder / "model_index.json")


def read_config(folder: ModelFiles, name: str, needed: tuple[str, ...], model: str, half: str = "") -> dict[str, Any]:
    """What a part says of itself, or what its shapes say; it must be all that is `needed` of a part of that `model`.

    Args:
        name: of the part.
        half: the entry about the half in use where a part can do more, such as "text_config" where it also sees.
    """
    part = folder / name
    if part.is_file():
        return part_of(part, name).config()
    must_exist(part / "config.json")
    config = read_json(part / "config.json")
    if isinstance(config.get(half), dict):
        config = {**config[half], **config}
    for key in needed:
        if config.get(key) is None:
            raise ModelError(f"{part / 'config.json'} states no {key}: this is not the {name} of a {model}")
    return config


def target_of(folder: ModelFiles, name: str) -> Target:
    """The layers of a model that LoRAs can change; `name` is what messages call it."""
    return Target.of_config(name, read_config(folder, "transformer", ("_class_name",), name))


def check_parts(folder: ModelFiles, weights: Mapping[str, str]) -> None:
    """Are the weights of all parts whole? `weights` names each part's file, unless an index lists several."""
    for part, single in weights.items():
        for file in [] if (folder / part).is_file() else weight_files(folder / part / single):
            check_weights(file)  # files that hold a part without its folder were checked as their headers were read


def check_tokenizer(part: Path, older: tuple[str, ...] = ()) -> None:
    """Can the tables be read that cut a prompt into tokens? They are tokenizer.json or, in an older form, `older`."""
    is_older = bool(older) and (part / older[0]).is_file() and not (part / "tokenizer.json").is_file()
    for name in ("tokenizer_config.json", *(older if is_older else ("tokenizer.json",))):
        must_exist(part / name)
        if name.endswith(".json"):
            read_json(part / name)


def own_row(folder: ModelFiles, like: FluxSpec, vae: Mapping[str, Any], text_encoder: str, tokenizer: str) -> FluxSpec:
    """The row of a model that nobody published: `like` another, but nothing is claimed that its files do not say.

    Args:
        vae: what its autoencoder says of itself.
        text_encoder: the kind of it, in words.
        tokenizer: the part that says how many tokens of a prompt are read: as many as of `like`, or fewer.
    """
    downscale = 2 ** (len(vae["block_out_channels"]) - 1)
    longest = read_json(folder / tokenizer / "tokenizer_config.json").get("model_max_length")
    read = min(like.text_tokens, longest) if isinstance(longest, int) and longest > 0 else like.text_tokens
    return replace(
        like,
        name=folder.name,
        aliases=(),
        hub_id="",
        licence="",
        channels=vae["latent_channels"],
        downscale=downscale,
        multiple=2 * downscale,
        default_size=(512, 512),
        text_encoder=text_encoder,
        text_tokens=read,
        memory_gb=(0.0, 0.0),
    )

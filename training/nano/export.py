"""Writes the trained parts as a diffusers folder in half precision, with the list of words that nano knows."""

import json
from pathlib import Path
from typing import Annotated

import typer
from diffusers import AutoencoderKLFlux2, FlowMatchEulerDiscreteScheduler, Flux2KleinPipeline

from training.nano.captions import known_words
from training.nano.distil import trained
from training.nano.polish import vae_folder
from training.nano.stage import CONFIG, WORK, ConfigFile, Work, best_device, read_config
from training.nano.text import make_tokenizer, spread
from training.nano.transformer import TransformerConfig, averaged

TARGET = Path("src/koshi_flux/nano")
SHIFT = 2.0
"""How far nano's noise levels are bent towards noise: small pictures need less of it than a Klein's million pixels."""


def main(
    work: Work = WORK,
    config: ConfigFile = CONFIG,
    target: Annotated[Path, typer.Option(help="the folder to write to")] = TARGET,
) -> None:
    """Write the distilled model, or the undistilled one where there is no other, and say so in model_index.json."""
    shape, tokenizer = read_config(TransformerConfig, "transformer", config), make_tokenizer()
    distilled = (work / "distil" / "checkpoint.pt").exists()
    average = trained(work, shape, "distil" if distilled else "transformer")
    painter = averaged(shape, average, tokenizer, best_device("cpu"))
    pipeline = Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
        vae=AutoencoderKLFlux2.from_pretrained(vae_folder(work)).half(),
        text_encoder=spread(painter.reader).half(),
        tokenizer=tokenizer,
        transformer=painter.transformer.half(),
        is_distilled=distilled,
    )
    pipeline.save_pretrained(target)
    words = json.dumps(known_words(), indent=1, ensure_ascii=False)
    (target / "words.json").write_text(words + "\n", encoding="utf-8")
    size = sum(file.stat().st_size for file in target.rglob("*.safetensors"))
    typer.echo(f"{target}: {size / 1e6:.1f} MB of weights, {'distilled' if distilled else 'not distilled'}")


if __name__ == "__main__":
    typer.run(main)

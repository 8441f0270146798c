"""The bundled model's row in the table of models. Imports no torch."""

from pathlib import Path

from koshi_flux.shared.spec import FluxSpec

FOLDER = Path(__file__).parent
"""The model in diffusers' format: transformer/, vae/, text_encoder/ and tokenizer/ lie beside this file."""

NANO = FluxSpec(
    name="nano",
    family="flux2",
    aliases=("koshi-nano",),
    folder=FOLDER,
    licence="Apache-2.0",
    channels=32,
    multiple=16,
    default_size=(256, 256),
    default_steps=4,
    default_denoise=0.45,
    guidance="none",
    text_encoder="Qwen3 (nano)",
    text_tokens=64,
    text_layers=(9, 18, 27),
)

SPECS = {NANO.name: NANO}

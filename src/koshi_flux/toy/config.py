"""The toy model's row in the table of models. Imports no torch."""

from koshi_flux.shared.spec import FluxSpec

TOY = FluxSpec(
    name="toy",
    family="toy",
    licence="Apache-2.0",
    channels=192,
    default_size=(512, 512),
    default_denoise=0.2,
)

SPECS = {TOY.name: TOY}

"""KoshiFlux: a film in one call."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from koshi_flux.pipeline.factory import FluxVersion, check_model, load_model
from koshi_flux.pipeline.place import settle
from koshi_flux.schedule.animation import Animation

if TYPE_CHECKING:
    import torch

    from koshi_flux.shared.types import FluxModel


class KoshiFlux:
    """Makes films with one model, which is loaded when the first film needs it.

        KoshiFlux().animate(prompt="a misty sea at dawn", zoom="0:(1.0), 60:(1.03)", frames=60)

    Args:
        model: a known model (`koshi models` lists them), the folder of one, or a file; by default nano.
        device: by default a CUDA or Apple GPU if there is one.
        dtype: by default bfloat16 on a GPU and float32 on the CPU.
        vae: another autoencoder than the model's own: a file or folder.
        text_encoder: the same for what reads prompts; of two, any, separated by a comma.
        memory: "full", "offload" or "minimal"; "auto" takes the fastest that fits (docs/models.md).
        precision: of the transformer's weights, "bf16", "fp8" ...; "auto" takes the best that fits.
        compile: whether the transformer is compiled when it first draws: slow at first, then faster.
        attention: one of diffusers' attention backends; "auto" takes torch's own.

    Raises:
        ModelError: the model is unknown, or its folder is incomplete.
    """

    def __init__(  # noqa: PLR0913 - two things, and ways to hold them by name
        self,
        model: FluxVersion | str | Path = FluxVersion.NANO,
        device: "str | torch.device | None" = None,
        dtype: "torch.dtype | None" = None,
        *,
        vae: str = "",
        text_encoder: str = "",
        memory: str = "auto",
        precision: str = "auto",
        compile: bool = False,
        attention: str = "auto",
    ):
        self.name = model.value if isinstance(model, FluxVersion) else str(model)
        self._device, self._dtype = device, dtype
        self._memory, self._precision = memory, precision
        self._compile, self._attention = compile, attention
        self._vae, self._text_encoder = vae, text_encoder
        self.spec = check_model(self.name, vae, text_encoder)

    @cached_property
    def model(self) -> "FluxModel":
        """The loaded model."""
        return load_model(
            self.name,
            self._device,
            self._dtype,
            vae=self._vae,
            text_encoder=self._text_encoder,
            memory=self._memory,
            precision=self._precision,
            compile=self._compile,
            attention=self._attention,
        )

    def animate(
        self,
        prompt: str | Mapping[int | str, str],
        *,
        out: str | Path | None = None,
        resume: bool = False,
        **settings: Any,
    ) -> Path:
        """Render a film and return its path; its run folder is `path.parent`, the frames are in `path.parent/"frames"`.

        Args:
            prompt: what to paint: a text, or texts by frame such as {0: "a forest", 60: "a city"}.
            out: the film's file or folder; by default a new folder under runs/.
            resume: go on with the film that was begun at `out`.
            settings: any setting of a film, e.g. zoom="0:(1.02)", frames=60, size=(768, 512) (docs/film-file.md).
        """
        from koshi_flux.pipeline.animation import shoot

        animation = Animation(**{**settings, "prompts": prompt, "model": self.name})
        path = settle(animation, self.spec, out, resume)
        return shoot(animation, self.model, path, resume)

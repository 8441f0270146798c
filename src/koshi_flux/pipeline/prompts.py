"""Reading a film's prompts: each distinct text once, then the text encoder goes."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.parameters import PromptBlend
from koshi_flux.shared.types import Conditioning, Control, FluxModel, Latent


@dataclass(frozen=True, slots=True)
class Conditionings:
    """What the text encoder made of every text of a film."""

    by_text: dict[str, Conditioning]
    references: tuple[Latent, ...] = ()
    controls: tuple[Control, ...] = ()

    def blend(self, blend: PromptBlend) -> Conditioning:
        """The weighted sum of the texts' embeddings, with the pictures to look at."""
        return replace(self._mixed(blend), references=self.references, controls=self.controls)

    def _mixed(self, blend: PromptBlend) -> Conditioning:
        if len(blend) == 1:
            return self.by_text[blend[0][0]]
        parts = [self.by_text[text] for text, _ in blend]
        weights = torch.tensor([weight for _, weight in blend])
        pooled = [part.pooled for part in parts if part.pooled is not None]
        return Conditioning(
            _weighted_sum(weights, [part.tokens for part in parts]), _weighted_sum(weights, pooled) if pooled else None
        )


def _weighted_sum(weights: Float[Tensor, " parts"], tensors: list[Tensor]) -> Tensor:
    stacked = torch.stack(tensors)
    return torch.tensordot(weights.to(stacked), stacked, dims=1)


def read_prompts(animation: Animation, model: FluxModel) -> Conditionings:
    """Encode the film's texts, negatives only where the model can use them, and free the text encoder."""
    positive, negative = animation.texts()
    texts = positive | negative if model.spec.guidance == "true" else positive
    by_text = {text: model.encode_prompt(text) for text in sorted(texts)}
    model.release_text_encoder()
    return Conditionings(by_text)

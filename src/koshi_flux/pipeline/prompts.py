"""Reading a film's prompts: each distinct text once, then the text encoder goes."""

from dataclasses import dataclass, replace

from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.blend import mixed
from koshi_flux.shared.parameters import PromptBlend
from koshi_flux.shared.types import Conditioning, Control, FluxModel, Impression, Latent


@dataclass(frozen=True, slots=True)
class Conditionings:
    """What the text encoder made of every text of a film.

    Args:
        by_text: of each.
        how: texts are blended: "linear" or "slerp".
        references, controls, adapters: what frames are drawn by beside the texts.
    """

    by_text: dict[str, Conditioning]
    how: str = "linear"
    references: tuple[Latent, ...] = ()
    controls: tuple[Control, ...] = ()
    adapters: tuple[Impression, ...] = ()

    def blend(self, blend: PromptBlend) -> Conditioning:
        """The texts' embeddings, mixed by their weights, with the pictures to look at."""
        return replace(self._mixed(blend), references=self.references, controls=self.controls, adapters=self.adapters)

    def _mixed(self, blend: PromptBlend) -> Conditioning:
        parts = [(self.by_text[text], weight) for text, weight in blend]
        pooled = [(part.pooled, weight) for part, weight in parts if part.pooled is not None]
        tokens = mixed([(part.tokens, weight) for part, weight in parts], self.how)
        return Conditioning(tokens, mixed(pooled, self.how) if pooled else None)


def read_prompts(animation: Animation, model: FluxModel) -> Conditionings:
    """Encode the film's texts, negatives only where the model can use them, and free the text encoder."""
    positive, negative = animation.texts()
    texts = positive | negative if model.spec.guidance == "true" else positive
    by_text = {text: model.encode_prompt(text) for text in sorted(texts)}
    model.release_text_encoder()
    return Conditionings(by_text, animation.embedding_blend)

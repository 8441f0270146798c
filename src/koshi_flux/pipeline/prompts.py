"""Reading a film's prompts: each distinct text once, then the text encoder goes."""

from dataclasses import dataclass

from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.parameters import PromptBlend
from koshi_flux.shared.types import Conditioning, FluxModel


@dataclass(frozen=True, slots=True)
class Conditionings:
    """What the text encoder made of every text of a film."""

    by_text: dict[str, Conditioning]

    def blend(self, blend: PromptBlend) -> Conditioning | None:
        """The weighted sum of the texts' embeddings; None when the film never reads one of them."""
        if any(text not in self.by_text for text, _ in blend):
            return None
        if len(blend) == 1:
            return self.by_text[blend[0][0]]
        tokens = sum(weight * self.by_text[text].tokens for text, weight in blend)
        if self.by_text[blend[0][0]].pooled is None:
            return Conditioning(tokens)
        return Conditioning(tokens, sum(weight * self.by_text[text].pooled for text, weight in blend))


def read_prompts(animation: Animation, model: FluxModel) -> Conditionings:
    """Encode the film's texts, negatives only where the model can use them, and free the text encoder."""
    positive, negative = animation.texts()
    texts = positive | negative if model.spec.guidance == "true" else positive
    by_text = {text: model.encode_prompt(text) for text in sorted(texts)}
    model.release_text_encoder()
    return Conditionings(by_text)

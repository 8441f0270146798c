"""Trains nano's transformer and text encoder on latents: rectified flow, from noise to a scene that was asked for.

The first part of the time is spent on halved latents, whose tokens are placed at the centres of the 2 x 2 they stand
for: the composition of a scene is learned on a quarter of the tokens. Some latents are blurred first, with the true one
as the target, so that the model sharpens what a film's many resamplings have softened.

Source: Liu et al. 2022, arXiv:2209.03003 (rectified flow); Esser et al. 2024, arXiv:2403.03206 (logit-normal times).
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import typer
from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel
from torch import Tensor, nn
from torch.nn.functional import (
    avg_pool2d,
    binary_cross_entropy_with_logits,
    pixel_shuffle,
    pixel_unshuffle,
)
from transformers import Qwen2TokenizerFast, Qwen3ForCausalLM

from koshi_flux.flux2.latents import LatentStatistics
from training.nano.captions import CONCEPTS, asked_for
from training.nano.latents import Latents, read_latents
from training.nano.muon import optimisers_for
from training.nano.polish import vae_folder
from training.nano.sheet import write_sheet
from training.nano.stage import (
    CONFIG,
    WORK,
    Average,
    ConfigFile,
    Device,
    Training,
    TrainingConfig,
    Work,
    best_device,
    leads,
    learn,
    processes,
    read_config,
)
from training.nano.text import cut, make_text_encoder, make_tokenizer, read

SHOWN = (
    "mountains at sunset",
    "a misty lake at dawn",
    "the ocean at night, clear sky",
    "a forest, snow, day",
    "a meadow at noon, red",
    "a city at night",
    "an orange canyon at sunset",
    "sand dunes at midday, clear sky",
    "tropical islands, daylight",
    "a purple nebula",
    "a stormy sea, day",
    "oil painting of mountains at dawn, clouds",
    "watercolor of a lake at sunset",
    "pixel art, islands, day",
    "ink drawing of a forest, mist, day",
    "neon city at dusk",
)
"""Prompts of the sample sheet."""


class TransformerConfig(TrainingConfig):
    """How to train the transformer.

    Args:
        heads: of attention, 32 wide each.
        double: blocks that keep text and picture apart.
        single: blocks that join them.
        text_width: of the text encoder.
        halved_until: share of the time spent on halved latents.
        halved_share: of the steps after that, so that a scene's composition is seen more often than its detail.
        halved_batch: their batch.
        listening: weight of the loss of what picture tokens have understood of the prompt.
        blurred: share of latents that are blurred first.
        unasked: share of captions left empty.
        shift: of the noise levels, towards noise.
        sheet_every: steps between sample sheets.
    """

    heads: int
    double: int
    single: int
    text_width: int
    halved_until: float
    halved_share: float
    halved_batch: int
    listening: float
    blurred: float
    unasked: float
    shift: float
    sheet_every: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step learns from.

    Args:
        tokens: (b, n, 128) latents as the transformer reads them.
        ids: (n, 4) where each token sits.
        text: (b, l) token ids of the captions.
        blurred: (b, n, 128) the latents as they would be after some wear; most are unharmed.
        concepts: (b, CONCEPTS) 1 for what the caption asks for, else 0.
    """

    tokens: Tensor
    ids: Tensor
    text: Tensor
    blurred: Tensor
    concepts: Tensor


class Painter(nn.Module):
    """Text encoder and transformer as one module to train."""

    def __init__(self, config: TransformerConfig, vocabulary: int, padding: int):
        super().__init__()
        self.padding = padding
        self.reader: Qwen3ForCausalLM = make_text_encoder(vocabulary, config.text_width)
        self.transformer = Flux2Transformer2DModel(
            in_channels=128,
            num_layers=config.double,
            num_single_layers=config.single,
            attention_head_dim=32,
            num_attention_heads=config.heads,
            joint_attention_dim=3 * config.text_width,
            axes_dims_rope=(8, 8, 8, 8),
            timestep_guidance_channels=128,
            guidance_embeds=False,
        )

    def forward(self, tokens: Tensor, sigma: Tensor, text: Tensor, ids: Tensor) -> Tensor:
        """Velocity (b, n, 128) at noisy tokens (b, n, 128) and noise levels (b,)."""
        words = read(self.reader, text, self.padding)
        places = torch.zeros(text.shape[1], 4, device=tokens.device)
        places[:, 3] = torch.arange(text.shape[1])
        return self.transformer(
            hidden_states=tokens,
            timestep=sigma,
            encoder_hidden_states=words,
            img_ids=ids,
            txt_ids=places,
            return_dict=False,
        )[0]


class Listener(nn.Module):
    """Asks every picture token, where text and picture meet for the last time apart, what the prompt has asked for.

    In the loss of the velocity words count for little, as most of a noisy picture can be guessed from itself; this
    makes picture tokens read them from the start. It is not kept.
    """

    def __init__(self, painter: Painter):
        super().__init__()
        width = painter.transformer.inner_dim
        self.answer = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, CONCEPTS))
        self.heard = torch.empty(0)
        painter.transformer.transformer_blocks[-1].register_forward_hook(self._listen)

    def _listen(self, _block: nn.Module, _inputs: object, states: tuple[Tensor, Tensor]) -> None:
        self.heard = states[1]

    def forward(self, concepts: Tensor) -> Tensor:
        """How wrong the answers are after the painter's last pass; `concepts` is (b, CONCEPTS)."""
        answers = self.answer(self.heard)
        return binary_cross_entropy_with_logits(answers, concepts[:, None].expand_as(answers))


class Feed:
    """Random batches of latents with their captions."""

    def __init__(self, groups: list[Latents], tokenizer: Qwen2TokenizerFast, config: TransformerConfig):
        self.groups, self.config = groups, config
        self.texts = [cut(tokenizer, group.captions) for group in groups]
        self.concepts = [_concepts(group.captions) for group in groups]
        self.nothing = cut(tokenizer, [""])[0]
        self.shares = torch.tensor([float(group.values[0, 0].numel() * len(group.captions)) for group in groups])

        self.halvable = torch.tensor([all(side % 4 == 0 for side in group.values.shape[2:]) for group in groups])

    def batch(self, halved: bool, place: torch.device) -> Batch:
        """Latents of one size, mirrored at random, with padding of random length."""
        number = int(torch.multinomial(self.shares * self.halvable if halved else self.shares, 1))
        group, texts = self.groups[number], self.texts[number]
        count = (self.config.halved_batch if halved else self.config.batch) // processes()
        chosen = torch.randint(len(group.captions), (count,))
        latent, text = group.values[chosen].float(), texts[chosen].clone()
        if torch.rand(()) < 0.5:
            latent = latent.flip(3)
        if halved:
            latent = avg_pool2d(latent, 2)
        concepts = self.concepts[number][chosen].clone()
        silent = torch.rand(count) < self.config.unasked
        text[silent], concepts[silent] = self.nothing, 0.0
        length = (24, 24, 24, 64)[int(torch.randint(4, ()))]
        soft = avg_pool2d(latent, 3, 1, 1, count_include_pad=False)
        wear = 0.7 * torch.rand(count, 1, 1, 1) * (torch.rand(count, 1, 1, 1) < self.config.blurred)
        blurred = torch.lerp(latent, soft, wear)
        spacing = 2 if halved else 1
        return Batch(
            _tokens(latent).to(place),
            token_places(latent.shape[2] // 2, latent.shape[3] // 2, spacing).to(place),
            text[:, :length].to(place),
            _tokens(blurred).to(place),
            concepts.to(place),
        )


def _concepts(captions: list[str]) -> Tensor:
    """What each caption asks for, (n, CONCEPTS)."""
    asked = torch.zeros(len(captions), CONCEPTS)
    for row, text in zip(asked, captions, strict=True):
        row[list(asked_for(text))] = 1
    return asked


def _tokens(latents: Tensor) -> Tensor:
    """Latents (b, 32, h, w) as tokens (b, n, 128)."""
    return pixel_unshuffle(latents, 2).flatten(2).transpose(1, 2)


def token_places(rows: int, columns: int, spacing: int = 1) -> Tensor:
    """Where tokens sit, (n, 4); halved ones at the centres of those they stand for."""
    down, across = (torch.arange(side) * spacing + (spacing - 1) / 2 for side in (rows, columns))
    zero = torch.zeros(1)
    return torch.cartesian_prod(zero, down, across, zero)


def shifted(level: Tensor, shift: float) -> Tensor:
    """Noise levels bent towards noise."""
    return shift * level / (1 + (shift - 1) * level)


def flow_loss(model: Painter, batch: Batch, shift: float, weights: Tensor | float = 1.0) -> Tensor:
    """How wrong the velocity is, at logit-normal noise levels.

    A blurred latent is only used where there is noise enough to hide the blur: its velocity points at the true one.

    Args:
        model: whose velocity it is.
        batch: what it learns from.
        shift: of the noise levels.
        weights: (128,) how much each token channel counts.
    """
    sigma = shifted(torch.sigmoid(torch.randn(len(batch.tokens), 1, 1)), shift).to(batch.tokens.device)
    noise = torch.randn_like(batch.tokens)
    start = torch.where(sigma > 0.3, batch.blurred, batch.tokens)
    noisy = (1 - sigma) * start + sigma * noise
    wanted = noise - batch.tokens + (1 - sigma) / sigma * (start - batch.tokens)
    return (weights * (model(noisy, sigma[:, 0, 0], batch.text, batch.ids) - wanted).square()).mean()


def channel_weights(work: Path) -> Tensor:
    """How much each of the 128 token channels counts, 1 on the average: as much as it moves in the autoencoder.

    Normalised they all have the same variance, but what the autoencoder hardly uses hardly shows in a picture.
    """
    vae = AutoencoderKLFlux2.from_pretrained(vae_folder(work))
    deviation = LatentStatistics.of(vae.bn, torch.device("cpu")).deviation.flatten()
    return deviation / deviation.mean()


def main(work: Work = WORK, config: ConfigFile = CONFIG, device: Device = "") -> None:
    """Train; the averaged weights are in the checkpoint of <work>/transformer."""
    settings, place = read_config(TransformerConfig, "transformer", config), best_device(device)
    torch.manual_seed(1)
    tokenizer = make_tokenizer()
    feed = Feed(read_latents(work), tokenizer, settings)
    model = Painter(settings, len(tokenizer), tokenizer.pad_token_id).to(place)
    listener = Listener(model).to(place)
    average = Average(model)
    optimisers = [*make_optimisers(model), torch.optim.AdamW(listener.parameters())]
    parts = {"model": model, "average": average, "listener": listener}
    parts |= {f"optimiser{n}": each for n, each in enumerate(optimisers)}
    training = Training(work / "transformer", settings, parts)
    weights, running, heard = channel_weights(work).to(place), 0.0, 0.0
    for step in training.run():
        halved = training.progress < settings.halved_until or torch.rand(()) < settings.halved_share
        batch = feed.batch(bool(halved), place)
        flow = flow_loss(model, batch, settings.shift, weights)
        listening = listener(batch.concepts)
        learn(nn.ModuleList([model, listener]), flow + settings.listening * listening, optimisers, training.rate)
        average.follow(model)
        running = flow.item() if not running else 0.97 * running + 0.03 * flow.item()
        heard = listening.item() if not heard else 0.97 * heard + 0.03 * listening.item()
        if step % 50 == 49:
            training.log(loss=running, listening=heard)
        if step % settings.sheet_every == settings.sheet_every - 1 and leads():
            painter = averaged(settings, average, tokenizer, place)
            write_sheet(sample(painter, tokenizer, SHOWN, work, 8), training.folder / f"sheet-{step + 1:05d}.png")


def make_optimisers(model: Painter) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the transformer's blocks."""
    return optimisers_for(model, lambda name: "transformer_blocks" in name)


def averaged(
    config: TransformerConfig, average: Average, tokenizer: Qwen2TokenizerFast, place: torch.device
) -> Painter:
    """The model with its averaged weights."""
    model = Painter(config, len(tokenizer), tokenizer.pad_token_id).to(place).eval()
    model.load_state_dict(average.weights)
    return model


@torch.no_grad()
def sample(
    model: Painter, tokenizer: Qwen2TokenizerFast, prompts: tuple[str, ...], work: Path, steps: int, shift: float = 2.0
) -> Tensor:
    """Pictures of some prompts, (b, 3, 256, 256), from the same noise at every call."""
    place = next(model.parameters()).device
    vae = AutoencoderKLFlux2.from_pretrained(vae_folder(work)).eval().to(place)
    text, ids = cut(tokenizer, list(prompts)).to(place), token_places(16, 16).to(place)
    x = torch.randn(len(prompts), 256, 128, generator=torch.Generator().manual_seed(0)).to(place)
    levels = shifted(torch.linspace(1, 0, steps + 1), shift)
    for level, following in pairwise(levels):
        x = x + (following - level) * model(x, level.expand(len(x)).to(place), text, ids)
    statistics = LatentStatistics.of(vae.bn, place)
    latents = pixel_shuffle(x.transpose(1, 2).reshape(-1, 128, 16, 16), 2)
    return torch.cat([vae.decode(statistics.denormalise(latent)[None]).sample / 2 + 0.5 for latent in latents]).clamp(
        0, 1
    )


if __name__ == "__main__":
    typer.run(main)

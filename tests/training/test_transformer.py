"""The transformer's training: tokens in their places, words that arrive, a loss that falls, a folder that opens."""

import random

import pytest
import torch
from diffusers import Flux2KleinPipeline
from transformers import Qwen2TokenizerFast

from koshi_flux.flux2.latents import image_ids, pack
from training.nano.autoencoder import AutoencoderConfig, build
from training.nano.captions import caption, draw, known_words
from training.nano.distil import DistilConfig, guided_loss
from training.nano.latents import Latents
from training.nano.stage import learn
from training.nano.text import LAYERS, cut, make_text_encoder, make_tokenizer, read, spread
from training.nano.transformer import (
    Batch,
    Feed,
    Listener,
    Painter,
    TransformerConfig,
    _tokens,
    flow_loss,
    make_optimisers,
    shifted,
    token_places,
)

CONFIG = TransformerConfig(
    steps=10,
    minutes=1,
    batch=4,
    rate=1e-3,
    heads=1,
    double=1,
    single=1,
    text_width=8,
    halved_until=0.5,
    halved_share=0.5,
    halved_batch=8,
    listening=0.5,
    blurred=0.5,
    unasked=0.1,
    shift=2.0,
    sheet_every=100,
)


@pytest.fixture(scope="module")
def tokenizer() -> Qwen2TokenizerFast:
    return make_tokenizer(2000)


@pytest.fixture
def painter(tokenizer) -> Painter:
    torch.manual_seed(0)
    return Painter(CONFIG, len(tokenizer), tokenizer.pad_token_id)


def feed(tokenizer, *sizes: tuple[int, int]) -> Feed:
    rng = random.Random(0)
    torch.manual_seed(0)
    groups = [
        Latents(torch.randn(6, 32, height, width).half(), [caption(draw(rng), rng) for _ in range(6)])
        for height, width in sizes
    ]
    return Feed(groups, tokenizer, CONFIG)


def test_every_known_word_is_one_token(tokenizer):
    for group in known_words().values():
        for word in group:
            if word.isalpha():
                assert len(tokenizer.tokenize(f" {word}")) == 1, word


def test_a_prompt_is_cut_the_same_in_any_case_and_padded(tokenizer):
    upper, lower = cut(tokenizer, ["A Misty SEA", "a misty sea"])
    assert torch.equal(upper, lower)
    assert upper.shape == (64,)
    assert upper[-1] == tokenizer.pad_token_id


def test_unknown_words_fall_into_pieces_and_back(tokenizer):
    ids = cut(tokenizer, ["ein drache 龍"])[0]
    assert "drache 龍" in tokenizer.decode(ids, skip_special_tokens=True)


def test_a_saved_tokenizer_cuts_as_before(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    again = Qwen2TokenizerFast.from_pretrained(tmp_path)
    texts = ["oil painting of a city, 8-bit art", "", "snow"]
    assert torch.equal(cut(tokenizer, texts), cut(again, texts))


def test_the_deep_encoder_reads_as_the_trained_layers_do(tokenizer):
    torch.manual_seed(0)
    small = make_text_encoder(len(tokenizer), 16)
    for layer in small.model.layers:
        torch.nn.init.normal_(layer.self_attn.o_proj.weight)
        torch.nn.init.normal_(layer.mlp.down_proj.weight)
    ids = cut(tokenizer, ["a lake at dawn", "night"])
    with torch.no_grad():
        mask = (ids != tokenizer.pad_token_id).long()
        states = spread(small).model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        deep = torch.cat([states[layer] for layer in LAYERS], -1)
        assert torch.allclose(read(small, ids, tokenizer.pad_token_id), deep, atol=1e-5)


def test_tokens_and_their_places_are_those_of_the_product():
    latent = torch.randn(32, 6, 10)
    assert torch.equal(_tokens(latent[None])[0], pack(latent))
    assert torch.equal(token_places(3, 5), image_ids(6, 10, torch.device("cpu")).float())


def test_a_halved_token_sits_in_the_middle_of_the_four_it_stands_for():
    whole, halved = token_places(4, 4), token_places(2, 2, spacing=2)
    assert torch.equal(halved[0], whole[[0, 1, 4, 5]].mean(0))
    assert torch.equal(halved[3], whole[[10, 11, 14, 15]].mean(0))


def test_batches_have_one_size_and_fit_their_captions(tokenizer):
    source = feed(tokenizer, (32, 32), (24, 42))
    sizes = set()
    for _ in range(30):
        batch = source.batch(False, torch.device("cpu"))
        sizes.add(batch.tokens.shape[1])
        assert batch.tokens.shape == batch.blurred.shape == (4, len(batch.ids), 128)
        assert batch.text.shape[1] in (24, 64)
        assert (batch.concepts.sum(1) > 0).any()
    assert sizes == {256, 252}


def test_halved_batches_are_a_quarter_as_long_and_larger(tokenizer):
    batch = feed(tokenizer, (32, 32)).batch(True, torch.device("cpu"))
    assert batch.tokens.shape == (8, 64, 128)


def test_shift_leaves_the_ends_and_bends_the_middle():
    assert torch.allclose(shifted(torch.tensor([0.0, 0.5, 1.0]), 2.0), torch.tensor([0.0, 2 / 3, 1.0]))


def test_the_loss_of_the_true_velocity_is_zero():
    """A model that knows the answer: x = (1 - s) z + s n, so (x - z) / s = n - z, for blurred starts too."""
    truth = torch.randn(4, 9, 128)
    worn = truth + 0.1 * torch.randn(4, 9, 128)
    batch = Batch(truth, token_places(3, 3), torch.zeros(4, 8, dtype=torch.long), worn, torch.zeros(4, 1))

    def knows(noisy, sigma, text, ids):
        return (noisy - truth) / sigma[:, None, None]

    assert flow_loss(knows, batch, 2.0) < 1e-6


def test_what_is_painted_depends_on_the_words(tokenizer, painter):
    for parameter in painter.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    texts = cut(tokenizer, ["mountains at dawn", "the ocean at night"])
    noise = torch.randn(1, 9, 128).expand(2, -1, -1)
    with torch.no_grad():
        first, second = painter(noise, torch.full((2,), 0.9), texts, token_places(3, 3))
    assert (first - second).abs().max() > 1e-3


def test_listening_makes_picture_tokens_know_what_was_asked_for(tokenizer, painter):
    listener = Listener(painter)
    source = feed(tokenizer, (8, 8))
    batch = source.batch(False, torch.device("cpu"))
    optimiser, losses = torch.optim.AdamW([*painter.parameters(), *listener.parameters()], lr=1e-2), []
    for _ in range(60):
        painter(torch.randn_like(batch.tokens), torch.ones(4), batch.text, batch.ids)
        loss = listener(batch.concepts)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    painter(torch.randn_like(batch.tokens), torch.ones(4), batch.text, batch.ids)
    assert losses[-1] < 0.3 * losses[0]
    assert listener(batch.concepts) < 0.3 * listener(batch.concepts.flip(0))


def test_training_lowers_the_loss(tokenizer, painter):
    source, optimisers = feed(tokenizer, (8, 8)), make_optimisers(painter)
    batch = source.batch(False, torch.device("cpu"))
    losses = []
    for _ in range(60):
        torch.manual_seed(3)
        loss = flow_loss(painter, batch, 2.0)
        learn(painter, loss, optimisers, 3e-3)
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_a_student_of_an_unguided_teacher_has_nothing_to_learn(tokenizer, painter):
    batch = feed(tokenizer, (8, 8)).batch(False, torch.device("cpu"))
    nothing = cut(tokenizer, [""])[0]
    settings = DistilConfig(steps=1, minutes=1, batch=1, rate=1, guidance=1.0, flow=0.0)
    assert guided_loss(painter, painter, batch, nothing, 2.0, settings) < 1e-10
    away = settings.model_copy(update={"guidance": 3.0})
    for parameter in painter.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    assert guided_loss(painter, painter, batch, nothing, 2.0, away) > 1e-6


def test_the_parts_make_a_pipeline_that_opens(tokenizer, painter, tmp_path):
    from diffusers import FlowMatchEulerDiscreteScheduler

    vae = build(
        AutoencoderConfig(
            steps=1,
            minutes=1,
            batch=1,
            rate=1,
            channels=(8, 8, 8, 8),
            groups=4,
            crop=64,
            gaussian=0,
            echoes=0,
            halved=0,
            cycle=0,
        )
    )
    Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=2.0),
        vae=vae,
        text_encoder=spread(painter.reader),
        tokenizer=tokenizer,
        transformer=painter.transformer,
        is_distilled=True,
    ).save_pretrained(tmp_path / "nano")
    pipeline = Flux2KleinPipeline.from_pretrained(tmp_path / "nano")
    pipeline.set_progress_bar_config(disable=True)
    picture = pipeline(prompt="a lake", height=32, width=48, num_inference_steps=2, max_sequence_length=64).images[0]
    assert picture.size == (48, 32)

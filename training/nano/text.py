"""nano's text side before training: a vocabulary made of the captions, and a Qwen3 that first only passes words on."""

import random
from tempfile import TemporaryDirectory

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import Qwen2TokenizerFast, Qwen3Config, Qwen3ForCausalLM

from training.nano.captions import caption, draw, known_words

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = "{% for message in messages %}<|im_start|> {{ message.content | lower }}<|im_end|>{% endfor %}"
LAYERS = (9, 18, 27)
"""The hidden states that a Klein's transformer reads."""
READING = (0, 1, 9, 18)
"""Where in the 28 layers the trained ones lie: two before the first state that is read, one before each other."""
TEXT_TOKENS = 64
"""Prompts are padded to so many tokens."""


def make_tokenizer(captions: int = 20_000) -> Qwen2TokenizerFast:
    """One token for each word of the captions; other words in any language fall apart into bytes.

    It is saved and read again, because a Qwen2 tokenizer that is read from a folder cuts by Qwen2's own rules.
    """
    rng = random.Random(0)
    texts = [caption(draw(rng), rng) for _ in range(captions)]
    texts += [f" {word}" for words in known_words().values() for word in words]
    cutter = Tokenizer(models.BPE())
    cutter.normalizer = normalizers.Lowercase()
    cutter.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    cutter.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4096,
        min_frequency=1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[AddedToken(name, special=True, normalized=False) for name in SPECIAL_TOKENS],
        show_progress=False,
    )
    cutter.train_from_iterator(texts, trainer)
    tokenizer = Qwen2TokenizerFast(
        tokenizer_object=cutter,
        unk_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        model_max_length=TEXT_TOKENS,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    with TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        return Qwen2TokenizerFast.from_pretrained(folder)


def make_text_encoder(vocabulary: int, width: int, layers: int = len(READING)) -> Qwen3ForCausalLM:
    """A narrow Qwen3 whose layers add nothing yet, so that words reach the transformer from the first step on."""
    encoder = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=vocabulary,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=width // 2,
            max_position_embeddings=512,
            tie_word_embeddings=True,
        )
    )
    torch.nn.init.normal_(encoder.model.embed_tokens.weight, std=1.0)
    for layer in encoder.model.layers:
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
        torch.nn.init.zeros_(layer.mlp.down_proj.weight)
    return encoder


def spread(small: Qwen3ForCausalLM) -> Qwen3ForCausalLM:
    """The trained layers in their places in a Qwen3 as deep as a Klein needs; the layers between add nothing."""
    config = small.config
    deep = make_text_encoder(config.vocab_size, config.hidden_size, LAYERS[-1] + 1)
    deep.model.embed_tokens.load_state_dict(small.model.embed_tokens.state_dict())
    for place, layer in zip(READING, small.model.layers, strict=True):
        deep.model.layers[place].load_state_dict(layer.state_dict())
    return deep


def cut(tokenizer: Qwen2TokenizerFast, texts: list[str]) -> torch.Tensor:
    """Token ids of some prompts, (n, 64), padded just as Flux2KleinPipeline pads."""
    turns = [[{"role": "user", "content": text}] for text in texts]
    full = [tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True) for turn in turns]
    return tokenizer(full, return_tensors="pt", padding="max_length", truncation=True, max_length=TEXT_TOKENS).input_ids


def read(small: Qwen3ForCausalLM, ids: torch.Tensor, padding: int) -> torch.Tensor:
    """Embeddings (n, l, 3 * width) of token ids: what `spread(small)` gives as its states 9, 18 and 27."""
    trunk, states = small.model, []
    handles = [layer.register_forward_hook(lambda _, __, state: states.append(state)) for layer in trunk.layers]
    trunk(input_ids=ids, attention_mask=(ids != padding).long(), use_cache=False)
    for handle in handles:
        handle.remove()
    return torch.cat(states[1:], dim=-1)

"""A model's row in words, for `koshi models` and `koshi doctor`. Imports no torch."""

from koshi_flux.shared.spec import FluxSpec

GUIDANCE = {"true": "{:g}, negative prompts work", "embedded": "{:g}, no negative prompts", "none": "ignored"}


def facts(spec: FluxSpec) -> dict[str, str]:
    """What there is to say about a model, by what it is called on screen."""
    weights = "+".join(f"{size:g}" for size in spec.memory_gb if size)
    width, height = spec.default_size
    return {
        "model": spec.name,
        "licence": spec.licence or "-",
        "text encoder": spec.text_encoder or "-",
        "reads": f"{spec.text_tokens} tokens of a prompt" if spec.text_encoder else "any prompt",
        "weights": str(spec.folder) if spec.is_bundled else spec.hub_id or "-",
        "weights in bf16": f"{weights} GB" if weights else "bundled" if spec.is_bundled else "-",
        "size": f"{width}x{height}, multiples of {spec.multiple}",
        "steps": str(spec.default_steps),
        "denoise": f"{spec.default_denoise:g}",
        "guidance": GUIDANCE[spec.guidance].format(spec.default_guidance),
        "also called": ", ".join(spec.aliases) or "-",
    }

"""The words that Deforum's choices are made with, and ours for them. Small letters; no word is "none"."""

_FLOWS = {
    **{"none": "none", "false": "none", "true": "dis-fine"},  # old files have yes or no
    **{"raft": "raft", "dis medium": "dis", "dis fine": "dis-fine", "farneback": "farneback"},
    **dict.fromkeys(("denserlof", "sf", "dualtvl1", "deepflow", "pcaflow"), "dis"),
}
_COLORS = {
    **{"none": "none", "false": "none"},
    **dict.fromkeys(("hsv", "lab", "rgb", "video input", "image"), "lab"),
    **dict.fromkeys(("match frame 0 hsv", "match frame 0 lab", "match frame 0 rgb"), "lab"),
}

CHOICES: dict[str, dict[str, str]] = {
    "animation_mode": {
        **{"2d": "2d", "3d": "3d", "video input": "video", "interpolation": "interpolation"},
        **{"none": "2d", "wan video": "3d"},
    },
    "border": {"replicate": "replicate", "wrap": "wrap"},
    "padding_mode": {"border": "replicate", "reflection": "reflect", "zeros": "replicate"},
    "sampling_mode": {"bicubic": "spline", "bilinear": "bilinear", "nearest": "bilinear"},
    "seed_behavior": {name: name for name in ("iter", "fixed", "random", "ladder", "alternate", "schedule")},
    "color_coherence": _COLORS,
    "depth_algorithm": {
        **dict.fromkeys(("midas-3-hybrid", "midas-3.1-beitlarge", "midas+adabins (old)"), "midas"),
        **dict.fromkeys(("zoe", "zoe+adabins (old)", "adabins", "leres"), "depth-anything"),
        **dict.fromkeys(
            ("depth-anything-v2-small", "depth-anything-v2-base", "depth-anything-v2-large"), "anything-v2"
        ),
        "none": "midas",
    },
    "optical_flow_cadence": _FLOWS,
    "hybrid_flow_method": {word: flow for word, flow in _FLOWS.items() if flow != "none"} | {"none": "dis"},
    "hybrid_motion": {"none": "none", "optical flow": "flow", "perspective": "perspective", "affine": "affine"},
    "hybrid_composite": {
        **{"none": "none", "false": "none", "true": "normal", "normal": "normal"},
        **{"before motion": "before-motion", "after generation": "after-generation"},
    },
    "hybrid_comp_mask_type": {
        **{"none": "none", "depth": "depth", "video depth": "video-depth"},
        **{"blend": "blend", "difference": "difference"},
    },
    "hybrid_comp_mask_equalize": {
        **{"none": "none", "false": "none", "true": "both"},
        **{"before": "before", "after": "after", "both": "both"},
    },
    "keyframe_distribution": {
        **{"off": "uniform", "none": "uniform", "keyframes only": "prompts"},
        **{"additive": "additive", "redistributed": "redistributed"},
    },
    "fill": {
        **{"0": "fill", "1": "original", "2": "latent noise", "3": "latent nothing"},
        **{name: name for name in ("fill", "original", "latent noise", "latent nothing")},
    },
    "shake_name": {
        "none": "none",
        **dict.fromkeys(("investigation", "the closeup", "the wedding", "the zeek"), "handheld"),
        **dict.fromkeys(("walk to the store", "handycam run"), "walk"),
        **dict.fromkeys(("out car window", "bike on gravel", "spaceship shake"), "vehicle"),
    },
}
"""By key: what each of its words is called here."""

DISTANCES = {"midas": (1.0, 2.0), "depth-anything": (1.0, 2.0), "anything-v2": (1.3, 2.3)}
"""Where Deforum puts the nearest and the farthest of a picture, in depth units, by its depth algorithm."""

NETWORKS = {"midas": "midas", "depth-anything": "depth-anything", "anything-v2": "depth-anything"}
"""The depth model of ours that is the same, or that stands nearest."""

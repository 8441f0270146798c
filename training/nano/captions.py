"""What a scene can be, and how people would ask for it: attributes, and sentences with synonyms in free order."""

import random
import re
from dataclasses import dataclass

SCENES = ("mountains", "ocean", "lake", "desert", "forest", "meadow", "canyon", "city", "islands", "space")
TIMES = ("dawn", "day", "sunset", "night")
WEATHERS = ("clear", "cloudy", "misty", "stormy", "snowy")
MOODS = ("", "warm", "cold", "pastel", "neon", "monochrome")
STYLES = ("", "oil", "watercolor", "ink", "pixel")

COLORS: dict[str, tuple[str, ...]] = {
    "space": ("purple", "blue", "red", "green", "orange", "pink", "turquoise"),
    "meadow": ("red", "yellow", "purple", "white", "pink", "blue"),
    "forest": ("green", "green", "green", "red", "orange", "yellow"),
    "desert": ("yellow", "yellow", "red", "white"),
    "canyon": ("red", "orange", "yellow"),
}
"""Scenes that have a named colour, and the ones they come in."""

ARTICLES = ("a", "an", "the")

SCENE_NAMES: dict[str, tuple[str, ...]] = {
    "mountains": ("mountains", "a mountain range", "peaks", "the alps"),
    "ocean": ("the ocean", "the sea", "a sea", "ocean waves"),
    "lake": ("a lake", "a calm lake", "a lake between hills", "still water"),
    "desert": ("a desert", "sand dunes", "dunes", "the sahara"),
    "forest": ("a forest", "the woods", "a pine forest", "fir trees"),
    "meadow": ("a meadow", "a flower field", "a field of flowers", "grassland"),
    "canyon": ("a canyon", "a gorge", "rocky cliffs", "a rocky valley"),
    "city": ("a city", "a skyline", "skyscrapers", "a city skyline"),
    "islands": ("islands", "tropical islands", "an island", "palm trees on islands"),
    "space": ("space", "outer space", "a planet in space", "a nebula", "the cosmos", "a galaxy with a planet"),
}

TIME_NAMES: dict[str, tuple[str, ...]] = {
    "dawn": ("dawn", "sunrise", "early morning"),
    "day": ("day", "noon", "midday", "daylight", "afternoon"),
    "sunset": ("sunset", "dusk", "evening", "golden hour"),
    "night": ("night", "midnight", "moonlight", "nighttime"),
}

WEATHER_ADJECTIVES: dict[str, tuple[str, ...]] = {
    "clear": ("clear", "cloudless", "serene"),
    "cloudy": ("cloudy", "overcast"),
    "misty": ("misty", "foggy", "hazy"),
    "stormy": ("stormy", "rainy", "dramatic"),
    "snowy": ("snowy", "wintry", "snow covered"),
}

WEATHER_NOUNS: dict[str, tuple[str, ...]] = {
    "clear": ("clear sky", "clear weather"),
    "cloudy": ("clouds", "cloudy sky"),
    "misty": ("mist", "fog", "haze"),
    "stormy": ("storm", "rain", "thunderstorm"),
    "snowy": ("snow", "snowfall", "winter"),
}

MOOD_NAMES: dict[str, tuple[str, ...]] = {
    "warm": ("warm colors", "warm light", "warm tones"),
    "cold": ("cold colors", "cool tones", "cold light"),
    "pastel": ("pastel", "pastel colors", "soft colors"),
    "neon": ("neon", "neon colors", "synthwave"),
    "monochrome": ("monochrome", "black and white", "grayscale"),
}

STYLE_NAMES: dict[str, tuple[str, ...]] = {
    "oil": ("oil painting", "oil on canvas", "impressionist painting"),
    "watercolor": ("watercolor", "watercolour", "aquarelle"),
    "ink": ("ink drawing", "pen and ink", "sketch"),
    "pixel": ("pixel art", "8-bit art", "pixelated"),
}

COLOR_NAMES: dict[str, tuple[str, ...]] = {
    "purple": ("purple", "violet"),
    "blue": ("blue",),
    "red": ("red", "crimson"),
    "green": ("green", "emerald"),
    "orange": ("orange", "amber"),
    "pink": ("pink", "rose"),
    "turquoise": ("turquoise", "teal"),
    "yellow": ("yellow", "golden"),
    "white": ("white", "pale"),
}


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a picture shows; "" where something does not apply (space has no weather) or is plain."""

    scene: str
    time: str = ""
    weather: str = ""
    mood: str = ""
    color: str = ""
    style: str = ""


def draw(rng: random.Random) -> Attributes:
    """Random attributes: half of the pictures are plain in style, half in mood."""
    scene = rng.choice(SCENES)
    earthly = scene != "space"
    return Attributes(
        scene,
        time=rng.choice(TIMES) if earthly else "",
        weather=rng.choices(WEATHERS, (4, 3, 2, 2, 2))[0] if earthly else "",
        mood=rng.choices(MOODS, (10, 2, 2, 2, 2, 1))[0],
        color=rng.choice(COLORS[scene]) if scene in COLORS else "",
        style=rng.choices(STYLES, (10, 2, 2, 2, 2))[0],
    )


def caption(attributes: Attributes, rng: random.Random) -> str:
    """A sentence that asks for such a picture. What it leaves out is left to chance."""
    core = _with_adjectives(rng.choice(SCENE_NAMES[attributes.scene]), _adjectives(attributes, rng))
    fragments = _weather_fragment(attributes, core, rng)
    if attributes.time and rng.random() < 0.92:
        core, more = _with_time(core, rng.choice(TIME_NAMES[attributes.time]), rng)
        fragments += more
    if attributes.mood and rng.random() < 0.95:
        fragments.append(rng.choice(MOOD_NAMES[attributes.mood]))
    if attributes.style:
        style = rng.choice(STYLE_NAMES[attributes.style])
        if rng.random() < 0.4:
            core = f"{style} of {core}"
        else:
            fragments.append(style)
    rng.shuffle(fragments)
    first = [core, *fragments] if rng.random() < 0.8 else [*fragments, core]
    return ", ".join(first)


def _adjectives(attributes: Attributes, rng: random.Random) -> list[str]:
    """A colour, and sometimes the weather."""
    adjectives = []
    if attributes.weather and rng.random() < 0.5:
        adjectives.append(rng.choice(WEATHER_ADJECTIVES[attributes.weather]))
    if attributes.color and rng.random() < 0.85:
        adjectives.append(rng.choice(COLOR_NAMES[attributes.color]))
    return adjectives


def _weather_fragment(attributes: Attributes, core: str, rng: random.Random) -> list[str]:
    """The weather as a phrase of its own, where no adjective has told it; clear weather often goes unsaid."""
    if not attributes.weather or any(word in core for word in WEATHER_ADJECTIVES[attributes.weather]):
        return []
    if rng.random() < (0.4 if attributes.weather == "clear" else 0.05):
        return []
    noun = rng.choice(WEATHER_NOUNS[attributes.weather])
    return [rng.choice((noun, f"with {noun}"))]


def _with_adjectives(noun: str, adjectives: list[str]) -> str:
    """Adjectives between an article and its noun."""
    first, _, rest = noun.partition(" ")
    if first not in ARTICLES:
        return " ".join([*adjectives, noun])
    article = first if first == "the" else ("an" if (adjectives or [rest])[0][0] in "aeiou" else "a")
    return " ".join([article, *adjectives, rest])


def _with_time(core: str, time: str, rng: random.Random) -> tuple[str, list[str]]:
    """The time of day before, after, or beside the scene."""
    form = rng.random()
    if form < 0.4:
        return f"{core} at {time}", []
    if form < 0.6:
        return f"{time} over {core}", []
    return core, [time]


def _concepts() -> dict[str, int]:
    """A number for each thing that a caption can ask for, by every phrase that asks for it."""
    kinds = (SCENE_NAMES, TIME_NAMES, WEATHER_ADJECTIVES, MOOD_NAMES, STYLE_NAMES, COLOR_NAMES)
    numbers = {key: number for number, key in enumerate(key for kind in kinds for key in kind)}
    phrases = [(phrase, key) for kind in (*kinds, WEATHER_NOUNS) for key, names in kind.items() for phrase in names]
    return {re.sub(r"^(an?|the) ", "", phrase): numbers[key] for phrase, key in phrases}


_PHRASES = _concepts()
CONCEPTS = max(_PHRASES.values()) + 1
"""How many different things captions can ask for."""
_PHRASE = re.compile(rf"\b({'|'.join(map(re.escape, sorted(_PHRASES, key=len, reverse=True)))})\b")


def asked_for(text: str) -> set[int]:
    """Which of the CONCEPTS a caption asks for; "golden hour" asks for no golden colour."""
    return {_PHRASES[phrase] for phrase in _PHRASE.findall(text)}


def known_words() -> dict[str, tuple[str, ...]]:
    """Every word of the captions by what it tells; `plain` holds those that only join others."""
    groups = {
        "scenes": SCENE_NAMES,
        "times": TIME_NAMES,
        "weather": {key: WEATHER_ADJECTIVES[key] + WEATHER_NOUNS[key] for key in WEATHERS},
        "moods": MOOD_NAMES,
        "colors": COLOR_NAMES,
        "styles": STYLE_NAMES,
    }
    plain = {"a", "an", "the", "at", "of", "on", "in", "over", "with", "and", "between", "under"}
    words = {group: dict.fromkeys(names) | dict.fromkeys(_words(names)) for group, names in groups.items()}
    return {group: tuple(word for word in found if word and word not in plain) for group, found in words.items()} | {
        "plain": tuple(sorted(plain))
    }


def _words(names: dict[str, tuple[str, ...]]) -> list[str]:
    """The single words of some phrases."""
    return [word for phrases in names.values() for phrase in phrases for word in re.findall(r"[\w-]+", phrase)]

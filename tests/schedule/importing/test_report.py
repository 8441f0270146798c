"""The report on an imported film: nothing is dropped, and nothing breaks its tables."""

from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.importing.report import Entry, Imported, shown

ENTRIES = (
    Entry("sampler", "Euler | a", "meaningless", why="one way <down>"),
    Entry("zoom", "0:(1.02)", "kept", "zoom = 1.02"),
    Entry("zom", 3, "unknown", why="the nearest is 'zoom'"),
    Entry("strength_schedule", "0: (0.65)", "translated", "denoise 0.5", "by noise"),
)
IMPORTED = Imported(Animation(prompts={"0": "a"}), ENTRIES, "Deforum settings")


def test_the_table_is_grouped_by_fate():
    assert [row[:2] for row in IMPORTED.table()] == [
        ("Translated", "strength_schedule"),
        ("Kept as it was", "zoom"),
        ("Has no meaning here", "sampler"),
        ("Unknown", "zom"),
    ]
    assert IMPORTED.table()[0][2:] == ("0: (0.65)", "denoise 0.5", "by noise")
    assert IMPORTED.of("kept") == (ENTRIES[1],)


def test_keys_without_a_meaning_by_the_reason():
    more = (*ENTRIES, Entry("scheduler", "Simple", "meaningless", why="one way <down>"))
    assert Imported(IMPORTED.animation, more, "x").reasons() == {"one way <down>": ("sampler", "scheduler")}


def test_the_summary_counts():
    assert IMPORTED.summary() == "Deforum settings: 4 keys, 1 translated, 1 kept, 1 meaningless, 1 unknown"
    assert Imported(IMPORTED.animation, (), "x").summary() == "x: 0 keys, none of them of use"


def test_markdown_has_every_key_in_a_table_whose_bars_are_its_own():
    lines = IMPORTED.markdown().splitlines()
    assert lines[0] == "# What became of the old film"
    assert "| sampler | Euler \\| a |  | one way &lt;down> |" in lines
    tables = [line for line in lines if line.startswith("|")]
    assert all(line.replace("\\|", "").count("|") == 5 for line in tables)
    assert len(tables) == 4 + 2 * 4
    assert IMPORTED.markdown().endswith("|\n")


def test_headings_without_keys_are_left_out():
    assert "Unknown" not in Imported(IMPORTED.animation, ENTRIES[:2], "x").markdown()


def test_long_values_are_cut_and_lines_joined():
    assert shown("a\n b") == "a b"
    assert shown({"0": "é"}) == '{"0": "é"}'
    assert len(shown("x" * 500)) == 60
    assert shown(object).startswith('"<class')

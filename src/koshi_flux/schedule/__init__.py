"""Text -> numbers: schedules, prompts and film files. Imports no torch."""

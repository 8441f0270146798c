"""Finished frames become files. The package itself imports nothing; `formats` and `disk` are cheap to import."""

"""Where it all meets: models, the loop and the run folder."""

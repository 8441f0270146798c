"""Every setting that a film can be given, grouped by what it is about; `koshi_flux.schedule.animation` joins them."""

"""The stages that make nano: scenes, autoencoder, latents, transformer, distil, depth, evaluate."""

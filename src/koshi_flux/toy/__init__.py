"""An instant model without weights: paints a landscape from the words of the prompt, through the real loop."""

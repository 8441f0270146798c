"""Files of weights, wherever a user has them: found, checked and read. Knows no family of models.

`hub`, `files` and `lora` import no torch: use them to refuse a bad download before anything heavy is loaded.
"""

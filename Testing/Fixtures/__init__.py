"""Recorded outputs of the real nnunetv2, and what makes the inputs for them."""

"""Identities between methods: one side equals the other, to the error that each function returns."""

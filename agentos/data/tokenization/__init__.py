"""Tokenizers, and the token ids of a whole corpus."""

"""Tokens, words, masks and batches of an agent's text."""

"""Text as an agent reads it: tokens, words, batches."""

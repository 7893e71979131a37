"""From a source of text to what each agent reads: cleaned, split, partitioned, tokenized."""

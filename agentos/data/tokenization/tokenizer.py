"""Tokenizers: trained, loaded, and refused where too much of the text is unknown.

With a tokenizer that maps everything to ``[UNK]`` a run learns nothing, and no error reports it; hence
the share of unknown tokens is bounded before a run starts.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from agentos.data.config import TokenizerConfig
from agentos.data.store.batches import batches
from protocols.errors import DataError

SPECIAL_TOKENS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
BORDERS = {"bos_token": "[CLS]", "eos_token": "[SEP]"}
"""Names under which decoders, and tools made for them, find the first and last token of a text."""

MAX_ALPHABET = 1000


def train(texts: Iterable[str], config: TokenizerConfig) -> PreTrainedTokenizerFast:
    """Train a tokenizer; the same texts in the same order give the same one, on any machine.

    Args:
        texts: read twice; an iterator is therefore copied into a list.
        config: kind and size.

    Returns:
        A tokenizer with [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, [MASK] 4, that encodes a text as
        ``[CLS] text [SEP]``; decoders use the same two tokens.

    Raises:
        DataError: the texts contain no word.
    """
    again = list(texts) if iter(texts) is texts else texts
    backend = _word_piece(again, config) if config.kind == "wordpiece" else _bpe(again, config)
    if backend.get_vocab_size() <= len(SPECIAL_TOKENS):
        raise DataError("the tokenizer cannot be trained: the texts contain no word")
    _frame(backend)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        **SPECIAL_TOKENS,
        **BORDERS,
    )


def _word_piece(texts: Iterable[str], config: TokenizerConfig) -> Tokenizer:
    """Train WordPiece (Schuster and Nakajima, "Japanese and Korean Voice Search", 2012)."""
    special = list(SPECIAL_TOKENS.values())
    normalizer = normalizers.BertNormalizer(lowercase=config.lowercase)
    room = (config.vocabulary_size - len(special)) // 4
    alphabet = _alphabet(map(normalizer.normalize_str, texts), min(MAX_ALPHABET, room))
    # The trainer visits "##x" pieces in the random order of a hash map, and their ids break ties between
    # merges, so each training would yield another vocabulary. As special tokens their ids are fixed;
    # the vocabulary then moves to a fresh tokenizer, in which they are not special.
    inner = [f"##{character}" for character in alphabet if not _stands_alone(character)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=config.vocabulary_size,
        special_tokens=[*special, *inner],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    learner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    learner.normalizer, learner.pre_tokenizer = normalizer, pre_tokenizers.BertPreTokenizer()
    learner.train_from_iterator(iter(texts), trainer=trainer)
    vocabulary = learner.get_vocab(with_added_tokens=True)
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer, backend.pre_tokenizer = normalizer, pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    backend.add_special_tokens(special)
    return backend


def _alphabet(texts: Iterable[str], limit: int) -> list[str]:
    """Return the most frequent characters, in code point order."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    known = ((-count, character) for character, count in counts.items() if not character.isspace())
    return sorted(character for _, character in sorted(known)[:limit])


def _stands_alone(character: str) -> bool:
    # BertPreTokenizer splits at ASCII punctuation, which therefore never continues a word.
    return character.isascii() and not character.isalnum()


def _bpe(texts: Iterable[str], config: TokenizerConfig) -> Tokenizer:
    """Train byte-level BPE (Sennrich et al., 2016; bytes as in Radford et al., "GPT-2", 2019)."""
    backend = Tokenizer(models.BPE(unk_token="[UNK]"))
    steps = [normalizers.NFC(), *([normalizers.Lowercase()] if config.lowercase else [])]
    backend.normalizer = normalizers.Sequence(steps)
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocabulary_size,
        special_tokens=list(SPECIAL_TOKENS.values()),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(iter(texts), trainer=trainer)
    return backend


def _frame(backend: Tokenizer) -> None:
    ids = [(token, backend.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids
    )


def load(folder: Path) -> PreTrainedTokenizerFast:
    """Load a tokenizer that `train` returned and that was saved to a folder.

    Raises:
        DataError: the folder holds no such tokenizer.
    """
    try:
        loaded: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(
            str(folder), local_files_only=True
        )
    except Exception as error:  # the library raises bare Exceptions for damaged files
        raise DataError(f"the tokenizer in {folder} cannot be read", actual=str(error)) from error
    if len(loaded) <= len(SPECIAL_TOKENS):
        raise DataError(f"the tokenizer in {folder} has no vocabulary")
    return loaded


def unknown_rate(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> float:
    """Return the share of unknown tokens, 0 to 1; 1 if there are no tokens."""
    unknown = total = 0
    id = tokenizer.unk_token_id  # looked up anew at every use
    for batch in batches(texts, len):
        # Truncated: unknown characters show early in a long document.
        encoded = tokenizer(batch, add_special_tokens=False, truncation=True, max_length=2048)
        for ids in encoded["input_ids"]:
            total += len(ids)
            unknown += ids.count(id)
    return unknown / total if total else 1.0


def check(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], bound: float) -> float:
    """Return the share of unknown tokens, refusing a share above a bound.

    Raises:
        DataError: the share is above the bound.
    """
    rate = unknown_rate(tokenizer, texts)
    if rate > bound:
        raise DataError(
            "too many tokens of the text are unknown to the tokenizer",
            expected=f"at most {bound:.2%} unknown tokens",
            actual=f"{rate:.2%}",
            hint="use data.tokenizer.kind: bpe, a larger data.tokenizer.vocabulary_size or a "
            "tokenizer for this language; or raise data.tokenizer.max_unknown_rate",
        )
    return rate


def content_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a digest of everything that determines the ids of a text; using the tokenizer keeps it."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        content: Any = [type(tokenizer).__name__, sorted(tokenizer.get_vocab().items())]
    else:
        content = json.loads(backend.to_str())
        for used in ("truncation", "padding"):  # state left by the last call
            content.pop(used, None)
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()

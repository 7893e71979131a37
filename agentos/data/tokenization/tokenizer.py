"""Training a tokenizer, and refusing one that does not know the text.

With a tokenizer that maps everything to ``[UNK]`` a run learns nothing and no error says so; hence
the share of unknown tokens is bounded before a run starts.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentos.data.store.batches import batches
from protocols.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

    from agentos.data.config import TokenizerConfig

SPECIAL_TOKENS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
BORDERS = {"bos_token": "[CLS]", "eos_token": "[SEP]"}
"""What decoders, and the tools made for them, call the tokens that begin and end a text."""

MAX_ALPHABET = 1000


def train(texts: Iterable[str], config: TokenizerConfig) -> PreTrainedTokenizerFast:
    """Train a tokenizer; the same texts in the same order give the same one, on any machine.

    Args:
        texts: read twice where it can be (a list, not an iterator); an iterator is kept in memory.
        config: its kind and size.

    Returns:
        A tokenizer with [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, [MASK] 4, that frames a text as
        ``[CLS] text [SEP]``; these two also begin and end the texts of decoders.

    Raises:
        DataError: the texts hold no word.
    """
    from transformers import PreTrainedTokenizerFast

    again = list(texts) if iter(texts) is texts else texts
    backend = _word_piece(again, config) if config.kind == "wordpiece" else _bpe(again, config)
    if backend.get_vocab_size() <= len(SPECIAL_TOKENS):
        raise DataError("the tokenizer cannot be trained: the texts hold no word")
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
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    special = list(SPECIAL_TOKENS.values())
    normalizer = normalizers.BertNormalizer(lowercase=config.lowercase)
    room = (config.vocabulary_size - len(special)) // 4
    alphabet = _alphabet(map(normalizer.normalize_str, texts), min(MAX_ALPHABET, room))
    # The trainer meets "##x" pieces in the random order of a hash map, and their ids break the ties
    # between merges: it would make another vocabulary each time. Given as special tokens their ids
    # are fixed; the vocabulary is then put in a fresh tokenizer, in which they are not special.
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
    # BertPreTokenizer cuts around ASCII punctuation, so it never continues a word.
    return character.isascii() and not character.isalnum()


def _bpe(texts: Iterable[str], config: TokenizerConfig) -> Tokenizer:
    """Train byte-level BPE (Sennrich et al., 2016; bytes as in Radford et al., "GPT-2", 2019)."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

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
    from tokenizers import processors

    ids = [(token, backend.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids
    )


def load(folder: Path) -> PreTrainedTokenizerFast:
    """Load a tokenizer that `train` made and that was saved to a folder.

    Raises:
        DataError: the folder holds no such tokenizer.
    """
    from transformers import PreTrainedTokenizerFast

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
    """Return the share of tokens that are unknown, 0 to 1; 1 if there is no token at all."""
    unknown = total = 0
    for batch in batches(texts, len):
        # The longest documents are cut: what a tokenizer does not know shows early.
        encoded = tokenizer(batch, add_special_tokens=False, truncation=True, max_length=2048)
        for ids in encoded["input_ids"]:
            total += len(ids)
            unknown += sum(1 for token in ids if token == tokenizer.unk_token_id)
    return unknown / total if total else 1.0


def check(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], bound: float) -> float:
    """Return the share of unknown tokens, refusing one above a bound.

    Raises:
        DataError: the share is above the bound.
    """
    rate = unknown_rate(tokenizer, texts)
    if rate > bound:
        raise DataError(
            "the tokenizer does not know the text",
            expected=f"at most {bound:.2%} unknown tokens",
            actual=f"{rate:.2%}",
            hint="use data.tokenizer.kind: bpe, a larger data.tokenizer.vocabulary_size or a "
            "tokenizer made for this language; or raise data.tokenizer.max_unknown_rate",
        )
    return rate


def content_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a digest of what decides the ids of a text, unchanged by using the tokenizer."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        content: Any = [type(tokenizer).__name__, sorted(tokenizer.get_vocab().items())]
    else:
        content = json.loads(backend.to_str())
        for used in ("truncation", "padding"):  # left behind by the last call
            content.pop(used, None)
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()

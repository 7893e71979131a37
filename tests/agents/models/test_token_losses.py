from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from agents.models.language_head import token_losses


def drawn(tokens: int, words: int, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(tokens)
    logits = 3 * torch.randn(tokens, words, generator=draw)
    targets = torch.randint(words, (tokens,), generator=draw)
    weights = torch.randn(tokens, generator=draw)
    return logits.to(dtype).requires_grad_(), targets, weights


@pytest.mark.parametrize("tokens", [1, 63, 64, 65, 200])
def test_losses_and_gradients_in_float32_are_those_of_cross_entropy(tokens):
    logits, targets, weights = drawn(tokens, 50, torch.float32)
    nll, correct = token_losses(logits, targets)
    (weights * nll).sum().backward()
    plain = logits.detach().clone().requires_grad_()
    expected = F.cross_entropy(plain, targets, reduction="none")
    (weights * expected).sum().backward()
    torch.testing.assert_close(nll, expected)
    torch.testing.assert_close(logits.grad, plain.grad)
    assert torch.equal(correct, (plain.argmax(dim=1) == targets).float())


def test_losses_of_bfloat16_logits_are_summed_in_float32():
    logits, targets, weights = drawn(130, 4000, torch.bfloat16)
    nll, _ = token_losses(logits, targets)
    (weights * nll).sum().backward()
    exact = logits.detach().double().requires_grad_()
    expected = F.cross_entropy(exact, targets, reduction="none")
    (weights * expected).sum().backward()
    assert nll.dtype == torch.float32
    torch.testing.assert_close(nll.double(), expected, rtol=1e-5, atol=1e-5)
    assert logits.grad.dtype == torch.bfloat16
    # Eight bits of mantissa: a relative error of 2^-8 at most.
    torch.testing.assert_close(logits.grad.double(), exact.grad, rtol=2**-8, atol=1e-8)


def test_nothing_to_predict_has_no_loss_and_a_gradient():
    logits, targets, _ = drawn(0, 50, torch.float32)
    nll, correct = token_losses(logits, targets)
    nll.sum().backward()
    assert len(nll) == len(correct) == 0
    assert logits.grad.shape == (0, 50)


def test_equal_logits_make_the_first_word_the_most_probable():
    _, correct = token_losses(torch.zeros(2, 5), torch.tensor([0, 3]))
    assert correct.tolist() == [1.0, 0.0]

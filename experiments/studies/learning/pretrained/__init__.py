"""Knowledge on a frozen pretrained encoder: novel text, and answers by claims."""

__all__: list[str] = []

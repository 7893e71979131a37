"""What an encoder and its messages give away about private text: attacks, and their floors."""

__all__: list[str] = []

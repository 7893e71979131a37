"""Messages as bytes: framing, serialisation, and the checks that every receiver runs."""

"""Encoders and decoders: building, loading, adapting, exporting, generating."""

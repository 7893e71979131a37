"""Hosts: many agents in one process, their memory, and the messages between them."""

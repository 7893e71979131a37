"""Rounds: training and exchange in order, and recovery from failures."""

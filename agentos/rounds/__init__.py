"""Rounds: who trains, who exchanges with whom, and what happens when something fails."""

"""Why an encoder answers as it does, whom it favours, and what it gives away."""

"""What agents may say, who may talk to whom, and what it costs."""

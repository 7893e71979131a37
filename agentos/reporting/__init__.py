"""The parts of a report: what came out, as numbers to read and charts to look at."""

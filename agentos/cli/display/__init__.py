"""Progress, tables and errors as the command line prints them."""

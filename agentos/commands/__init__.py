"""The larger commands of the command line, a file each; heavy modules are imported when one runs."""

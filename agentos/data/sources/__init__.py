"""Sources of text: one file each, and the table that names them."""

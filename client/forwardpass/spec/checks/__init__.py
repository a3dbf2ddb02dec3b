"""The checks that concern several fields of a document: sizes, lengths, names, and which layer reads which."""

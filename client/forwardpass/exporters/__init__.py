"""Networks as files of other programs, each proven to compute the same before it is written."""

"""Published results, as files, and what counts as parity with them."""

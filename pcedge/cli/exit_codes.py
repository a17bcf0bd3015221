"""Exit codes for scripts. 2, wrong usage, comes from the command line parser."""

ERROR = 1
PARTLY_DONE = 3
NOT_ALL_OK = 4
INTERRUPTED = 130
READER_GONE = 141

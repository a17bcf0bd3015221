"""Exit codes that scripts can rely on. 2 is the command line parser's own: wrong usage."""

ERROR = 1
PARTLY_DONE = 3
NOT_ALL_OK = 4
INTERRUPTED = 130
READER_GONE = 141

"""One file per group of commands; each offers ``SPEC``, and ``all.py`` lists them."""

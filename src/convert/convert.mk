# lbrec-convert: a program of its own, so PGXS's one-module rule does not do.

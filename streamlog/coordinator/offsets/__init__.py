"""Committed offsets: who may commit and read them, and when they go.

    store               the offsets of all groups, as bytes until somebody asks
    commit, fetch, delete
                        the requests
    expiry              what is forgotten after a time, where that was asked for

Rules: the record further on in the log wins; an offset in an open transaction is not there yet.

What it is not: nobody here knows whether an offset exists in its partition.
"""

"""`wsr`, one module per verb.

A verb's module holds its options and texts, which must be instant; what it does stands in the private module of the
same name and is imported when it is done.
"""

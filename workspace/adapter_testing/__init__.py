"""What proves an adapter on its real framework: a workspace process, a model on loopback, and the claims that all share.

A template's own tests take these from the installed runtime, so that no template carries a copy. Nothing here is imported
by a workspace that serves.
"""

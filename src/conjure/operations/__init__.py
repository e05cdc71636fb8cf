"""The public questions, one a file: compare, pairs, matrix, relative, processes, drift, embedding.

Beside them what they share: arguments are checked before any work, a budget says what a run may
spend, costs what it will, and estimates sum its squares up.
"""

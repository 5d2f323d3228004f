"""Made-up history, to look at reports before there is any of one's own. Pure, but for writing it.

It is the history of a small shop: :mod:`.world` says what there is, :mod:`.people` who comes when,
:mod:`.sessions` what they do, :mod:`.history` how much of it, and :mod:`.writing` stores it.
"""

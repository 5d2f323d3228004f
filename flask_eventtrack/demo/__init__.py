"""Made-up history, to look at reports before there is any of one's own.

It is the history of a small shop: :mod:`.world` says what there is, :mod:`.people` who comes when,
:mod:`.sessions` what they do, :mod:`.recording` which rows that makes, :mod:`.history` how much of
it there is, and :mod:`.agents` what programs read meanwhile. :mod:`.writing` stores it.
"""

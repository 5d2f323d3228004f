"""What may be recorded, and in which form: policies, masked texts, cleaned URLs. Pure."""

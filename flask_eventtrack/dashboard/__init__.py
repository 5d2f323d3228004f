"""The pages that show reports, and what they serve to programs."""

"""A page visit for each HTML document that is answered to a person."""

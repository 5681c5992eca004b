"""What a defender has: data, context, and the inversion of triggers."""

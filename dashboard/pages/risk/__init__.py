"""What makes the tail, when it comes, and how sure it is."""

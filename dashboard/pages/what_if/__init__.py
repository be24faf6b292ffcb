"""What-if: what happens when prices move."""

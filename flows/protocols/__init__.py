"""What lending protocols hold and have lent (DefiLlama)."""

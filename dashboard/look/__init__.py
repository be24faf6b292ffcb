"""How everything looks: theme, shell, components, axes, formatting."""

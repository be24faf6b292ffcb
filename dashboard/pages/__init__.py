"""The pages of the workbench. Each module has `PAGE` and `register(app)`."""

"""The workbench: reads the warehouse, calls the engine, shows figures with their error, unit and time."""
